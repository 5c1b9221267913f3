#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platforms/spec.hpp"

namespace paceline {

enum class TransferKind { all_reduce, point_to_point, bandwidth };
std::string to_string(TransferKind kind);

struct TransferSample {
  double bytes = 0;
  double seconds = 0;
  std::size_t line = 0;
};

/// What one log says. `bandwidth`: seconds per message of many in flight (osu_bw), so what the wire
/// and the software need for each, without latency.
struct TransferLog {
  TransferKind kind = TransferKind::all_reduce;
  std::optional<int> ranks;  ///< of an all-reduce; absent if the log does not say
  std::vector<TransferSample> samples;
  std::string source;  ///< file and form
};

/// Reads the text output of nccl-tests (all_reduce_perf, sendrecv_perf; the out-of-place columns),
/// of the OSU micro-benchmarks (osu_latency, osu_bw, osu_allreduce), or a CSV with columns bytes,
/// seconds and perhaps ranks (one log per value then). `kind` and `ranks` complete a CSV. Throws
/// InputError "file:line: ..." for a log that ends too early, other columns, another benchmark,
/// wrong results, sizes or times that are not positive numbers.
std::vector<TransferLog> read_transfer_log(const std::filesystem::path& file,
                                           std::optional<TransferKind> kind = {},
                                           std::optional<int> ranks = {});
/// The same of a text; `name` stands for the file in messages.
std::vector<TransferLog> parse_transfer_log(std::string_view text, const std::string& name,
                                            std::optional<TransferKind> kind = {},
                                            std::optional<int> ranks = {});

/// t = alpha + beta * bytes between two sizes.
struct TransferSegment {
  double from_bytes = 0, to_bytes = 0;  ///< of its samples
  double alpha_s = 0;
  double beta_s_per_byte = 0;
  std::size_t points = 0;
  double mean_error = 0;   ///< mean |fit / measurement - 1|
  double worst_error = 0;  ///< largest
};
struct TransferFit {
  std::vector<TransferSegment> segments;  ///< one, or two where the protocol changes
  double bic_of_one = 0, bic_of_two = 0;  ///< Bayesian information criterion; 0: not tried
  [[nodiscard]] double seconds(double bytes) const;
};

/// Least squares of relative errors with alpha, beta >= 0. Two segments if the Bayesian information
/// criterion (two parameters against five: the break is one) is lower by six or more and either has
/// four sizes at least. Throws InputError naming `what` for fewer than two different sizes.
TransferFit fit_transfers(const std::vector<TransferSample>& samples, const std::string& what);

/// What contention costs: with j jobs on one link T = alpha + beta j M + eta (j-1) M (Shi et al.,
/// MG-WFBP). Least squares for eta with alpha and beta given.
struct ContentionSample {
  double jobs = 0, bytes = 0, seconds = 0;
};
double fit_contention(const std::vector<ContentionSample>& samples, double alpha_s,
                      double beta_s_per_byte);

/// Link figures out of fits.
struct FittedLink {
  double latency_s = 0;    ///< of one message, without overhead
  double overhead_s = 0;   ///< of software per message
  double bandwidth = 0;    ///< B/s of payload
  std::string derivation;  ///< how they follow from the fits, for people
};
/// An all-reduce of P ranks is read as a ring of 2(P-1) steps that move 2(P-1)/P of the bytes:
/// alpha / (2(P-1)) is the latency of a step, 2(P-1)/P / beta the bandwidth. Point-to-point gives
/// both at once. Latency comes from the segment of the smallest messages, bandwidth from that of
/// the largest. `bandwidth_fit` (osu_bw), if given, has the overhead as its alpha and overrules the
/// bandwidth. Throws InputError if a fit has no bandwidth (beta 0) or the ranks are unknown.
FittedLink link_of(const TransferLog& log, const TransferFit& fit,
                   const TransferFit* bandwidth_fit = nullptr);

/// `base` with the network's latency, overhead and efficiency of `link`. The line rate stays that
/// of `base`, unless the measured bandwidth is above it.
ClusterSpec with_link(ClusterSpec base, const FittedLink& link, const std::string& name,
                      const std::string& source);

/// Fits of published logs: DeepBench's all-reduces per GPU type and number of GPUs, and fits from
/// papers, for which no errors are known (points 0).
struct ShippedFit {
  std::string name;
  int ranks = 0;  ///< 0: not stated
  TransferFit fit;
};
std::vector<ShippedFit> shipped_network_fits();

}  // namespace paceline
