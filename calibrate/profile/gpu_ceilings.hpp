#pragma once

#include "base/defaults.hpp"
#include "platforms/gpus.hpp"

namespace paceline {

/// What streaming kernels reach of the data sheet's memory bandwidth where nothing was measured.
inline const Default kStreamingShare{"gpu.streaming_share", 0.8, "",
                                     "share of the data sheet's memory bandwidth that streaming "
                                     "kernels reach, where nothing was measured"};
/// Multiplications that Winograd's F(2x2, 3x3) saves a convolution.
inline const Default kWinogradSaving{
    "gpu.winograd_saving", 2.25, "",
    "multiplications that F(2x2, 3x3) saves a convolution (Lavin and Gray 2016)"};

/// Speeds that real kernels reach on a GPU, and how far to trust times derived from them.
struct GpuCeilings {
  double sgemm_flops = 0;       ///< FLOP/s of large fp32 matrix products
  double memory_bandwidth = 0;  ///< B/s of streaming kernels
  bool measured =
      false;  ///< whether sgemm_flops was measured rather than scaled from the data sheet
  double relative_sigma = 0;  ///< of the step time of an analytic profile on this GPU
};

/// Measured ceilings where DeepBench or NeuSight's data set has the GPU; else the data sheet times
/// the median of measured / data sheet over the GPUs that were measured.
GpuCeilings gpu_ceilings(const GpuSpec& gpu);

/// s of torch.topk's t = s n log2 n (one thread block, so one SM, whatever the memory can do).
/// Fitted by the authors of LAGS and gTop-k on P102-100 and V100; on other GPUs scaled by lanes per
/// SM x clock, which explains the ratio of those two within 4 %.
double torch_legacy_top_k(const GpuSpec& gpu);

}  // namespace paceline
