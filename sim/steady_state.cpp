#include "sim/steady_state.hpp"

#include <algorithm>
#include <cmath>

#include "sim/worker/runtime.hpp"

namespace paceline {

SteadyState::SteadyState(const Job& job)
    : job_(job), cycle_(std::max<std::int64_t>(1, job.spec().schedule.cycle)) {}

bool SteadyState::equal(const Cycle& a, const Cycle& b) {
  const double tolerance = 1e-9 * std::max(a.length, b.length);
  if (std::abs(a.length - b.length) > tolerance || a.open != b.open || a.phases != b.phases)
    return false;
  for (std::size_t w = 0; w < a.fingerprints.size(); ++w)
    if (std::abs(a.fingerprints[w] - b.fingerprints[w]) >
        1e-9 * std::max({std::abs(a.fingerprints[w]), std::abs(b.fingerprints[w]), a.length}))
      return false;
  return true;
}

bool SteadyState::passed(std::int64_t completed, double now) {
  Cycle cycle;
  cycle.length = now - start_;
  for (const auto& worker : job_.workers()) {
    cycle.fingerprints.push_back(worker->take_fingerprint(start_));
    cycle.phases.push_back(worker->current_phase());
  }
  cycle.open = job_.open_operations();
  start_ = now;
  if (cycles_.size() == 3) cycles_.erase(cycles_.begin());
  cycles_.push_back(std::move(cycle));
  const std::size_t last = cycles_.size() - 1;
  likely_ = last > 0 && equal(cycles_[last - 1], cycles_[last]);
  return completed >= job_.log().measured_from + cycle_ && likely_ && last == 2 &&
         equal(cycles_[0], cycles_[1]);
}

}  // namespace paceline
