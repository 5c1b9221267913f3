#pragma once

#include <cstdint>

#include "base/defaults.hpp"
#include "sim/simulation.hpp"

namespace paceline {

/// Figures per iteration of asynchronous workers are of the time in which all of them work
/// (sim/measurement.hpp). Of a few steps that is little: all begin at once, and a fast worker is over
/// before a slow one has done two. So many steps the mean worker does in it, or more. LeNet-5 on
/// eight, of which one has the server on its own host: 33 % from the pace of 3200 steps with 4, 8 %
/// with 19, 2 % with 75 (DC-ASGD 4.5 %), 1 % with 200.
inline const Default kEnoughTogether{
    "measure.steps_together", 64, "",
    "steps of the mean asynchronous worker in the time in which all work, before figures per "
    "iteration are of a longer run; found on LeNet-5 with 8 workers"};

/// If `run`, of `spec`, has fewer, its figures per iteration become those of the same job with more
/// steps, on time alone: 80, 160 and so on, the first that are enough. What `spec`'s own steps come
/// to - their time, rounds, bytes and messages, and all that was learnt - stays. Returns how many
/// steps the figures are of; 0: of `spec`'s own, because they are enough, or the workers go in step,
/// or a longer run would not be more of the same (other jobs, dated changes of the cluster), or not
/// even a run 64 times as long has enough, or the one SimGrid engine of this process is taken.
/// `recorder`: of the longer run.
std::int64_t settle(const SimulationSpec& spec, SimulationResult& run, Recorder* recorder);

}  // namespace paceline
