#pragma once

#include <string>

#include "kernels/cuda_module.hpp"

namespace paceline::cuda {

/// NVIDIA's management library, opened at run time with prototypes of our own (no header, no link):
/// the driver brings it, containers may not. Everything stays at its "unknown" value where it is
/// absent.
class Nvml {
 public:
  /// `pci_bus_id` as cudaDeviceGetPCIBusId writes it.
  explicit Nvml(const std::string& pci_bus_id);
  [[nodiscard]] kernels::CudaClocks clocks() const;
  void describe(kernels::CudaDeviceInfo& info) const;

 private:
  void* library_ = nullptr;
  void* device_ = nullptr;
};

}  // namespace paceline::cuda
