#pragma once

#include <string>
#include <vector>

#include "mpi/rank_job.hpp"
#include "sim/simulation.hpp"

namespace paceline {

/// What the ranks of a run have seen, together.
struct MeasuredRun {
  SimulationResult result;  ///< in the simulator's form: its first job is what was measured
  /// Share of the time of this machine's cores in which they had nothing to do but what gives way
  /// (nice), while the run went on; all processes count.
  double cpu_idle = 0;
  double stolen = 0;           ///< share that the host of this virtual machine took
  double cpu_used = 0;         ///< and what all ranks used, over the time of this machine's
  RankJob::Lateness lateness;  ///< mean over the workers, and the most of any rank
};

/// Of this machine's cores since it was booted, s. All processes.
struct CpuTimes {
  double idle_s = 0, stolen_s = 0, all_s = 0;
};
CpuTimes cpu_times();

/// Brings together what every rank has seen. All ranks call; rank 0 gets it, the others nothing.
MeasuredRun measured_run(const RankJob& job, const World& world, const CpuTimes& before);

}  // namespace paceline
