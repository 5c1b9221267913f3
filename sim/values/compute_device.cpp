#include "sim/values/compute_device.hpp"

#include <algorithm>
#include <bit>

namespace paceline {
namespace {

constexpr std::size_t kSmallest = 256, kLargeStep = std::size_t{1} << 20;

// Sizes of selections differ from step to step; of tensors they do not.
std::size_t rounded_up(std::size_t bytes) {
  if (bytes > kLargeStep) return (bytes + kLargeStep - 1) / kLargeStep * kLargeStep;
  return std::bit_ceil(std::max(bytes, kSmallest));
}

}  // namespace

kernels::Backend& host_backend() {
  static const std::unique_ptr<kernels::Backend> host = kernels::make_backend("reference");
  return *host;
}

const ComputeDeviceRef& host_device() {
  static const ComputeDeviceRef host = std::make_shared<ComputeDevice>(ComputeDevice{
      std::shared_ptr<kernels::Backend>(std::shared_ptr<void>(), &host_backend()), nullptr});
  return host;
}

DeviceMemory::DeviceMemory(std::unique_ptr<kernels::Backend> backend)
    : backend_(std::move(backend)) {}

DeviceMemory::~DeviceMemory() {
  free_unused();
}

void DeviceMemory::free_unused() {
  for (const auto& [bytes, blocks] : unused_)
    for (void* memory : blocks) backend_->release(memory);
  unused_.clear();
}

std::shared_ptr<void> DeviceMemory::allocate(std::size_t bytes) {
  bytes = rounded_up(bytes);
  void* memory = nullptr;
  {
    const std::scoped_lock lock(unused_mutex_);
    if (std::vector<void*>& unused = unused_[bytes]; !unused.empty()) {
      memory = unused.back();
      unused.pop_back();
    } else {
      const std::scoped_lock backend(backend_mutex_);
      try {
        memory = backend_->allocate(bytes);
      } catch (const std::exception&) {  // what others have left may make room
        free_unused();
        memory = backend_->allocate(bytes);
      }
    }
  }
  return {memory,
          [self = shared_from_this(), bytes](void* unused) { self->release(unused, bytes); }};
}

void DeviceMemory::release(void* memory, std::size_t bytes) noexcept {
  const std::scoped_lock lock(unused_mutex_);
  unused_[bytes].push_back(memory);
}

}  // namespace paceline
