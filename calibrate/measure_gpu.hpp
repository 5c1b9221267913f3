#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "calibrate/measure_operations.hpp"
#include "kernels/cuda_module.hpp"

namespace paceline {

/// How many sets of buffers, of so many bytes each, exceed twice the L2 together: at most 64, and
/// no more than fit a quarter of the memory.
int rotation(const kernels::CudaBackend& gpu, double bytes);

/// Ceilings, launches, copies and the kernels of schedules over sizes and densities, with a fitted
/// t = a + b n for each and its residuals. `most_elements`: the largest vector tried. Nothing if
/// `stop` says so meanwhile. `report` takes the share that is done.
std::optional<MeasuredOperations> measure_operations_on_gpu(
    kernels::CudaBackend& gpu, std::size_t most_elements, const std::function<bool()>& stop,
    const std::function<void(double)>& report);

/// t = a + b x by least squares of the relative errors, a >= 0. At least one point; x and t > 0.
struct LineFit {
  double a = 0, b = 0;
  double mean_error = 0, worst_error = 0;  ///< relative
};
LineFit fit_line(std::span<const double> x, std::span<const double> t);

}  // namespace paceline
