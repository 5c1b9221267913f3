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
      {"compute", job.compute_floor_s, "operations of the slowest worker on its GPU"}};
  // The links carry the bytes of all jobs: of one of several, nothing is known.
  if (run.links.empty() || run.jobs.size() > 1) return floors;
  double seconds = 0;
  const LinkUse* busiest = nullptr;
  for (const LinkUse& use : run.links) {
    const double needed = use.bandwidth > 0 ? use.certain_bytes / use.bandwidth : 0;
    if (needed <= seconds) continue;
    seconds = needed;
    busiest = &use;
  }
  if (busiest != nullptr)
    floors.push_back(
        {"wire", seconds,
         fmt::format("{} over {}", format_bytes(busiest->certain_bytes), busiest->name)});
  return floors;
}

namespace {

std::vector<Floor> expected_floors(const PreparedJob& job, const BoundInputs& in) {
  const Schedule& schedule = job.spec.schedule;
  std::vector<Floor> floors;
  if (schedule.server)
    floors.push_back({"compute", in.forward_s + in.backward_s,
                      schedule.synchronous
                          ? "forward and backward of the slowest worker; the servers update"
                          : "forward and backward, mean of the workers; the servers update"});
  else if (schedule.own_update)
    floors.push_back({"compute", in.forward_s + in.backward_s,
                      "forward and backward of the slowest worker; the update is the schedule's"});
  else if (schedule.sharded.optimizer)
    floors.push_back({"compute", in.forward_s + in.backward_s,
                      "forward and backward of the slowest worker, which updates its share only"});
  else
    floors.push_back(
        {"compute", in.compute_s(), "forward, backward and update of the slowest worker"});
  if (in.workers > 1 && schedule.wire_s)
    floors.push_back(
        {"wire", schedule.wire_s(in),
         fmt::format("what {} sends in an iteration, without latency", schedule.name)});
  return floors;
}

// A formula that is below what no run can beat is wrong, and so is what it is made of.
void check_bound(const PaperBound& bound, const std::vector<Floor>& floors,
                 const std::string& what) {
  if (bound.iteration_s <= 0) return;
  for (const Floor& floor : floors)
    if ((bound.communicates || floor.name != "wire") &&
        bound.iteration_s < floor.iteration_s * (1 - kTolerance))
      throw CheckFailed(fmt::format(
          "{}: '{}' of {} is below the {} floor of {} ({}): this is a bug of its formula", what,
          bound.name, format_duration(bound.iteration_s), floor.name,
          format_duration(floor.iteration_s), floor.made_of));
}

}  // namespace

std::vector<Floor> expected_floors(const PreparedJob& job, const Cluster& cluster) {
  return expected_floors(job, bound_inputs(job, cluster));
}

std::optional<Floor> dense_reference(const PreparedJob& job, const Cluster& cluster) {
  const BoundInputs in = bound_inputs(job, cluster);
  const Schedule& schedule = job.spec.schedule;
  const double dense = in.dense_wire_s();
  if (in.workers < 2 || (schedule.wire_s && schedule.wire_s(in) >= dense * (1 - kTolerance)))
    return std::nullopt;
  return Floor{"dense wire time", dense,
               fmt::format("S-SGD, {} averaged every iteration, without latency; does not bind {}",
                           format_bytes(in.model_bytes()), schedule.name)};
}

void check_floors(const std::vector<Floor>& floors, double iteration_s, const std::string& what) {
  for (const Floor& floor : floors)
    if (iteration_s < floor.iteration_s * (1 - kTolerance))
      throw CheckFailed(fmt::format(
          "{}: an iteration of {} is below the {} floor of {} ({}): this is a bug of the simulator",
          what, format_duration(iteration_s), floor.name, format_duration(floor.iteration_s),
          floor.made_of));
}

void check_links(const std::vector<LinkUse>& links, const std::string& what) {
  for (const LinkUse& link : links)
    if (link.utilisation > 1 + kTolerance)
      throw CheckFailed(fmt::format(
          "{}: link {} is used to {:.9g} % of its bandwidth: this is a bug of the simulator", what,
          link.name, 100 * link.utilisation));
}

std::vector<EvaluatedBound> paper_bounds(const PreparedJob& job, const Cluster& cluster) {
  std::vector<EvaluatedBound> evaluated;
  if (!job.spec.schedule.bounds) return evaluated;
  const BoundInputs in = bound_inputs(job, cluster);
  const std::vector<Floor> floors = expected_floors(job, in);
  for (const PaperBound& bound : job.spec.schedule.bounds(in)) {
    check_bound(bound, floors, fmt::format("{} on {}", job.schedule, cluster.name()));
    EvaluatedBound e{bound.name, bound.formula, bound.source, {}, {}, bound.over, {}, {}};
    if (bound.reference) e.reference = true;
    if (bound.iteration_s > 0) e.iteration_s = bound.iteration_s;
    if (bound.speedup > 0) e.speedup = bound.speedup;
    evaluated.push_back(std::move(e));
  }
  return evaluated;
}

void compare_bounds(JobOutcome& outcome) {
  for (EvaluatedBound& bound : outcome.bounds) {
    if (bound.reference) continue;
    if (bound.iteration_s)
      bound.exceeded = outcome.iteration_time_s < *bound.iteration_s * (1 - kTolerance);
    else if (bound.speedup && bound.over == "S-SGD" && outcome.speedup_over_s_sgd)
      bound.exceeded = *outcome.speedup_over_s_sgd > *bound.speedup * (1 + kTolerance);
    else if (bound.speedup && bound.over == "one GPU")
      bound.exceeded = outcome.speedup_over_one_gpu > *bound.speedup * (1 + kTolerance);
  }
}

}  // namespace paceline
