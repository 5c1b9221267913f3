#pragma once

#include <optional>
#include <vector>

#include "experiments/prepare.hpp"
#include "experiments/result.hpp"
#include "sim/simulation.hpp"

namespace paceline {

/// What the run's own costs forbid to beat, realised jitter included: the compute of the slowest
/// worker, and the bytes of the busiest link over the largest bandwidth it had.
std::vector<Floor> run_floors(const JobResult& job, const SimulationResult& run);

/// The same before any run, jitter aside: the compute of the slowest worker, and where it is known
/// what the schedule sends, without latency.
std::vector<Floor> expected_floors(const PreparedJob& job, const Cluster& cluster);

/// The wire time of S-SGD's dense average, for a schedule that sends less or otherwise: to look at,
/// and no floor.
std::optional<Floor> dense_reference(const PreparedJob& job, const Cluster& cluster);

/// Throws CheckFailed if `iteration_s` is below one of them by more than 1e-9.
void check_floors(const std::vector<Floor>& floors, double iteration_s, const std::string& what);

/// Throws CheckFailed if a link has carried more than its bandwidth, by more than 1e-9.
void check_links(const std::vector<LinkUse>& links, const std::string& what);

/// The schedule's paper formulas for this job, not yet compared with the run. Throws CheckFailed if
/// one is below an expected floor: of the wire, if it counts communication.
std::vector<EvaluatedBound> paper_bounds(const PreparedJob& job, const Cluster& cluster);

/// Fills in `exceeded` from the simulated values; a bound over something else stays uncompared.
void compare_bounds(JobOutcome& outcome);

}  // namespace paceline
