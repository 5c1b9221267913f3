#include "disturbances.hpp"

#include <fmt/format.h>

#include "base/units.hpp"

namespace paceline {
namespace {

std::string between(double from, double until) {
  return until == kInfinity
             ? fmt::format("from {}", format_duration(from))
             : fmt::format("from {} to {}", format_duration(from), format_duration(until));
}

// As the file names them.
std::string endpoint(const ClusterSpec& spec, Endpoint number) {
  const std::size_t gpus = spec.gpu_count();
  return number < gpus ? fmt::format("gpu{}", number) : fmt::format("node{}", number - gpus);
}

std::string jitter_text(const Jitter& jitter) {
  using Distribution = Jitter::Distribution;
  const std::string covers = "forward and backward, one draw per worker and step";
  if (jitter.distribution == Distribution::profile)
    return fmt::format("jitter by the profile's quartiles: {}", covers);
  return fmt::format("jitter {}, cv {:g}: {}",
                     jitter.distribution == Distribution::normal      ? "normal"
                     : jitter.distribution == Distribution::lognormal ? "lognormal"
                                                                      : "gamma",
                     jitter.cv, covers);
}

}  // namespace

std::vector<std::string> disturbances(const ClusterSpec& spec, const Jitter& jitter) {
  std::vector<std::string> lines;
  for (const Straggler& s : spec.stragglers)
    lines.push_back(
        fmt::format("worker {} slowed x{:g} {}", s.worker, s.slowdown, between(s.from, s.until)));
  for (const LinkEvent& e : spec.link_events)
    lines.push_back(fmt::format("links '{}' at x{:g} of their bandwidth from {}", e.links, e.factor,
                                format_duration(e.at)));
  for (const BackgroundTraffic& b : spec.background)
    lines.push_back(fmt::format("background traffic of {} from {} to {}, {}",
                                format_bandwidth(b.rate), endpoint(spec, b.from),
                                endpoint(spec, b.to), between(b.since, b.until)));
  if (jitter.distribution != Jitter::Distribution::none) lines.push_back(jitter_text(jitter));
  return lines;
}

}  // namespace paceline
