#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "calibrate/analytic_fit.hpp"
#include "calibrate/deepbench.hpp"
#include "calibrate/profile.hpp"
#include "models/graph.hpp"
#include "platforms/gpus.hpp"

namespace paceline {

/// The speeds of two GPUs that a transfer scales by.
struct TransferGpu {
  FitCeilings ceilings;
  double launch_s = 5e-6;
};

/// One kernel timed on both.
struct TransferAnchor {
  std::string law;  ///< class and pass, as in DeepBenchPoint
  double flops = 0, bytes = 0;
  bool three_by_three = false;
  double from_s = 0, to_s = 0;
};

/// t' = launch' + (t - launch) * r' / r with r = max(FLOPs / ceiling, bytes / bandwidth), and not
/// below max(FLOPs / ceiling', bytes / bandwidth') (3x3 convolutions: FLOPs / 2.25, Winograd) - or,
/// where t itself is below that floor on its own GPU, not further below. The same GPU: t' = t.
double roofline_transfer(double seconds, const TransferAnchor& kernel, const TransferGpu& from,
                         const TransferGpu& to);

/// A roofline transfer times kappa(class) = exp(a + b log(FLOPs/bytes) + c log r'), ridge-fitted to
/// anchors of the pair. A class without anchors has kappa 1.
class TransferModel {
 public:
  TransferModel(TransferGpu from, TransferGpu to, const std::vector<TransferAnchor>& anchors = {});

  /// `kernel` without its times.
  [[nodiscard]] double seconds(double from_s, const TransferAnchor& kernel) const;
  /// Standard deviation of log(prediction / measurement) on the anchors of the class; without
  /// anchors what uncorrected transfers between DeepBench's GPUs showed.
  [[nodiscard]] double sigma(std::string_view law) const;
  [[nodiscard]] bool has_anchors() const { return !corrections_.empty(); }

 private:
  struct Correction {
    std::string law;
    double constant = 0, intensity = 0, work = 0, sigma = 0;
  };
  [[nodiscard]] const Correction* correction(std::string_view law) const;

  TransferGpu from_, to_;
  std::vector<Correction> corrections_;
};

/// The kernels of DeepBench that were timed on both, by its names of the GPUs.
std::vector<TransferAnchor> deepbench_anchors(std::string_view from, std::string_view to);
/// DeepBench's name of a GPU of the specification table; "" if it was not measured there.
std::string deepbench_name(const GpuSpec& gpu);
TransferGpu transfer_gpu(const GpuSpec& gpu);

/// The profile of `model` on `to_gpu` from one on another GPU, layer by layer. Source transferred,
/// parent the hash of `from`; the sigma of each layer stands in metadata.layer_sigma, that of the
/// step adds them as if all erred alike. Operations are the target's own (analytic); closure and
/// whole iteration are not carried over. Throws InputError if `from` is not of `model`, is itself
/// transferred or analytic, is not fp32, or has no layers.
Profile transfer_profile(const Profile& from, const Model& model, const GpuSpec& from_gpu,
                         const GpuSpec& to_gpu, const std::vector<TransferAnchor>& anchors);

/// "fnv1a64:..." of what save_profile would write.
std::string profile_hash(const Profile& profile);

/// How well transfers between two GPUs of DeepBench hold.
struct TransferErrors {
  std::string from, to, group;  ///< "conv forward", "conv backward data", ..., "gemm", "rnn"
  FitQuality raw;               ///< ratio of ceilings alone
  FitQuality corrected;         ///< kappa fitted on four fifths, errors on the other fifth
};
std::vector<TransferErrors> validate_transfer(std::string_view from, std::string_view to);
/// At least six pairs: same chip, same generation, across generations and libraries.
std::vector<std::pair<std::string, std::string>> validation_pairs();

}  // namespace paceline
