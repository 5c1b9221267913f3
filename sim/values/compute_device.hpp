#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/backend.hpp"

namespace paceline {

/// The host's own backend for operations on vectors. Stateless.
kernels::Backend& host_backend();

/// The memory of a GPU that workers compute on, beside the host's. All backends on that GPU reach
/// it. Any thread may call.
class DeviceMemory : public std::enable_shared_from_this<DeviceMemory> {
 public:
  /// `backend` works for whoever is not a worker: copies from and to the host, collectives.
  explicit DeviceMemory(std::unique_ptr<kernels::Backend> backend);
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory();

  /// Contents unspecified. Nothing may work on it any more when it is released.
  [[nodiscard]] std::shared_ptr<void> allocate(std::size_t bytes);
  /// work(backend), while nobody else uses that backend; it has been done when this returns.
  template <class Work>
  void run(const Work& work) {
    const std::scoped_lock lock(backend_mutex_);
    work(*backend_);
    backend_->synchronize();
  }

 private:
  void release(void* memory, std::size_t bytes) noexcept;
  void free_unused();

  std::unique_ptr<kernels::Backend> backend_;
  std::mutex backend_mutex_, unused_mutex_;
  // By size. To give memory back to a GPU waits for all that runs there.
  std::map<std::size_t, std::vector<void*>> unused_;
};

/// What the operations of a strand run on: a backend, and where that finds its operands.
struct ComputeDevice {
  std::shared_ptr<kernels::Backend> backend;  ///< one task at a time; keeps alive what owns it
  std::shared_ptr<DeviceMemory> memory;       ///< null: the host's

  /// At the end of a task: what it has computed is there for all.
  void finish() const {
    if (memory) backend->synchronize();
  }
};
using ComputeDeviceRef = std::shared_ptr<const ComputeDevice>;

/// The host as a device.
const ComputeDeviceRef& host_device();

}  // namespace paceline
