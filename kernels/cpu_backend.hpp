#pragma once

#include "kernels/backend.hpp"

namespace paceline::kernels {

/// Host memory. Stateless.
class CpuBackend : public Backend {
 public:
  void* allocate(std::size_t bytes) override;
  void release(void* memory) noexcept override;
  void copy_from_host(void* to, const void* host, std::size_t bytes) override;
  void copy_to_host(void* host, const void* from, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fill(float value, std::span<float> x) override;
  void synchronize() override {}
  double measure(const std::function<void()>& work) override;
};

/// The host array given to read() or write() has as many elements as the activation: throws
/// std::invalid_argument if not.
void check_host_size(const Activation& activation, std::size_t host_elements);

std::unique_ptr<Backend> make_reference_backend();
std::unique_ptr<Backend> make_onednn_backend();  ///< only where oneDNN was found at build time

}  // namespace paceline::kernels
