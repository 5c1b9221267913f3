#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/measure/gpu.hpp"

// What measure_gpu_operations.cpp is made of.
namespace paceline {

struct Interrupted {};

/// The kernels of schedules over sizes and densities: rows of `record`, one per kernel, to which
/// points are added that are not there yet.
class KernelTable {
 public:
  /// Throws InputError if `rows` is not what an earlier one left.
  KernelTable(kernels::CudaBackend& gpu, const GpuOperationsOptions& options, Json& rows);

  /// All kernels on vectors of n elements. Throws Interrupted.
  void measure(std::size_t n);
  /// Fits the kernels, with the error of every point beside it.
  std::map<std::string, KernelCost, std::less<>> fit();
  [[nodiscard]] std::vector<KernelPoint> of(std::string_view kernel) const;

 private:
  struct Kernel;
  struct Buffers;
  static std::vector<Kernel> structured();
  static const std::vector<Kernel>& all();
  [[nodiscard]] Json& row_of(std::string_view kernel);
  [[nodiscard]] bool known(std::string_view kernel, std::size_t n, std::size_t k);
  void measure(const Kernel& kernel, std::vector<std::unique_ptr<Buffers>>& sets);

  kernels::CudaBackend& gpu_;
  const GpuOperationsOptions& options_;
  Json& rows_;
  kernels::Array<float> noise_;
};

}  // namespace paceline
