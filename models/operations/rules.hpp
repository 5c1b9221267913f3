#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/shapes.hpp"

/// What the type of an operation says of itself, and what it is told when it is asked. Each type in
/// this folder has
///   name                    as in model files
///   fields(a, f)            its attributes, listed once for reading and writing:
///   attribute_json.cpp arity                   how many inputs it reads, if not one
///   infer(Inference)        checks attributes and inputs; output shape and parameters
///   costs(Sizes)            FLOPs and bytes, by the rules of operation_costs.hpp
///   kept(Sizes)             what its backward pass wants from the forward pass
///   layer(BatchedInputs)    the layer of kernels/ that executes it; left out where none does
///   initial(k, weight)      how its k-th parameter starts, `weight` being the first one's shape; 0
///                           if left out
/// and stands in the list of operation.hpp. That is all there is to adding one.
namespace paceline {

struct Operation;

/// Extents of what one sample has: [channels, height, width], [steps, features], [features].
using TensorShape = std::vector<std::int64_t>;
/// Product of the dimensions.
std::int64_t element_count(const TensorShape& shape);
/// "[64, 56, 56]"
std::string shape_text(const TensorShape& shape);

/// Height and width of a window, its stride or its padding; one number means both.
struct Extent {
  std::int64_t height = 1;
  std::int64_t width = 1;
  constexpr Extent(std::int64_t both = 1) : height(both), width(both) {}  // NOLINT: `.kernel = 3`
  constexpr Extent(std::int64_t h, std::int64_t w) : height(h), width(w) {}
  bool operator==(const Extent&) const = default;
};

struct Arity {
  std::size_t least = 1, most = 1;
};

/// An operation on its way into a model: what it reads, and where its shape and parameters go.
/// Whatever does not fit throws InputError (without the operation's name).
class Inference {
 public:
  Inference(Operation& operation, const std::vector<const Operation*>& inputs)
      : operation_(operation), inputs_(inputs) {}

  [[nodiscard]] std::size_t inputs() const { return inputs_.size(); }
  [[nodiscard]] const std::string& name_of(std::size_t input) const;
  [[nodiscard]] const TensorShape& shape(std::size_t input = 0) const;
  /// The shape if it is one of an image, [channels, height, width], or of a sequence, [steps,
  /// features].
  [[nodiscard]] const TensorShape& image(std::size_t input = 0) const;
  [[nodiscard]] const TensorShape& sequence(std::size_t input = 0) const;
  /// Token numbers of the input run from 0 to one less than this; 0: real values.
  [[nodiscard]] std::int64_t token_entries(std::size_t input = 0) const;

  void output(TensorShape shape);
  /// "<operation>.<suffix>"
  void parameter(const char* suffix, TensorShape shape);
  /// One that an earlier operation owns.
  void tied_parameter(const std::string& tensor, TensorShape shape);
  /// The only one, called as the operation is.
  void parameter_of_same_name(TensorShape shape);

  static void at_least(std::int64_t value, std::int64_t least, const char* what);
  static void probability(double p);
  /// "<what> '<first input>' gives [...] and '<this input>' [...]"
  [[noreturn]] void refuse_shapes(const char* what, std::size_t input) const;
  /// After the type's own: sizes within reason.
  void finish() const;

 private:
  Operation& operation_;
  const std::vector<const Operation*>& inputs_;
};

/// Output of a window that slides over an image.
TensorShape slide(const TensorShape& image, std::int64_t channels, Extent kernel, Extent stride,
                  Extent padding, bool ceil_mode);
/// The same for a pool, whose padding must not exceed half its kernel.
TensorShape pooled(const TensorShape& image, Extent kernel, Extent stride, Extent padding,
                   bool ceil_mode);

/// Per ONE sample (image or sequence): multiply by the batch, except `parameter_bytes` and
/// `gradient_bytes`, which occur once per batch.
struct SampleCosts {
  double macs = 0;  ///< multiply-accumulates of the forward matrix products and convolutions
  double forward_flops = 0;
  double backward_data_flops = 0;    ///< gradient of the inputs; 0 if no input needs one
  double backward_weight_flops = 0;  ///< gradient of the parameters
  double forward_bytes = 0;          ///< activations read and written, fp32
  double backward_bytes = 0;         ///< both backward passes
  double backward_weight_bytes = 0;  ///< the part of backward_bytes due to the parameters' gradient
  double parameter_bytes = 0;        ///< parameters read, in the forward and again in the data pass
  double gradient_bytes = 0;         ///< parameter gradients written
  bool operator==(const SampleCosts&) const = default;
};

constexpr double kElementBytes = 4;  // fp32

/// Sizes of one operation in elements, as floating point: FLOP counts exceed 2^63 only in nonsense,
/// but their products with a batch should not wrap either.
struct Sizes {
  const TensorShape& input;  ///< of the first one; empty if there is none
  const TensorShape& output;
  double in = 0;           ///< all inputs
  double in_gradient = 0;  ///< of those, the ones that need a gradient
  double out = 0;
  double parameters = 0;
};

/// Nothing but its parameters, once read and once written as gradients.
SampleCosts parameter_costs(const Sizes& s);
/// FLOPs per element of the output; what the passes read and write, in elements.
SampleCosts element_costs(const Sizes& s, double forward, double backward,
                             double forward_elements, double backward_elements);
/// Convolutions and linear layers: three matrix products of `macs`.
SampleCosts matrix_costs(const Sizes& s, double macs, bool bias);

struct KeptForBackward {
  bool inputs = false;
  bool output = false;
  double extra_elements = 0;  ///< of its own: masks, indices, gates, probabilities
};

/// Uniform in +-spread, or the constant if spread is 0.
struct InitialValues {
  double spread = 0;
  float constant = 0;
};
double inverse_root(std::int64_t n);

/// What an operation reads when it is executed for a batch.
struct BatchedInputs {
  std::int64_t batch;
  std::size_t operation;                        ///< its number in the model
  const kernels::Dims& dims;                    ///< of the first input, as it lies in memory
  std::vector<const TensorShape*> shapes = {};  ///< of one sample of each

  [[nodiscard]] const TensorShape& shape() const { return *shapes[0]; }
  /// The first input; a vector counts as an image of one pixel.
  [[nodiscard]] kernels::ImageShape image() const;
  /// Rows of the first input's last dimension, and its elements, in the whole batch.
  [[nodiscard]] std::int64_t rows() const;
  [[nodiscard]] std::int64_t elements() const;
};
kernels::Window window(Extent kernel, Extent stride, Extent padding);

}  // namespace paceline
