#include "experiments/floors.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

constexpr double kTolerance = 1e-9;

}  // namespace

std::vector<Floor> run_floors(const JobResult& job, const SimulationResult& run) {
  std::vector<Floor> floors{
      {"compute", job.slowest_compute_s, "operations of the slowest worker on its GPU"}};
  if (run.links.empty()) return floors;
  double seconds = 0;
  const LinkUse* busiest = nullptr;
  for (const LinkUse& use : run.links) {
    const double needed = use.bandwidth > 0 ? use.bytes / use.bandwidth : 0;
    if (needed <= seconds) continue;
    seconds = needed;
    busiest = &use;
  }
  if (busiest != nullptr)
    floors.push_back(
        {"wire", seconds, fmt::format("{} over {}", format_bytes(busiest->bytes), busiest->name)});
  return floors;
}

std::vector<Floor> expected_floors(const PreparedJob& job, const Cluster& cluster) {
  const BoundInputs in = bound_inputs(job, cluster);
  std::vector<Floor> floors{
      {"compute", in.compute_s(), "forward, backward and update of the slowest worker"}};
  if (in.workers > 1)
    floors.push_back({"wire, dense", in.all_reduce_s(in.model_bytes()) - in.all_reduce_s(0),
                      fmt::format("{} averaged every iteration, without latency",
                                  format_bytes(in.model_bytes()))});
  return floors;
}

void check_floors(const std::vector<Floor>& floors, double iteration_s, const std::string& what) {
  for (const Floor& floor : floors)
    if (iteration_s < floor.iteration_s * (1 - kTolerance))
      throw CheckFailed(fmt::format(
          "{}: an iteration of {} is below the {} floor of {} ({}): this is a bug of the simulator",
          what, format_duration(iteration_s), floor.name, format_duration(floor.iteration_s),
          floor.made_of));
}

std::vector<EvaluatedBound> paper_bounds(const PreparedJob& job, const Cluster& cluster) {
  std::vector<EvaluatedBound> evaluated;
  if (!job.spec.schedule.bounds) return evaluated;
  for (const PaperBound& bound : job.spec.schedule.bounds(bound_inputs(job, cluster))) {
    EvaluatedBound e{bound.name, bound.formula, bound.source, {}, {}, bound.over, {}};
    if (bound.iteration_s > 0) e.iteration_s = bound.iteration_s;
    if (bound.speedup > 0) e.speedup = bound.speedup;
    evaluated.push_back(std::move(e));
  }
  return evaluated;
}

void compare_bounds(JobOutcome& outcome) {
  for (EvaluatedBound& bound : outcome.bounds) {
    if (bound.iteration_s)
      bound.exceeded = outcome.iteration_time_s < *bound.iteration_s * (1 - kTolerance);
    else if (bound.speedup && bound.over == "S-SGD" && outcome.speedup_over_s_sgd)
      bound.exceeded = *outcome.speedup_over_s_sgd > *bound.speedup * (1 + kTolerance);
    else if (bound.speedup && bound.over == "one GPU")
      bound.exceeded = outcome.speedup_over_one_gpu > *bound.speedup * (1 + kTolerance);
  }
}

}  // namespace paceline
