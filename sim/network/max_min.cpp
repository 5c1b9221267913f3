#include "sim/network/max_min.hpp"

#include <algorithm>
#include <limits>

namespace paceline {
namespace {

// Rates of the flows now: raise all together; a link that is full fixes the flows on it.
std::vector<double> fair_rates(const std::vector<FluidFlow>& flows,
                               const std::vector<double>& bandwidth) {
  std::vector<double> left = bandwidth, rate(flows.size(), 0);
  std::vector<std::uint32_t> crossing(bandwidth.size(), 0);
  for (const FluidFlow& flow : flows)
    for (const std::uint32_t link : flow.links) ++crossing[link];
  std::vector<std::size_t> open(flows.size());
  for (std::size_t f = 0; f < flows.size(); ++f) open[f] = f;
  while (!open.empty()) {
    double level = std::numeric_limits<double>::infinity();
    for (std::size_t l = 0; l < left.size(); ++l)
      if (crossing[l] > 0) level = std::min(level, left[l] / crossing[l]);
    // Fix every flow on a link at this level (up to rounding), all at once: symmetric links fill
    // together.
    const auto full = [&](std::uint32_t link) {
      return left[link] <= level * crossing[link] * (1 + 1e-12);
    };
    std::vector<std::size_t> fixed, rest;
    for (const std::size_t f : open)
      (std::any_of(flows[f].links.begin(), flows[f].links.end(), full) ? fixed : rest).push_back(f);
    for (const std::size_t f : fixed) {
      rate[f] = level;
      for (const std::uint32_t link : flows[f].links) {
        left[link] = std::max(0.0, left[link] - level);
        --crossing[link];
      }
    }
    open.swap(rest);
  }
  return rate;
}

}  // namespace

double max_min_time(std::vector<FluidFlow> flows, const std::vector<double>& bandwidth) {
  double time = 0;
  std::erase_if(flows, [](const FluidFlow& flow) { return flow.bytes <= 0 || flow.links.empty(); });
  while (!flows.empty()) {
    const std::vector<double> rate = fair_rates(flows, bandwidth);
    double next = std::numeric_limits<double>::infinity();
    for (std::size_t f = 0; f < flows.size(); ++f) next = std::min(next, flows[f].bytes / rate[f]);
    time += next;
    for (std::size_t f = 0; f < flows.size(); ++f) {
      // What ends within rounding of this date ends now.
      if (flows[f].bytes <= rate[f] * next * (1 + 1e-12))
        flows[f].bytes = 0;
      else
        flows[f].bytes -= rate[f] * next;
    }
    std::erase_if(flows, [](const FluidFlow& flow) { return flow.bytes == 0; });
  }
  return time;
}

}  // namespace paceline
