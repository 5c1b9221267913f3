#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calibrate/analytic/deepbench.hpp"
#include "calibrate/analytic/fit.hpp"
#include "calibrate/profile/profile.hpp"
#include "models/graph.hpp"
#include "platforms/gpus.hpp"

namespace paceline {

/// The speeds of two GPUs that a transfer scales by.
struct TransferGpu {
  FitCeilings ceilings;
  double launch_s = 5e-6;
  double l2_bytes = 0, l2_bandwidth = 0;  ///< 0: not known
};

/// One kernel timed on both.
struct TransferAnchor {
  std::string law;  ///< class and pass, as in DeepBenchPoint
  double flops = 0, bytes = 0;
  bool three_by_three = false;
  double from_s = 0, to_s = 0;
};

/// Bytes per second at which a kernel moves its data on each GPU: the L2's where they fit half the
/// L2, else the memory's. If one side's L2 matters and its size or bandwidth is not known, the
/// memory's on both. Matrix products and recurrent layers read weights that nothing touched since
/// the last step: always the memory's.
std::pair<double, double> transfer_bandwidths(const TransferAnchor& kernel, const TransferGpu& from,
                                              const TransferGpu& to);
/// What a transfer knows of the L2s for a kernel.
enum class L2Use {
  none,    ///< the kernel fits neither
  known,   ///< it fits one or both, whose bandwidth is known
  unknown  ///< it fits one whose bandwidth is not known: scaled by the memory's
};
L2Use l2_use(const TransferAnchor& kernel, const TransferGpu& from, const TransferGpu& to);

/// t' = launch' + (t - launch) * r' / r with r = max(FLOPs / ceiling, bytes / bandwidth), and not
/// below max(FLOPs / ceiling', bytes / bandwidth') (3x3 convolutions: FLOPs / 2.25, Winograd) - or,
/// where t itself is below that floor on its own GPU, not further below. The same GPU: t' = t.
double roofline_transfer(double seconds, const TransferAnchor& kernel, const TransferGpu& from,
                         const TransferGpu& to);

/// A roofline transfer times kappa(class) = exp(a + b log(FLOPs/bytes) + c log r'), ridge-fitted to
/// anchors of the pair and held constant beyond them. A class without anchors has kappa 1.
class TransferModel {
 public:
  TransferModel(TransferGpu from, TransferGpu to, const std::vector<TransferAnchor>& anchors = {});

  /// `kernel` without its times.
  [[nodiscard]] double seconds(double from_s, const TransferAnchor& kernel) const;
  /// Root mean square of log(prediction / measurement), each anchor of the class predicted by a
  /// kappa of four fifths of the others; without anchors what uncorrected transfers between
  /// DeepBench's GPUs showed.
  [[nodiscard]] double sigma(std::string_view law) const;
  /// The same, larger for an element-wise kernel whose L2 bandwidth is not known.
  [[nodiscard]] double sigma(const TransferAnchor& kernel) const;
  [[nodiscard]] bool has_anchors() const { return !corrections_.empty(); }
  /// max(FLOPs / ceiling, bytes / bandwidth) on the source.
  [[nodiscard]] double source_roof(const TransferAnchor& kernel) const;
  /// Classes with anchors enough for a kappa: name, number and sigma of each.
  [[nodiscard]] Json record() const;
  [[nodiscard]] const TransferGpu& from() const { return from_; }
  [[nodiscard]] const TransferGpu& to() const { return to_; }

 private:
  struct Range {
    double least = 0, most = 0;
  };
  struct Correction {
    std::string law;
    std::size_t anchors = 0;
    double constant = 0, intensity = 0, work = 0, sigma = 0;
    Range intensities, works;
    [[nodiscard]] double log_kappa(double intensity_of, double work_of) const;
  };
  [[nodiscard]] Correction fit(const std::vector<const TransferAnchor*>& of_class) const;
  [[nodiscard]] const Correction* correction(std::string_view law) const;

  TransferGpu from_, to_;
  std::vector<Correction> corrections_;
};

/// The kernels of DeepBench that were timed on both, by its names of the GPUs.
std::vector<TransferAnchor> deepbench_anchors(std::string_view from, std::string_view to);
/// DeepBench's name of a GPU of the specification table; "" if it was not measured there.
std::string deepbench_name(const GpuSpec& gpu);
TransferGpu transfer_gpu(const GpuSpec& gpu);

/// The speeds of the GPU that `profile` was measured on: the profile's own where it states them,
/// else those of the specification table. Throws InputError "file: $.ceilings.sgemm: ..." for
/// ceilings that no device has, and if neither knows one.
TransferGpu transfer_source(const Profile& profile, const std::string& file);

/// The profile of `model` on `to_gpu` from one on another GPU, layer by layer. Source transferred,
/// parent the hash of `from`; the sigma of each layer stands in metadata.layer_sigma, that of the
/// step adds them as if all erred alike. Operations are the target's own (analytic); closure and
/// whole iteration are not carried over. Throws InputError, with `file` and the path in it, if
/// `from` is not measured, not fp32, not layer by layer those of `model`, or leads to what a
/// profile may not state.
Profile transfer_profile(const Profile& from, const Model& model, const GpuSpec& to_gpu,
                         const std::vector<TransferAnchor>& anchors,
                         const std::string& file = "profile");

/// "fnv1a64:..." of what save_profile would write.
std::string profile_hash(const Profile& profile);

/// How well transfers between two GPUs of DeepBench hold.
struct TransferErrors {
  std::string from, to, group;  ///< "conv forward", "conv backward data", ..., "gemm", "rnn"
  FitQuality raw;               ///< ratio of ceilings alone
  FitQuality corrected;         ///< kappa fitted on four fifths, errors on the other fifth
};
std::vector<TransferErrors> validate_transfer(std::string_view from, std::string_view to);
/// "| P100 | 1080Ti | gemm | 160 | 31 / 15 / -13 | 20 / 12 / -2 |": mean absolute, median absolute
/// and error of the total time in %, of both; a row of docs/transfer.md.
std::string markdown_row(const TransferErrors& errors);
/// At least six pairs: same chip, same generation, across generations and libraries.
std::vector<std::pair<std::string, std::string>> validation_pairs();

/// "conv 3x3 forward" -> "conv forward", "rnn forward" -> "rnn": the groups of TransferErrors.
std::string transfer_group(const std::string& law);

}  // namespace paceline
