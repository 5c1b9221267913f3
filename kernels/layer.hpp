#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace paceline::cuda {
class Context;
}

namespace paceline::kernels {

/// Extents of an array, outermost first: [batch, channels, height, width] for images, [batch,
/// steps, features] for sequences, [batch, features] otherwise.
using Dims = std::vector<std::int64_t>;
[[nodiscard]] std::int64_t elements(const Dims& dims);

/// What one layer hands to the next: an array whose contents live where and in the order its
/// backend likes (plain, blocked by oneDNN, on a GPU). Backend::read and Backend::write convert to
/// and from plain row-major fp32. Token numbers and class labels travel as whole numbers in fp32,
/// exact below 2^24. The contents of a new activation are unspecified.
class Activation {
 public:
  explicit Activation(Dims dims) : dims_(std::move(dims)) {}
  virtual ~Activation() = default;
  Activation(const Activation&) = delete;
  Activation& operator=(const Activation&) = delete;
  [[nodiscard]] const Dims& dims() const { return dims_; }

 private:
  Dims dims_;
};

/// Arguments of BasicLayer::forward. Pointers to Scalar are device memory of the backend.
template <class Scalar>
struct ForwardPass {
  std::span<const Activation* const> inputs;
  Activation& output;
  /// One pointer per learnable tensor, each plain row-major, in the order of the layer's shape.
  std::span<const Scalar* const> parameters = {};
  /// The worker's memory of `state_elements` values that lives from step to step: running
  /// statistics of batch_norm, hidden and cell state of lstm. Updated in training (lstm: always).
  Scalar* state = nullptr;
  bool training = true;
  std::uint64_t seed = 0;  ///< of this step's dropout masks; other layers do not look
};

/// Arguments of BasicLayer::backward: those of the forward pass that came before, unchanged.
template <class Scalar>
struct BackwardPass {
  std::span<const Activation* const> inputs;
  const Activation& output;
  const Activation& output_gradient;
  std::span<const Scalar* const> parameters = {};
  /// One per input; null where no gradient is wanted. Overwritten, not accumulated.
  std::span<Activation* const> input_gradients;
  /// One per parameter, plain row-major. Overwritten. All null: none wanted (then none computed).
  std::span<Scalar* const> parameter_gradients = {};
};

/// One layer of a network for one fixed shape. Between forward() in training mode and the
/// backward() that follows it, the layer keeps what backward needs (masks, statistics, positions of
/// maxima), so a forward pass of another batch must not come between; otherwise it holds nothing of
/// any worker, and one network may serve many workers in turn. Not to be called from two threads at
/// once; which thread calls does not matter.
template <class Scalar>
class BasicLayer {
 public:
  virtual ~BasicLayer() = default;
  virtual void forward(const ForwardPass<Scalar>& pass) = 0;
  virtual void backward(const BackwardPass<Scalar>& pass) = 0;
};
using Layer = BasicLayer<float>;

}  // namespace paceline::kernels
