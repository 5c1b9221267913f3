#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/image_shape.hpp"

namespace paceline::kernels {

enum class PoolKind { max, average };
/// Global average pooling is the window that covers the image: global_average(input).
///
/// Max: the largest element of the window (a NaN wins), padding left out; the gradient goes to the
/// first of equal ones. Average: the sum over the window divided by the elements inside the image,
/// or, with count_padding, inside image and padding (a window that ceil_mode lets hang over the
/// padding is cut).
struct PoolShape {
  ImageShape input = {};
  Window window = {};
  PoolKind kind = PoolKind::max;
  bool ceil_mode = false;  ///< a last, partial window is kept if it starts inside image or padding
  bool count_padding = true;  ///< average: padded zeros inside the window count in the mean
  [[nodiscard]] ImageShape output() const;
  [[nodiscard]] const char* name() const { return kind == PoolKind::max ? "max_pool" : "avg_pool"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {input.dims()}; }
  [[nodiscard]] Dims output_dims() const { return output().dims(); }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const PoolShape&) const = default;
};
PoolShape global_average(const ImageShape& input);

}  // namespace paceline::kernels
