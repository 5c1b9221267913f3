#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "calibrate/network/message_log.hpp"

namespace paceline {

/// t = alpha + beta * bytes between two sizes.
struct TransferSegment {
  double from_bytes = 0, to_bytes = 0;  ///< of its samples
  double alpha_s = 0;
  double beta_s_per_byte = 0;
  std::size_t points = 0;
  double mean_error = 0;   ///< mean |fit / measurement - 1|
  double worst_error = 0;  ///< largest
  [[nodiscard]] double seconds(double bytes) const { return alpha_s + beta_s_per_byte * bytes; }
};
struct TransferFit {
  std::vector<TransferSegment> segments;  ///< one, or two or three where the protocol changes
  TransferSegment one_law;                ///< the same samples as one segment
  std::vector<double> bic;  ///< Bayesian information criterion of one, two, three segments
  [[nodiscard]] double seconds(double bytes) const;
  [[nodiscard]] double mean_error() const;  ///< over all points of all segments
};

/// Least squares of relative errors with alpha, beta >= 0. A second and a third segment, of three
/// sizes each at least, if each lowers the Bayesian information criterion (three parameters more:
/// alpha, beta and the break) by six or more; errors under 2 % count as none, so exact data of one
/// law with noise stay one segment. The last segment grows with the size. Throws InputError naming
/// `what` for fewer than two different sizes.
TransferFit fit_transfers(const std::vector<MessageSample>& samples, const std::string& what);

/// fit_transfers() of the log; of a bandwidth of one size alone, that bandwidth and no alpha.
TransferFit fit_log(const MessageLog& log);

/// The one alpha and one beta that miss the samples least on average: the fit of all as one
/// segment, or alpha of the first segment (small messages) with beta of the last (large ones).
TransferSegment best_single_law(const TransferFit& fit, const std::vector<MessageSample>& samples);

/// `segment` with its points and errors against `samples`.
TransferSegment with_errors(TransferSegment segment, const std::vector<MessageSample>& samples);

/// What contention costs: with j jobs on one link T = alpha + beta j M + eta (j-1) M (Shi et al.,
/// MG-WFBP). Least squares for eta with alpha and beta given.
struct ContentionSample {
  double jobs = 0, bytes = 0, seconds = 0;
};
double fit_contention(const std::vector<ContentionSample>& samples, double alpha_s,
                      double beta_s_per_byte);

}  // namespace paceline
