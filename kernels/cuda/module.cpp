// The module's C interface: what kernels/cuda_module.cpp looks up after opening it.

#include <cstdio>
#include <exception>

#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/nvml.hpp"

namespace paceline::cuda {
namespace {

std::string version_text(int version) {  // 13000: 13.0
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  PACELINE_CHECK(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

}  // namespace

#ifndef PACELINE_HAVE_CUDNN
std::string cudnn_version() {
  return "";
}
#endif

kernels::CudaDeviceInfo read_device_info(int device) {
  kernels::CudaDeviceInfo info;
  cudaDeviceProp properties{};
  PACELINE_CHECK(cudaGetDeviceProperties(&properties, device));
  info.name = properties.name;
  char text[64] = "";
  PACELINE_CHECK(cudaDeviceGetPCIBusId(text, sizeof text, device));
  info.pci_bus_id = text;
  for (const char byte : properties.uuid.bytes) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", static_cast<unsigned char>(byte));
    info.uuid += hex;
  }
  info.compute_major = attribute(cudaDevAttrComputeCapabilityMajor, device);
  info.compute_minor = attribute(cudaDevAttrComputeCapabilityMinor, device);
  info.multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device);
  info.l2_bytes = attribute(cudaDevAttrL2CacheSize, device);
  info.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  info.memory_bus_bits = attribute(cudaDevAttrGlobalMemoryBusWidth, device);
  // In kHz, and attributes: the fields of cudaDeviceProp are gone in CUDA 13.
  info.max_sm_clock_mhz = attribute(cudaDevAttrClockRate, device) / 1000;
  info.max_memory_clock_mhz = attribute(cudaDevAttrMemoryClockRate, device) / 1000;
  int version = 0;
  PACELINE_CHECK(cudaRuntimeGetVersion(&version));
  info.cuda_runtime = version_text(version);
  PACELINE_CHECK(cudaDriverGetVersion(&version));
  info.driver = "CUDA " + version_text(version);
  int parts[3] = {0, 0, 0};
  PACELINE_CHECK(cublasGetProperty(MAJOR_VERSION, &parts[0]));
  PACELINE_CHECK(cublasGetProperty(MINOR_VERSION, &parts[1]));
  PACELINE_CHECK(cublasGetProperty(PATCH_LEVEL, &parts[2]));
  info.cublas =
      std::to_string(parts[0]) + "." + std::to_string(parts[1]) + "." + std::to_string(parts[2]);
  info.cudnn = cudnn_version();
  info.engine = convolution_engine();
  Nvml(info.pci_bus_id).describe(info);
  return info;
}

}  // namespace paceline::cuda

extern "C" {

__attribute__((visibility("default"))) const char* paceline_cuda_abi() {
  return PACELINE_ABI;
}

/// The backend of GPU `device`, or null with the reason in `message`.
__attribute__((visibility("default"))) paceline::kernels::CudaBackend* paceline_cuda_create(
    int device, char* message, std::size_t size) {
  try {
    const std::string reason = paceline::cuda::why_not(device);
    if (reason.empty()) return new paceline::cuda::Cuda(device);
    std::snprintf(message, size, "%s", reason.c_str());
  } catch (const std::exception& error) {
    std::snprintf(message, size, "GPU %d cannot be used: %s", device, error.what());
  }
  return nullptr;
}

}  // extern "C"
