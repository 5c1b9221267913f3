#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layer.hpp"

namespace paceline::kernels {

/// Token numbers [rows] -> [rows, features]. Parameter: table [entries, features].
///
/// y[i,:] = table[token i,:]; the gradient of the table sums the rows of dy in order of i. Tokens
/// get no gradient. Throws InputError at a token that is not a whole number in [0, entries).
struct EmbeddingShape {
  std::int64_t rows = 1, entries = 1, features = 1;
  [[nodiscard]] const char* name() const { return "embedding"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {{rows}}; }
  [[nodiscard]] Dims output_dims() const { return {rows, features}; }
  [[nodiscard]] std::vector<Dims> parameter_dims() const { return {{entries, features}}; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const EmbeddingShape&) const = default;
};

}  // namespace paceline::kernels
