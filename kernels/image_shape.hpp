#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "kernels/layer.hpp"

// What the shapes of several layers have in common: images, windows that slide over them, and the
// checks of check().
namespace paceline::kernels {

struct ImageShape {
  std::int64_t batch = 1, channels = 1, height = 1, width = 1;
  [[nodiscard]] std::int64_t pixels() const { return height * width; }
  [[nodiscard]] std::int64_t elements() const { return batch * channels * pixels(); }
  [[nodiscard]] Dims dims() const { return {batch, channels, height, width}; }
  bool operator==(const ImageShape&) const = default;
};

struct Window {
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t stride_height = 1, stride_width = 1;
  std::int64_t pad_height = 0, pad_width = 0;  ///< zeros on each side
  bool operator==(const Window&) const = default;
};
constexpr Window square_window(std::int64_t kernel, std::int64_t stride = 1, std::int64_t pad = 0) {
  return {kernel, kernel, stride, stride, pad, pad};
}

/// What a window leaves of an image. With ceil_mode a last, partial window counts if it starts
/// inside the image or its leading padding (Caffe and PyTorch alike).
ImageShape slide(const ImageShape& image, const Window& window, std::int64_t channels,
                 bool ceil_mode);

// Each throws InputError, "<layer>: ...", if the condition does not hold.
void need(bool holds, const char* layer, const std::string& message);
void need_positive(const char* layer,
                   std::initializer_list<std::pair<const char*, std::int64_t>> fields);
void need_positive(const char* layer, const Dims& dims);
void need_image(const char* layer, const ImageShape& image);
void need_window(const char* layer, const ImageShape& image, const Window& window);

}  // namespace paceline::kernels
