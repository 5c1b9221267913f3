#include "kernels/cpu_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace paceline::kernels {

void* CpuBackend::allocate(std::size_t bytes) {
  constexpr std::size_t line = 64;
  void* memory = std::aligned_alloc(line, std::max(line, (bytes + line - 1) / line * line));
  if (!memory) throw std::bad_alloc();
  return memory;
}
void CpuBackend::release(void* memory) noexcept {
  std::free(memory);
}

void CpuBackend::copy_from_host(void* to, const void* host, std::size_t bytes) {
  copy(to, host, bytes);
}
void CpuBackend::copy_to_host(void* host, const void* from, std::size_t bytes) {
  copy(host, from, bytes);
}
void CpuBackend::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
void CpuBackend::fill(float value, std::span<float> x) {
  std::fill(x.begin(), x.end(), value);
}

double CpuBackend::measure(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void check_host_size(const Activation& activation, std::size_t host_elements) {
  const auto expected = static_cast<std::size_t>(elements(activation.dims()));
  if (host_elements != expected)
    throw std::invalid_argument(fmt::format(
        "an activation of {} elements cannot be copied from or to {}", expected, host_elements));
}

}  // namespace paceline::kernels
