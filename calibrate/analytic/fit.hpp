#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "platforms/gpus.hpp"

namespace paceline {

/// t = exp(constant) * compute^compute_exponent * memory^memory_exponent * steps^steps_exponent, in
/// seconds. `compute` = FLOPs / matrix-product ceiling and `memory` = least bytes / streaming
/// bandwidth, both in seconds; `steps` = time steps of a recurrent layer, else 1.
struct PowerLaw {
  double constant = 0;
  double compute_exponent = 0;
  double memory_exponent = 0;
  double steps_exponent = 0;

  [[nodiscard]] double operator()(double compute_s, double memory_s, double steps = 1) const;
};

/// How far predictions are from measurements; errors are prediction / measurement - 1.
struct FitQuality {
  std::size_t points = 0;
  double mean_absolute_error = 0;
  double median_absolute_error = 0;
  double total_bias = 0;  ///< of the sum of all times
  double log_sigma = 0;   ///< root mean square of log(prediction / measurement): a bias counts
};
/// Of as many predictions as measurements, all positive.
FitQuality quality_of(const std::vector<double>& predicted, const std::vector<double>& measured);

/// A law and the operations and pass it stands for: "conv 3x3 forward", "gemm", "rnn backward
/// data".
struct FittedLaw {
  std::string name;
  PowerLaw law;
  FitQuality quality;
};

/// Speeds a fit refers to.
struct FitCeilings {
  double sgemm_flops = 0;       ///< FLOP/s
  double memory_bandwidth = 0;  ///< B/s
};

/// The fastest fp32 matrix product of `gpu` in DeepBench's gemm.csv, FLOP/s.
double deepbench_sgemm_ceiling(const std::filesystem::path& folder, std::string_view gpu);

/// Least squares in logarithms over the rows of `gpu` in conv.csv, gemm.csv and rnn.csv (DeepBench,
/// training, fp32): one law per convolution class (1x1, 3x3, other) and pass, one for matrix
/// products, one per pass of recurrent layers. Rows without a time ("N/A") are left out. Throws
/// InputError if a file is missing or has no row of that GPU.
std::vector<FittedLaw> fit_deepbench(const std::filesystem::path& folder, std::string_view gpu,
                                     const FitCeilings& ceilings);

/// Errors of `laws` on the convolutions of another GPU with that GPU's ceilings: what a transfer
/// costs.
FitQuality transfer_quality(const std::vector<FittedLaw>& laws, const std::filesystem::path& folder,
                            std::string_view gpu, const FitCeilings& ceilings);

/// Laws of one GPU, fitted with its ceilings.
struct LawSet {
  std::string gpu;     ///< name in the GPU specification table
  std::string column;  ///< name in DeepBench's tables
  FitCeilings ceilings;
  std::vector<FittedLaw> laws;

  /// The law of that name, which must exist.
  [[nodiscard]] const PowerLaw& law(std::string_view name) const;
  /// Largest mean absolute error of the laws whose name starts with `prefix`.
  [[nodiscard]] double worst_error(std::string_view prefix) const;
};

/// The committed fits: GTX 1080 Ti (cuDNN 6) and V100 (cuDNN 7). fit_deepbench() with their column
/// and ceilings gives them again.
const std::vector<LawSet>& committed_laws();
/// The one nearer in architecture and libraries: the V100's from compute capability 7 on.
const LawSet& laws_for(const GpuSpec& gpu);

/// A table of the laws and their errors for people, and the initialisers of analytic_constants.cpp.
std::string fit_table(const std::vector<FittedLaw>& laws);
std::string fit_initialisers(const std::vector<FittedLaw>& laws);

}  // namespace paceline
