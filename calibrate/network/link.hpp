#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calibrate/network/fit.hpp"
#include "platforms/spec.hpp"

namespace paceline {

struct FittedLog {
  MessageLog log;
  TransferFit fit;
};

/// Link figures out of fits.
struct FittedLink {
  std::optional<double> latency_s;  ///< of one message, without overhead; absent after osu_bw alone
  double overhead_s = 0;            ///< of software per message
  double bandwidth = 0;             ///< B/s of payload
  bool bandwidth_only = false;      ///< nothing is known of the overhead either
  TransferSegment law;     ///< the alpha and beta behind it, and how they miss the log's points
  std::string derivation;  ///< how they follow from the fits, for people
};
/// An all-reduce of P ranks is read as a ring of 2(P-1) steps that move 2(P-1)/P of the bytes:
/// alpha / (2(P-1)) is the latency of a step, 2(P-1)/P / beta the bandwidth; an all-gather as half
/// of that. Point-to-point gives both at once. Alpha and beta are best_single_law(). `bandwidth`
/// (osu_bw), if given, has the overhead as its alpha and overrules the bandwidth; alone it says
/// nothing of the latency. Throws InputError if a fit has no bandwidth (beta 0) or the ranks are
/// unknown.
FittedLink link_of(const FittedLog& log, const FittedLog* bandwidth = nullptr);

/// Seconds of such a transfer of `bytes` over rings or pairs of that link.
double seconds_over(const FittedLink& link, const MessageLog& log, double bytes);
/// Mean |seconds_over / measurement - 1| of the log.
double mean_error_over(const FittedLink& link, const MessageLog& log);

enum class LinkClass { network, pcie, nvlink };

/// `base` with latency, overhead and efficiency of `link` in the links of that class. Their line
/// rate stays that of `base`, unless the measured bandwidth is above it. A pair of GPUs crosses two
/// PCIe or NVLink cables: each gets half of the latency. The sources of what is replaced go. Throws
/// InputError if `base` has no such links, or takes its network from a SimGrid platform file.
ClusterSpec with_link(ClusterSpec base, const FittedLink& link, LinkClass link_class,
                      const std::string& name, const std::string& source);

/// Fits of published logs: DeepBench's all-reduces per GPU type and number of GPUs, and fits from
/// papers, for which no points and no errors are known.
struct ShippedFit {
  std::string name;
  FittedLog fitted;
};
std::vector<ShippedFit> shipped_network_fits();
/// Throws InputError with the nearest name.
ShippedFit shipped_network_fit(const std::string& name);

/// Published times of j transfers at once over one link, and eta (fit_contention) with the
/// published alpha and beta of that link.
struct ShippedContention {
  std::string name;
  double alpha_s = 0, beta_s_per_byte = 0;
  double eta_s_per_byte = 0;
  std::vector<ContentionSample> samples;
  double mean_error = 0;          ///< of T = alpha + beta j M + eta (j-1) M
  double mean_error_without = 0;  ///< of eta = 0
};
ShippedContention shipped_contention();

}  // namespace paceline
