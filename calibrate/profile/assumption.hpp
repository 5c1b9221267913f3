#pragma once

#include <cstdint>
#include <string>

namespace paceline {

/// A figure that nobody gave and that moves a result: it stands in the result by name.
struct Assumption {
  /// What has to be done for it to count.
  enum class When : std::uint8_t { any, selection, copies };
  std::string name;   ///< "kernel launch"
  std::string value;  ///< with its unit
  std::string why;    ///< where it comes from, and what replaces it
  When when = When::any;
};

}  // namespace paceline
