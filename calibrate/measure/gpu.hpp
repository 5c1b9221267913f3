#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "calibrate/measure/operations.hpp"
#include "kernels/cuda_module.hpp"

namespace paceline {

/// How many sets of buffers exceed twice the L2 together, where one pass touches `touched` bytes of
/// a set of `held`: at most 64, and no more than fit a quarter of the memory.
int rotation(const kernels::CudaBackend& gpu, double touched, double held);

/// The largest vector whose buffers fit the GPU with room to spare.
std::size_t largest_vector(const kernels::CudaBackend& gpu);

struct GpuOperationsOptions {
  std::size_t most_elements = 100'000'000;  ///< the largest vector tried, if it fits
  double sample_seconds = 2;                ///< per kernel and size, at most
  std::function<bool()> stop = [] { return false; };
  std::function<void(double share)> report = [](double) {};
  std::function<void()> save = [] {};  ///< after everything that was measured
};

/// Ceilings, launches, copies and the kernels of schedules over sizes and densities, with a fitted
/// line for each and its residuals. `record` is what an earlier call left (or an object without
/// anything): what it has is not measured again. Nothing if `stop` says so meanwhile; what was
/// measured until then is in `record`. Throws InputError if `record` is not such a thing.
std::optional<MeasuredOperations> measure_operations_on_gpu(kernels::CudaBackend& gpu,
                                                            const GpuOperationsOptions& options,
                                                            Json& record);

/// Throws InputError if `record` is not what an interrupted measurement leaves.
void check_operations_record(const Json& record);

/// t = a + b x by least squares of the relative errors, a >= 0. At least one point; x and t > 0.
struct LineFit {
  double a = 0, b = 0;
  double mean_error = 0, worst_error = 0;  ///< relative
};
LineFit fit_line(std::span<const double> x, std::span<const double> t);

struct KernelPoint {
  double elements = 0, pairs = 0, seconds = 0;
};
/// t = fixed + per_element n + per_pair k by least squares of the relative errors, no part
/// negative. `elements`, `pairs`: whether the kernel looks at them. At least one point, t > 0.
KernelCost fit_kernel(std::span<const KernelPoint> points, bool elements, bool pairs);

}  // namespace paceline
