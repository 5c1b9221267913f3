#pragma once

#include <string>
#include <vector>

#include "base/object_reader.hpp"
#include "experiments/experiment.hpp"

namespace paceline {

/// What a job says itself, of a cluster with so many GPUs; the rest stays as it is. Does not
/// finish() the reader: other keys may follow. Throws InputError.
void read_job(ObjectReader& r, std::size_t available, JobDescription& job);
/// All of a job, defaults and files included.
Json write_job(const JobDescription& job);
/// The keys of a job but its name.
std::vector<std::string> job_keys();

}  // namespace paceline
