#include "kernels/layer_norm/layer_norm.hpp"

#include <cmath>

#include "kernels/image_shape.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels {

void LayerNormShape::check() const {
  need_positive("layer_norm", {{"rows", rows}, {"features", features}});
  need(epsilon > 0, "layer_norm", "epsilon must be positive");
}

namespace {

using reference::interleaved_sum;

template <class T>
class LayerNorm final : public BasicLayer<T> {
 public:
  explicit LayerNorm(const LayerNormShape& shape) : shape_(shape) {
    mean_.resize(static_cast<std::size_t>(shape.rows));
    inverse_.resize(mean_.size());
  }

  void forward(const ForwardPass<T>& pass) override {
    const std::int64_t n = shape_.features;
    const double count = static_cast<double>(n);
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const T* x = values<T>(*pass.inputs[0]) + row * n;
      T* y = values<T>(pass.output) + row * n;
      const double mean = interleaved_sum<double>(n, [&](std::int64_t i) { return x[i]; }) / count;
      const double variance =
          interleaved_sum<double>(n,
                                  [&](std::int64_t i) { return (x[i] - mean) * (x[i] - mean); }) /
          count;
      const T m = static_cast<T>(mean);
      const T inverse = static_cast<T>(1 / std::sqrt(variance + shape_.epsilon));
      for (std::int64_t i = 0; i < n; ++i)
        y[i] = pass.parameters[0][i] * ((x[i] - m) * inverse) + pass.parameters[1][i];
      mean_[static_cast<std::size_t>(row)] = m;
      inverse_[static_cast<std::size_t>(row)] = inverse;
    }
  }

  void backward(const BackwardPass<T>& pass) override {
    const std::int64_t n = shape_.features;
    T* dscale = pass.parameter_gradients[0];
    T* dshift = pass.parameter_gradients[1];
    if (dscale) std::fill_n(dscale, n, T(0));
    if (dshift) std::fill_n(dshift, n, T(0));
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const T* x = values<T>(*pass.inputs[0]) + row * n;
      const T* dy = values<T>(pass.output_gradient) + row * n;
      const auto h = [&, m = mean_[static_cast<std::size_t>(row)],
                      inverse = inverse_[static_cast<std::size_t>(row)]](std::int64_t i) {
        return (x[i] - m) * inverse;
      };
      for (std::int64_t i = 0; dscale && i < n; ++i) dscale[i] += dy[i] * h(i);
      for (std::int64_t i = 0; dshift && i < n; ++i) dshift[i] += dy[i];
      if (pass.input_gradients[0])
        input_gradient(row, pass.parameters[0], dy, h,
                       values<T>(*pass.input_gradients[0]) + row * n);
    }
  }

 private:
  template <class Normal>
  void input_gradient(std::int64_t row, const T* scale, const T* dy, Normal h, T* dx) const {
    const std::int64_t n = shape_.features;
    const double count = static_cast<double>(n);
    const auto e = [&](std::int64_t i) { return dy[i] * scale[i]; };
    const T mean_e = static_cast<T>(
        interleaved_sum<double>(n, [&](std::int64_t i) { return double(e(i)); }) / count);
    const T mean_eh = static_cast<T>(
        interleaved_sum<double>(n, [&](std::int64_t i) { return double(e(i)) * h(i); }) / count);
    for (std::int64_t i = 0; i < n; ++i)
      dx[i] = (e(i) - mean_e - h(i) * mean_eh) * inverse_[static_cast<std::size_t>(row)];
  }

  LayerNormShape shape_;
  std::vector<T> mean_, inverse_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> LayerNormShape::make_reference() const {
  return std::make_unique<LayerNorm<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> LayerNormShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> LayerNormShape::make_reference() const;

}  // namespace paceline::kernels
