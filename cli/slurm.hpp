#pragma once

#include <cstdint>
#include <string>

namespace paceline {

/// A study as a Slurm job array of `tasks` shares, and a job after it that brings their stores together.
struct SlurmJob {
  std::string study;  ///< its name
  std::string out;    ///< the store they end in
  std::uint64_t tasks = 1;
  std::string options;  ///< further ones of sbatch: "--partition=main --time=1:00:00"
};

struct SubmittedJob {
  std::string array, collect;  ///< numbers of the jobs
  std::string folder;          ///< where the scripts, the shares' stores and the logs are
};

/// Writes both scripts into the folder OUT.slurm and submits them. A task whose node dies is queued again by
/// Slurm and goes on where its store ends; what is missing in the end the second job makes itself.
/// Throws InputError if something cannot be written, and if sbatch is not there or refuses.
SubmittedJob submit_to_slurm(const SlurmJob& job);

}  // namespace paceline
