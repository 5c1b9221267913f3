#pragma once

#include <cstdint>
#include <string_view>

namespace paceline {

/// FNV-1a of 64 bits (Fowler, Noll, Vo). It stays what it is from build to build and machine to
/// machine, unlike std::hash, so files and records may hold it. Not for security.
constexpr std::uint64_t fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace paceline
