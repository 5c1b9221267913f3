#pragma once

#include <span>
#include <string_view>

namespace paceline {

/// A file of platforms/clusters or platforms/parts, embedded at build time (embed.cmake).
struct ShippedFile {
  std::string_view path;  ///< below platforms/, e.g. "clusters/reference-star.json"
  std::string_view text;
};

std::span<const ShippedFile> shipped_files();

}  // namespace paceline
