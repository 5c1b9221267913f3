#include "base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <numeric>

namespace paceline {
namespace {

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

// Optimal string alignment: insert, delete, replace or swap two neighbours, each at cost 1; case is
// free.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t begins = 0;
  for (const std::string& candidate : candidates)  // "cocod" for "cocod-sgd"
    if (name.size() >= 2 && candidate.size() > name.size() &&
        std::equal(name.begin(), name.end(), candidate.begin(),
                   [](char a, char b) { return lower(a) == lower(b); }) &&
        begins++ == 0)
      best = candidate;
  if (begins == 1) return best;
  best.clear();
  std::size_t best_distance = std::max<std::size_t>(1, name.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string>& candidates) {
  const std::string near = nearest_name(name, candidates);
  constexpr std::size_t kFew = 3;  // rather all of them
  if (!near.empty() && candidates.size() > 1 && candidates.size() <= kFew)
    return fmt::format("unknown {} '{}'; did you mean '{}'? Known: {}", what, name, near,
                       fmt::join(candidates, ", "));
  if (!near.empty()) return fmt::format("unknown {} '{}'; did you mean '{}'?", what, name, near);
  return fmt::format("unknown {} '{}'; known: {}", what, name, fmt::join(candidates, ", "));
}

}  // namespace paceline
