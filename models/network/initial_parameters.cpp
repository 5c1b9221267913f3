#include <cmath>

#include "kernels/random.hpp"
#include "models/network/network.hpp"

namespace paceline {
namespace {

// Uniform in +-spread, or the constant if spread is 0.
struct Start {
  double spread = 0;
  float constant = 0;
};

double inverse_root(std::int64_t n) {
  return 1 / std::sqrt(static_cast<double>(n));
}

// Of the k-th parameter of an operation.
Start start_of(const Operation& op, std::size_t k) {
  const std::vector<std::int64_t>& weight = op.parameters[0].shape;
  switch (op.kind) {
    case OpKind::conv2d:
    case OpKind::dense: {
      const double inverse = inverse_root(element_count(weight) / weight[0]);
      return {op.kind == OpKind::conv2d && k == 0 ? std::sqrt(6.0) * inverse : inverse};
    }
    case OpKind::lstm:
      return {inverse_root(weight[0] / 4)};
    case OpKind::embedding:
      return {0.1};
    case OpKind::batch_norm:
    case OpKind::layer_norm:
      return {0, k == 0 ? 1.0f : 0.0f};
    default:
      return {};
  }
}

}  // namespace

std::vector<float> initial_parameters(const Model& model, std::uint64_t seed) {
  std::vector<float> flat;
  flat.reserve(static_cast<std::size_t>(model.parameters()));
  for (std::size_t t = 0; t < model.tensors().size(); ++t) {
    const std::size_t owner = model.tensors()[t].operations.front();
    std::size_t k = 0;
    while (model.tensors_of(owner)[k] != t) ++k;
    const Start start = start_of(model.operations()[owner], k);
    const auto n = static_cast<std::uint64_t>(model.tensors()[t].elements());
    for (std::uint64_t i = 0; i < n; i += 4) {
      const auto words = kernels::random_words(seed, t, i / 4);
      for (std::uint64_t j = i; j < std::min(i + 4, n); ++j) {
        // Centred in one of 2^24 cells, so that the mean is exactly 0.
        const double unit = ((words[j - i] >> 8) + 0.5) * 0x1p-23 - 1;
        flat.push_back(start.constant + static_cast<float>(start.spread * unit));
      }
    }
  }
  return flat;
}

}  // namespace paceline
