#include "calibrate/profile/gpu_ceilings.hpp"

#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "base/defaults.hpp"
#include "base/statistics.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

struct Measured {
  std::string_view gpu;
  double sgemm_flops;
  double memory_bandwidth;  // 0: not measured
};

// SGEMM: the fastest product in DeepBench's table (1080 Ti, Titan X Pascal, P100, V100, T4), else
// in NeuSight's data set (A100, H100; torch 2.1, TF32 off). Bandwidth: elementwise kernels of
// NeuSight's data set; H200: a device-to-device copy. H200 has the compute part of the H100.
constexpr std::array<Measured, 11> kMeasured{{{"GTX 1080 Ti", 12.12e12, 0},
                                              {"Titan X Pascal", 10.76e12, 0},
                                              {"P100 SXM2", 9.12e12, 559e9},
                                              {"V100 SXM2", 14.78e12, 830e9},
                                              {"V100 SXM2 32GB", 14.78e12, 830e9},
                                              {"T4", 4.67e12, 245e9},
                                              {"A100 PCIe", 17.0e12, 1360e9},
                                              {"A100 PCIe 80GB", 18.7e12, 0},
                                              {"A100 SXM 80GB", 18.7e12, 0},
                                              {"H100 SXM", 54.6e12, 0},
                                              {"H200 SXM", 54.6e12, 4300e9}}};

// Of whole networks, not of kernels: such that TensorFlow 1.1's ResNet-50 at batch 64 comes out
// (experiments/published/single-gpu.json, marked). Two GK210 share the power of a board and do not
// hold their boost clock, and no law is of Kepler's convolutions.
constexpr std::array<Measured, 1> kFitted{{{"GK210", 2.54e12, 118e9}}};

double median_sgemm_ratio() {
  std::vector<double> ratios;
  for (const Measured& row : kMeasured)
    ratios.push_back(row.sgemm_flops / find_gpu(row.gpu).fp32_flops);
  return median(ratios);
}

// On the nine networks measured on the 1080 Ti the times hold within 13 % (in sample). On
// DeepBench's convolutions the 1080 Ti's laws miss the total by -18 to -12 % on other Pascals and
// -36 % on Maxwell. The V100's miss measured networks by -1 to +19 % on V100. Newer chips also run
// newer libraries.
double sigma(const GpuSpec& gpu, bool measured) {
  if (gpu.name == "GTX 1080 Ti") return 0.13;
  const double by_generation = gpu.cc_major == 6 || gpu.cc_major == 7 ? 0.20 : 0.30;
  // Data-sheet ceilings cost 15 % where measured ones cost 4 % (Titan Xp to 1080 Ti).
  return measured ? by_generation : std::hypot(by_generation, 0.15);
}

}  // namespace

GpuCeilings gpu_ceilings(const GpuSpec& gpu) {
  GpuCeilings ceilings;
  const GpuSpec& stand_in = find_gpu(kStandInGpu);
  for (const Measured& row : kMeasured) {
    // Of a card that a user has described otherwise, what of its figures is the table's.
    const GpuSpec& known = find_gpu(row.gpu);
    const auto is_of = [&](const char* figure, double GpuSpec::*field) {
      return gpu.knows(figure) ? row.gpu == gpu.name && gpu.*field == known.*field
                               : &known == &stand_in;
    };
    if (is_of("fp32", &GpuSpec::fp32_flops)) ceilings.sgemm_flops = row.sgemm_flops;
    if (is_of("bandwidth", &GpuSpec::memory_bandwidth))
      ceilings.memory_bandwidth = row.memory_bandwidth;
  }
  ceilings.measured = ceilings.sgemm_flops > 0 && gpu.knows("fp32");
  for (const Measured& row : kFitted)
    if (row.gpu == gpu.name && gpu == find_gpu(row.gpu))
      ceilings = {row.sgemm_flops, row.memory_bandwidth, false, 0};
  if (ceilings.sgemm_flops == 0) ceilings.sgemm_flops = gpu.fp32_flops * median_sgemm_ratio();
  if (ceilings.memory_bandwidth == 0)
    ceilings.memory_bandwidth = kStreamingShare * gpu.memory_bandwidth;
  ceilings.relative_sigma = sigma(gpu, ceilings.measured);
  return ceilings;
}

namespace {

const Default kP102{"top_k.torch_legacy_p102", 2.18896957e-10, "s",
                    "per element and log2, on the P102-100 (the LAGS paper's cluster)"};
const Default kV100{"top_k.torch_legacy_v100", 5.0e-10, "s",
                    "the same on the V100; other cards: by lanes and clock from both"};

}  // namespace

double torch_legacy_top_k(const GpuSpec& gpu) {
  if (gpu.name == "P102-100") return kP102;
  if (gpu.name.starts_with("V100 SXM2")) return kV100;
  const auto speed = [](const GpuSpec& of) { return of.fp32_lanes * of.boost_hz; };
  const double work =
      std::sqrt(kP102 * speed(find_gpu("P102-100")) * kV100 * speed(find_gpu("V100 SXM2")));
  return work / speed(gpu);
}

}  // namespace paceline
