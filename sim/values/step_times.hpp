#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>

namespace paceline {

/// The real seconds of worker 0's steps, from one loading to the next, written to the file that
/// PACELINE_STEP_TIMES names: what a measured profile of this machine has to predict. With
/// --threads 1 all of them are of one thread; `disturbed`: how often the operating system took the
/// core from it meanwhile. Throws InputError if the file cannot be written.
class StepTimes {
 public:
  explicit StepTimes(std::size_t rank);
  void loading(std::int64_t step);

 private:
  std::ofstream out_;
  std::chrono::steady_clock::time_point last_;
  double cpu_ = 0;
  long switches_ = 0;
};

}  // namespace paceline
