#pragma once

#include <span>
#include <type_traits>
#include <vector>

#include "kernels/backend.hpp"

namespace paceline {

/// The host's own backend for operations on vectors. Stateless.
kernels::Backend& host_backend();

/// Vectors in the host's memory as operands of a backend's operations: themselves where the backend
/// computes there, else copies in the device's memory. Used by one strand.
class Operands {
 public:
  explicit Operands(kernels::Backend& backend) : backend_(backend) {}
  [[nodiscard]] kernels::Backend& backend() { return backend_; }

  /// For the operations called before done().
  template <class T>
  std::span<const T> read(std::span<const T> host) {
    if (backend_.on_host()) return host;
    return {copy_of(const_cast<T*>(host.data()), host.size(), true, false), host.size()};
  }
  /// Every element is going to be written.
  template <class T>
  std::span<T> write(std::span<T> host) {
    return output(host, false);
  }
  template <class T>
  std::span<T> change(std::span<T> host) {
    return output(host, true);
  }
  /// What was written is in the host's memory; the operands are no more.
  void done();

 private:
  struct Copy {
    kernels::Array<std::byte> memory;
    void* host = nullptr;
    std::size_t bytes = 0;
    bool written = false;
  };
  template <class T>
  std::span<T> output(std::span<T> host, bool read_too) {
    if (backend_.on_host()) return host;
    return {copy_of(host.data(), host.size(), read_too, true), host.size()};
  }
  template <class T>
  T* copy_of(T* host, std::size_t size, bool read, bool written) {
    static_assert(std::is_trivially_copyable_v<T>);
    return static_cast<T*>(place(host, size * sizeof(T), read, written));
  }
  void* place(void* host, std::size_t bytes, bool read, bool written);

  kernels::Backend& backend_;
  std::vector<Copy> copies_;
  std::size_t used_ = 0;
};

}  // namespace paceline
