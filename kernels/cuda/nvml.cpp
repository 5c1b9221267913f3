#include "kernels/cuda/nvml.hpp"

#include <dlfcn.h>

namespace paceline::cuda {
namespace {

// nvmlReturn_t is 0 for success; the enumerations below are part of NVML's stable ABI.
constexpr unsigned clock_sm = 1;
constexpr unsigned clock_memory = 2;
constexpr unsigned temperature_gpu = 0;

template <class... Arguments>
bool call(void* library, const char* name, Arguments... arguments) {
  if (library == nullptr) return false;
  const auto function = reinterpret_cast<int (*)(Arguments...)>(dlsym(library, name));
  return function != nullptr && function(arguments...) == 0;
}

}  // namespace

Nvml::Nvml(const std::string& pci_bus_id) {
  library_ = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!call(library_, "nvmlInit_v2")) {
    library_ = nullptr;
    return;
  }
  if (!call(library_, "nvmlDeviceGetHandleByPciBusId_v2", pci_bus_id.c_str(), &device_))
    device_ = nullptr;
}

kernels::CudaClocks Nvml::clocks() const {
  kernels::CudaClocks result;
  if (device_ == nullptr) return result;
  unsigned value = 0;
  if (call(library_, "nvmlDeviceGetClockInfo", device_, clock_sm, &value))
    result.sm_mhz = static_cast<int>(value);
  if (call(library_, "nvmlDeviceGetClockInfo", device_, clock_memory, &value)) {
    result.memory_mhz = static_cast<int>(value);
  }
  if (call(library_, "nvmlDeviceGetTemperature", device_, temperature_gpu, &value)) {
    result.celsius = static_cast<int>(value);
  }
  if (call(library_, "nvmlDeviceGetPowerUsage", device_, &value)) result.watts = value / 1000.0;
  return result;
}

void Nvml::describe(kernels::CudaDeviceInfo& info) const {
  if (device_ == nullptr) return;
  char text[96] = "";
  if (call(library_, "nvmlSystemGetDriverVersion", &text[0], static_cast<unsigned>(sizeof text)))
    info.driver = text;
  unsigned value = 0;
  const auto read = [&](const char* name, int& into) {
    if (call(library_, name, device_, &value)) into = static_cast<int>(value);
  };
  if (call(library_, "nvmlDeviceGetMaxClockInfo", device_, clock_sm, &value)) {
    info.max_sm_clock_mhz = static_cast<int>(value);
  }
  if (call(library_, "nvmlDeviceGetMaxClockInfo", device_, clock_memory, &value)) {
    info.max_memory_clock_mhz = static_cast<int>(value);
  }
  read("nvmlDeviceGetCurrPcieLinkGeneration", info.pcie_generation);
  read("nvmlDeviceGetCurrPcieLinkWidth", info.pcie_width);
  read("nvmlDeviceGetMaxPcieLinkGeneration", info.max_pcie_generation);
  read("nvmlDeviceGetMaxPcieLinkWidth", info.max_pcie_width);
  if (call(library_, "nvmlDeviceGetEnforcedPowerLimit", device_, &value))
    info.power_limit_watts = value / 1000.0;
  unsigned pending = 0;
  if (call(library_, "nvmlDeviceGetEccMode", device_, &value, &pending)) info.ecc = value == 1;
  if (call(library_, "nvmlDeviceGetMigMode", device_, &value, &pending)) info.mig = value == 1;
  if (call(library_, "nvmlDeviceGetPersistenceMode", device_, &value))
    info.persistence = value == 1;
}

}  // namespace paceline::cuda
