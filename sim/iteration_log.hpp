#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace paceline {

/// The iterations of a job as they went by: dates at which the last worker had passed each border.
class IterationLog {
 public:
  std::vector<double> durations;  ///< the last kept ones, at most `kKept`
  static constexpr std::size_t kKept = 4096;
  std::int64_t completed = 0;
  double last_date = 0;
  bool in_step = true;  ///< else the durations are each worker's own, and kept by keep()
  std::int64_t measured_from = 0;
  std::int64_t measured_until =
      0;  ///< the last border counted: before the drain of a pipelined schedule

  /// The last worker has passed the border before step `border` now.
  void passed(std::int64_t border, double now);
  void keep(double duration);
  /// No more is measured than up to the newest border, and from `from` on.
  void end(std::int64_t from);

 private:
  std::size_t count_ = 0;  // of durations, those no longer kept included
};

}  // namespace paceline
