#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/operations/selector.hpp"

namespace paceline {

/// Index of a parameter tensor, in forward order.
using TensorId = std::uint32_t;

/// Consecutive parameter tensors [first, last], both included: contiguous in the flat parameter
/// vector.
struct TensorRange {
  TensorId first = 0;
  TensorId last = 0;
};

/// What a schedule may know of the model and of what its parts cost on an undisturbed device.
struct ModelShape {
  struct Item {
    std::string name;
    std::int64_t elements = 0;
    std::int64_t offset = 0;  ///< in the flat parameter vector, elements
    double forward_s = 0;     ///< see StepCosts: cumulative sums are what counts
    double backward_s = 0;
    std::int64_t rows = 1;  ///< as a matrix [rows, elements / rows]; 1 for vectors
  };
  std::vector<Item> tensors;             ///< forward order
  std::vector<TensorId> backward_order;  ///< the order in which backward yields gradients
  std::int64_t elements = 0;             ///< of the whole model

  /// How many parameter tensors these elements of the flat parameter vector touch.
  [[nodiscard]] std::int64_t tensors_in(std::int64_t offset, std::int64_t count) const {
    const auto first = std::upper_bound(tensors.begin(), tensors.end(), offset,
                                        [](std::int64_t o, const Item& t) { return o < t.offset; });
    const auto last = std::lower_bound(first, tensors.end(), offset + count,
                                       [](const Item& t, std::int64_t o) { return t.offset < o; });
    return last - first + (first == tensors.begin() ? 0 : 1);
  }
  [[nodiscard]] std::int64_t range_elements(TensorRange r) const {
    return tensors[r.last].offset + tensors[r.last].elements - tensors[r.first].offset;
  }
};

}  // namespace paceline
