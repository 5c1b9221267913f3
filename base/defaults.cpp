#include "base/defaults.hpp"

#include <algorithm>
#include <string_view>

namespace paceline {

constinit const Default* Default::first_ = nullptr;

std::vector<const Default*> Default::all() {
  std::vector<const Default*> found;
  for (const Default* next = first_; next != nullptr; next = next->next_) found.push_back(next);
  std::sort(found.begin(), found.end(), [](const Default* a, const Default* b) {
    return std::string_view(a->name()) < b->name();
  });
  return found;
}

}  // namespace paceline
