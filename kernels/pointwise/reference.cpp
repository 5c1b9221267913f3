#include "kernels/pointwise/pointwise.hpp"

#include <cmath>
#include <numbers>

#include "kernels/image_shape.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels {

const char* PointwiseShape::name() const {
  switch (function) {
    case PointwiseFunction::relu:
      return "relu";
    case PointwiseFunction::tanh:
      return "tanh";
    case PointwiseFunction::sigmoid:
      return "sigmoid";
    case PointwiseFunction::gelu:
      return "gelu";
  }
  return "pointwise";
}
void PointwiseShape::check() const {
  need_positive(name(), dims);
}

namespace reference {

template <class T>
T pointwise(PointwiseFunction function, T x) {
  const double wide = x;
  switch (function) {
    case PointwiseFunction::relu:
      return x <= 0 ? T(0) : x;
    case PointwiseFunction::tanh:
      return static_cast<T>(std::tanh(wide));
    case PointwiseFunction::sigmoid:
      return static_cast<T>(1 / (1 + std::exp(-wide)));
    case PointwiseFunction::gelu:
      return static_cast<T>(wide * 0.5 * (1 + std::erf(wide / std::numbers::sqrt2)));
  }
  return x;
}

template <class T>
T pointwise_slope(PointwiseFunction function, T x, T y) {
  const double wide = x;
  switch (function) {
    case PointwiseFunction::relu:
      return x <= 0 ? T(0) : T(1);
    case PointwiseFunction::tanh:
      return 1 - y * y;
    case PointwiseFunction::sigmoid:
      return y * (1 - y);
    case PointwiseFunction::gelu:
      return static_cast<T>(0.5 * (1 + std::erf(wide / std::numbers::sqrt2)) +
                            wide * std::exp(-wide * wide / 2) * std::numbers::inv_sqrtpi /
                                std::numbers::sqrt2);
  }
  return T(1);
}

template float pointwise(PointwiseFunction, float);
template double pointwise(PointwiseFunction, double);
template float pointwise_slope(PointwiseFunction, float, float);
template double pointwise_slope(PointwiseFunction, double, double);

}  // namespace reference

namespace {

template <class T>
class Pointwise final : public BasicLayer<T> {
 public:
  explicit Pointwise(const PointwiseShape& shape)
      : function_(shape.function), count_(elements(shape.dims)) {}

  void forward(const ForwardPass<T>& pass) override {
    const T* x = values<T>(*pass.inputs[0]);
    T* y = values<T>(pass.output);
    for (std::int64_t i = 0; i < count_; ++i) y[i] = reference::pointwise(function_, x[i]);
  }
  void backward(const BackwardPass<T>& pass) override {
    if (!pass.input_gradients[0]) return;
    const T* x = values<T>(*pass.inputs[0]);
    const T* y = values<T>(pass.output);
    const T* dy = values<T>(pass.output_gradient);
    T* dx = values<T>(*pass.input_gradients[0]);
    for (std::int64_t i = 0; i < count_; ++i)
      dx[i] = dy[i] * reference::pointwise_slope(function_, x[i], y[i]);
  }

 private:
  PointwiseFunction function_;
  std::int64_t count_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> PointwiseShape::make_reference() const {
  return std::make_unique<Pointwise<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> PointwiseShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> PointwiseShape::make_reference() const;

}  // namespace paceline::kernels
