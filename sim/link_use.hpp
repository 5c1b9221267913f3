#pragma once

#include <string>
#include <vector>

namespace paceline {

/// Totals of one link.
struct LinkUse {
  std::string name;
  double bytes = 0;  ///< per measured iteration of the first job
  /// The largest it had in the measured iterations, left by background traffic; what link events
  /// did to it included.
  double bandwidth = 0;
  double utilisation = 0;  ///< bytes / (bandwidth x time of an iteration)
  /// Of `bytes`, what has passed the link for certain: where transfers are under way at the ends of
  /// what is measured, `bytes` estimates how much of them has.
  double certain_bytes = 0;
};

/// Bytes by link up to one date.
struct LinkTotals {
  std::vector<double> started;    ///< of all transfers that have begun, as a whole
  std::vector<double> under_way;  ///< of those that are not over, as a whole
  std::vector<double> unsent;     ///< of these, what has still to pass, by estimate
};

/// What passed a link between two dates, at least and by estimate. `capacity`: the most that can
/// have. The estimate is held between what is certain and what is possible; what is certain may be
/// more than the capacity only by a bug.
struct LinkBytes {
  double certain = 0, estimate = 0;
};
LinkBytes link_bytes_between(const LinkTotals& first, const LinkTotals& last, std::size_t link,
                             double capacity);

}  // namespace paceline
