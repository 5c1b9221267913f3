#include "kernels/random.hpp"
#include "models/network/network.hpp"

namespace paceline {
namespace {

// Of the k-th parameter of an operation.
InitialValues initial_of(const Operation& op, std::size_t k) {
  return std::visit(
      [&](const auto& a) {
        if constexpr (requires { a.initial(k, op.parameters[0].shape); })
          return a.initial(k, op.parameters[0].shape);
        else
          return InitialValues{};
      },
      op.attributes);
}

}  // namespace

std::vector<float> initial_parameters(const Model& model, std::uint64_t seed) {
  std::vector<float> flat;
  flat.reserve(static_cast<std::size_t>(model.parameters()));
  for (std::size_t t = 0; t < model.tensors().size(); ++t) {
    const std::size_t owner = model.tensors()[t].operations.front();
    std::size_t k = 0;
    while (model.tensors_of(owner)[k] != t) ++k;
    const InitialValues start = initial_of(model.operations()[owner], k);
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
