#pragma once

#include <cstdint>

#include "experiments/result.hpp"
#include "sim/job_spec.hpp"
#include "sim/layer_log.hpp"

namespace paceline {

/// When each layer of a job is computed and its gradient sent, in the last measured cycle of the first
/// worker. Dates inside an operation over several tensors are in proportion to their profile's times.
/// Time on the wire that nothing hides is shared by the collectives under way, and by a collective's
/// layers by their elements: over all layers it is the worker's exposed time.
LayerTable layer_table(const LayerLog& log, const JobSpec& spec);

}  // namespace paceline
