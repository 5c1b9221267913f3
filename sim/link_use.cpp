#include "sim/link_use.hpp"

#include <algorithm>

namespace paceline {

LinkBytes link_bytes_between(const LinkTotals& first, const LinkTotals& last, std::size_t link,
                             double capacity) {
  const auto of = [link](const std::vector<double>& bytes) {
    return bytes.empty() ? 0 : bytes[link];
  };
  const double began = of(last.started) - of(first.started);
  const double certain = std::max(0.0, began - of(last.under_way));
  const double possible = std::min(began + of(first.under_way), std::max(certain, capacity));
  const double estimate = began - of(last.unsent) + of(first.unsent);
  return {certain, std::max(certain, std::min(estimate, possible))};
}

}  // namespace paceline
