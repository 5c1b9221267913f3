#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/image_shape.hpp"

// Layers that add up or move elements and learn nothing.
namespace paceline::kernels {

/// Sum of two or more inputs of equal dimensions.
///
/// y = x_1 + x_2 + ..., from left to right, then ReLU if the shape says so; every dx_i is dy
/// (cleared where ReLU cut).
struct AddShape {
  Dims dims = {};
  std::int64_t inputs = 2;
  bool relu = false;  ///< apply ReLU to the sum: saves a pass through memory
  [[nodiscard]] const char* name() const { return "add"; }
  [[nodiscard]] std::vector<Dims> input_dims() const {
    return {static_cast<std::size_t>(inputs), dims};
  }
  [[nodiscard]] Dims output_dims() const { return dims; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const AddShape&) const = default;
};

/// Inputs [batch, channels_i, height, width] side by side along the channels.
struct ConcatShape {
  std::int64_t batch = 1;
  std::vector<std::int64_t> channels = {};  ///< of each input
  std::int64_t height = 1, width = 1;
  [[nodiscard]] const char* name() const { return "concat"; }
  [[nodiscard]] std::vector<Dims> input_dims() const;
  [[nodiscard]] Dims output_dims() const;
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const ConcatShape&) const = default;
};

/// The same elements in row-major order under other dimensions (flatten).
struct ReshapeShape {
  Dims input = {}, output = {};
  [[nodiscard]] const char* name() const { return "reshape"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {input}; }
  [[nodiscard]] Dims output_dims() const { return output; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const ReshapeShape&) const = default;
};

/// Option-A shortcut of CIFAR ResNets: every stride-th pixel; new channels are zero, half of them
/// (rounded down) before the old ones.
struct SubsamplePadShape {
  ImageShape input = {};
  std::int64_t channels = 1;  ///< of the output
  std::int64_t stride = 2;
  [[nodiscard]] ImageShape output() const;
  [[nodiscard]] const char* name() const { return "subsample_pad"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {input.dims()}; }
  [[nodiscard]] Dims output_dims() const { return output().dims(); }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const SubsamplePadShape&) const = default;
};

}  // namespace paceline::kernels
