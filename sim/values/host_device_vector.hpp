#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "sim/values/archive.hpp"

namespace paceline {

class DeviceMemory;

/// A vector in the host's memory, in a device's, or in both. It knows for every range which of them
/// holds the newest values, and copies nothing before somebody reads them elsewhere. Zeros until
/// written; memory is taken when it is first touched.
///
/// Any thread may call. Whoever writes a range must be alone with that range until the span is no
/// more used; other ranges may be read and written meanwhile. `where` null: the host.
template <class T>
class HostDeviceVector {
 public:
  explicit HostDeviceVector(std::size_t size = 0) : size_(size) {}
  explicit HostDeviceVector(const std::vector<T>& values);
  HostDeviceVector(const HostDeviceVector&) = delete;
  HostDeviceVector& operator=(const HostDeviceVector&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  /// Forgets the contents.
  void reset(std::size_t size);

  [[nodiscard]] std::span<const T> read(DeviceMemory* where, std::size_t offset,
                                        std::size_t count) {
    if (where != nullptr || !host_only_.load(std::memory_order_acquire))
      bring(where, offset, count);
    return {memory(where) + offset, count};
  }
  /// Every element is going to be written: contents unspecified.
  [[nodiscard]] std::span<T> write(DeviceMemory* where, std::size_t offset, std::size_t count) {
    if (where != nullptr || !host_only_.load(std::memory_order_acquire))
      claim(where, offset, count);
    return {memory(where) + offset, count};
  }
  [[nodiscard]] std::span<T> change(DeviceMemory* where, std::size_t offset, std::size_t count) {
    (void)read(where, offset, count);
    return write(where, offset, count);
  }
  [[nodiscard]] std::span<const T> read(DeviceMemory* where = nullptr) {
    return read(where, 0, size_);
  }
  [[nodiscard]] std::span<T> write(DeviceMemory* where = nullptr) { return write(where, 0, size_); }
  [[nodiscard]] std::span<T> change(DeviceMemory* where = nullptr) {
    return change(where, 0, size_);
  }

  /// For whoever has written or read there before: only those ranges are to be touched.
  [[nodiscard]] std::span<T> whole(DeviceMemory* where) const { return {memory(where), size_}; }

  /// The device whose memory holds the newest values of the whole range; null: the host does, or
  /// each of them a part.
  [[nodiscard]] DeviceMemory* device_of(std::size_t offset, std::size_t count) const;

  void save(ArchiveWriter& archive);
  /// As saved; a vector that had not been touched stays as it is.
  void load(ArchiveReader& archive);

 private:
  enum class Newest : std::uint8_t { nowhere, host, device, both };  // nowhere: zeros

  [[nodiscard]] T* memory(DeviceMemory* where) const {
    return where != nullptr ? static_cast<T*>(device_.get()) : host_.get();
  }
  void bring(DeviceMemory* where, std::size_t offset, std::size_t count);
  void claim(DeviceMemory* where, std::size_t offset, std::size_t count);
  void take_host_memory(bool zero);
  void take_device_memory(DeviceMemory& where);
  void copy_piece(DeviceMemory* where, std::size_t begin, std::size_t end, Newest newest);
  void note(std::size_t begin, std::size_t end, Newest newest);
  template <class F>
  void for_pieces(std::size_t offset, std::size_t count, const F& f) const;

  std::size_t size_;
  std::atomic<bool> host_only_{false};  // in the host's memory as a whole, and nowhere else
  mutable std::mutex mutex_;            // what follows; memory once taken stays where it is
  std::unique_ptr<T[]> host_;
  std::shared_ptr<void> device_;
  std::shared_ptr<DeviceMemory> on_;      // whose memory device_ is
  std::map<std::size_t, Newest> newest_;  // until the next one's key; empty without a device
};

extern template class HostDeviceVector<float>;
extern template class HostDeviceVector<std::int32_t>;

}  // namespace paceline
