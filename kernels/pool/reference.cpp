#include "kernels/pool/pool.hpp"

#include "kernels/plain.hpp"

namespace paceline::kernels {

ImageShape PoolShape::output() const {
  return slide(input, window, input.channels, ceil_mode);
}
PoolShape global_average(const ImageShape& input) {
  return {.input = input,
          .window = {.kernel_height = input.height, .kernel_width = input.width},
          .kind = PoolKind::average};
}
void PoolShape::check() const {
  need_image(name(), input);
  need_window(name(), input, window);
  need(2 * window.pad_height <= window.kernel_height && 2 * window.pad_width <= window.kernel_width,
       name(), "the padding must not exceed half the kernel");
}

namespace {

// One window, cut to the image; `size` counts what the average divides by.
struct Place {
  std::int64_t top, bottom, left, right, size;
};

Place place(const PoolShape& s, std::int64_t i, std::int64_t j) {
  const Window& w = s.window;
  const std::int64_t top = i * w.stride_height - w.pad_height;
  const std::int64_t left = j * w.stride_width - w.pad_width;
  const std::int64_t bottom = std::min(top + w.kernel_height, s.input.height + w.pad_height);
  const std::int64_t right = std::min(left + w.kernel_width, s.input.width + w.pad_width);
  Place p{std::max<std::int64_t>(top, 0), std::min(bottom, s.input.height),
          std::max<std::int64_t>(left, 0), std::min(right, s.input.width), 0};
  p.size =
      s.count_padding ? (bottom - top) * (right - left) : (p.bottom - p.top) * (p.right - p.left);
  return p;
}

template <class T>
class Pool final : public BasicLayer<T> {
 public:
  explicit Pool(const PoolShape& shape) : shape_(shape), output_(shape.output()) {
    if (shape.kind == PoolKind::max) largest_.resize(static_cast<std::size_t>(output_.elements()));
  }

  void forward(const ForwardPass<T>& pass) override {
    const T* x = values<T>(*pass.inputs[0]);
    T* y = values<T>(pass.output);
    for_each_window([&](std::int64_t out, std::int64_t image, const Place& p) {
      y[out] = shape_.kind == PoolKind::max ? largest(x, out, image, p) : mean(x, image, p);
    });
  }

  void backward(const BackwardPass<T>& pass) override {
    if (!pass.input_gradients[0]) return;
    const T* dy = values<T>(pass.output_gradient);
    T* dx = values<T>(*pass.input_gradients[0]);
    std::fill_n(dx, shape_.input.elements(), T(0));
    for_each_window([&](std::int64_t out, std::int64_t image, const Place& p) {
      if (shape_.kind == PoolKind::max) {
        dx[largest_[static_cast<std::size_t>(out)]] += dy[out];
        return;
      }
      const T share = dy[out] / static_cast<T>(p.size);
      for_each_pixel(image, p, [&](std::int64_t i) { dx[i] += share; });
    });
  }

 private:
  template <class Visit>
  void for_each_window(Visit visit) {
    std::int64_t out = 0;
    for (std::int64_t image = 0; image < output_.batch * output_.channels; ++image)
      for (std::int64_t i = 0; i < output_.height; ++i)
        for (std::int64_t j = 0; j < output_.width; ++j)
          visit(out++, image * shape_.input.pixels(), place(shape_, i, j));
  }
  template <class Visit>
  void for_each_pixel(std::int64_t image, const Place& p, Visit visit) const {
    for (std::int64_t i = p.top; i < p.bottom; ++i)
      for (std::int64_t j = p.left; j < p.right; ++j) visit(image + i * shape_.input.width + j);
  }
  T largest(const T* x, std::int64_t out, std::int64_t image, const Place& p) {
    std::int64_t best = image + p.top * shape_.input.width + p.left;
    for_each_pixel(image, p, [&](std::int64_t i) {
      const bool best_is_nan = x[best] != x[best];
      if (!best_is_nan && !(x[i] <= x[best])) best = i;
    });
    largest_[static_cast<std::size_t>(out)] = best;
    return x[best];
  }
  T mean(const T* x, std::int64_t image, const Place& p) const {
    T sum = 0;
    for_each_pixel(image, p, [&](std::int64_t i) { sum += x[i]; });
    return sum / static_cast<T>(p.size);
  }

  PoolShape shape_;
  ImageShape output_;
  std::vector<std::int64_t> largest_;  // index into the input of each output's maximum
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> PoolShape::make_reference() const {
  return std::make_unique<Pool<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> PoolShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> PoolShape::make_reference() const;

}  // namespace paceline::kernels
