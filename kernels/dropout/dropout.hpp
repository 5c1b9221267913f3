#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layer.hpp"

namespace paceline::kernels {

/// Zeroes an element with probability p and scales the rest by 1/(1-p); in inference the identity.
/// Whether element i is kept depends on (seed of the pass, layer, i) alone.
struct DropoutShape {
  Dims dims = {};
  double probability = 0.5;
  std::uint64_t layer = 0;  ///< tells the dropout layers of a network apart
  [[nodiscard]] const char* name() const { return "dropout"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {dims}; }
  [[nodiscard]] Dims output_dims() const { return dims; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const DropoutShape&) const = default;
};

namespace reference {

/// Element i (row-major) is kept if word i%4 of random_words(seed, layer, i/4) is at least
/// round(probability * 2^32).
void dropout_mask(const DropoutShape& shape, std::uint64_t seed, std::vector<bool>& kept);

}  // namespace reference
}  // namespace paceline::kernels
