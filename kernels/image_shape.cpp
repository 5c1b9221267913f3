#include "kernels/image_shape.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline::kernels {
namespace {

std::int64_t windows(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                     bool ceil_mode) {
  const std::int64_t room = size + 2 * pad - kernel;
  std::int64_t count = (ceil_mode ? room + stride - 1 : room) / stride + 1;
  if (ceil_mode && (count - 1) * stride >= size + pad) --count;
  return count;
}

}  // namespace

ImageShape slide(const ImageShape& in, const Window& w, std::int64_t channels, bool ceil_mode) {
  return {in.batch, channels,
          windows(in.height, w.kernel_height, w.stride_height, w.pad_height, ceil_mode),
          windows(in.width, w.kernel_width, w.stride_width, w.pad_width, ceil_mode)};
}

void need(bool holds, const char* layer, const std::string& message) {
  if (!holds) throw InputError(fmt::format("{}: {}", layer, message));
}

void need_positive(const char* layer,
                   std::initializer_list<std::pair<const char*, std::int64_t>> fields) {
  for (const auto& [name, value] : fields)
    need(value >= 1, layer, fmt::format("{} must be at least 1, found {}", name, value));
}

void need_positive(const char* layer, const Dims& dims) {
  need(!dims.empty(), layer, "needs at least one dimension");
  for (std::int64_t extent : dims)
    need(extent >= 1, layer, fmt::format("dimensions must be at least 1, found {}", extent));
}

void need_image(const char* layer, const ImageShape& x) {
  need_positive(
      layer,
      {{"batch", x.batch}, {"channels", x.channels}, {"height", x.height}, {"width", x.width}});
}

void need_window(const char* layer, const ImageShape& x, const Window& w) {
  need_positive(layer, {{"kernel height", w.kernel_height},
                        {"kernel width", w.kernel_width},
                        {"stride height", w.stride_height},
                        {"stride width", w.stride_width}});
  need(w.pad_height >= 0 && w.pad_width >= 0, layer, "padding must not be negative");
  need(
      w.kernel_height <= x.height + 2 * w.pad_height && w.kernel_width <= x.width + 2 * w.pad_width,
      layer,
      fmt::format("a window of {}x{} does not fit in an image of {}x{} with padding {}x{}",
                  w.kernel_height, w.kernel_width, x.height, x.width, w.pad_height, w.pad_width));
}

}  // namespace paceline::kernels
