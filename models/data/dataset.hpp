#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/data/batch.hpp"

namespace paceline {

enum class Split { train, test };

/// Samples with labels, in a part for training and one for testing. All functions but the
/// constructors may be called from several threads at once, and give the same values always.
class Dataset {
 public:
  virtual ~Dataset() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual std::int64_t size(Split split) const = 0;  ///< samples
  /// [channels, height, width] of an image; [steps] of a sequence of tokens.
  [[nodiscard]] virtual const std::vector<std::int64_t>& sample_shape() const = 0;
  [[nodiscard]] virtual std::int64_t classes() const = 0;  ///< or words
  /// Tokens in an order that matters, one label per step: sample i+1 continues sample i.
  [[nodiscard]] virtual bool sequential() const { return false; }
  /// Of a data set that is not sequential.
  [[nodiscard]] virtual std::int64_t label(Split split, std::int64_t index) const = 0;
  /// Resizes the batch and fills it with these samples, in this order.
  virtual void fill(Split split, std::span<const std::int64_t> indices, Batch& batch) const = 0;
};

}  // namespace paceline
