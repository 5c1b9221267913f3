#include "kernels/batch_norm/batch_norm.hpp"

#include <cmath>

#include "kernels/plain.hpp"

namespace paceline::kernels {

std::vector<float> BatchNormShape::initial_state() const {
  std::vector<float> state(static_cast<std::size_t>(state_elements()), 0.0f);
  std::fill(state.begin() + input.channels, state.end(), 1.0f);
  return state;
}
void BatchNormShape::check() const {
  need_image("batch_norm", input);
  need(epsilon > 0, "batch_norm", "epsilon must be positive");
  need(momentum >= 0 && momentum <= 1, "batch_norm", "momentum must be between 0 and 1");
}

namespace reference {
namespace {

// Sums over the rows of pixels that belong to channel c, in double.
template <class Term>
double channel_sum(const ImageShape& s, std::int64_t c, Term term) {
  double sum = 0;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const std::int64_t start = (n * s.channels + c) * s.pixels();
    sum += interleaved_sum<double>(s.pixels(), [&](std::int64_t i) { return term(start + i); });
  }
  return sum;
}

template <class Each>
void for_channel(const ImageShape& s, std::int64_t c, Each each) {
  for (std::int64_t n = 0; n < s.batch; ++n) {
    const std::int64_t start = (n * s.channels + c) * s.pixels();
    for (std::int64_t i = start; i < start + s.pixels(); ++i) each(i);
  }
}

}  // namespace

template <class T>
void batch_statistics(const ImageShape& shape, const T* x, T* mean, T* variance) {
  const double count = static_cast<double>(shape.batch * shape.pixels());
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double m = channel_sum(shape, c, [&](std::int64_t i) { return double(x[i]); }) / count;
    const double v = channel_sum(shape, c, [&](std::int64_t i) { return (x[i] - m) * (x[i] - m); });
    mean[c] = static_cast<T>(m);
    variance[c] = static_cast<T>(v / count);
  }
}

template <class T>
void update_running_statistics(const BatchNormShape& shape, const T* mean, const T* variance,
                               T* running) {
  const std::int64_t channels = shape.input.channels;
  const double count = static_cast<double>(shape.input.batch * shape.input.pixels());
  const T momentum = static_cast<T>(shape.momentum);
  const T unbiased = static_cast<T>(count > 1 ? count / (count - 1) : 1);
  for (std::int64_t c = 0; c < channels; ++c) {
    T& m = running[c];
    T& v = running[channels + c];
    m = (1 - momentum) * m + momentum * mean[c];
    if (count > 1) v = (1 - momentum) * v + momentum * unbiased * variance[c];
  }
}

template <class T>
void batch_norm(const BatchNormShape& shape, const T* x, const T* mean, const T* variance,
                const T* scale, const T* shift, T* y) {
  for (std::int64_t c = 0; c < shape.input.channels; ++c) {
    const T factor = scale[c] / std::sqrt(variance[c] + static_cast<T>(shape.epsilon));
    for_channel(shape.input, c, [&](std::int64_t i) {
      const T value = factor * (x[i] - mean[c]) + shift[c];
      y[i] = shape.relu && value <= 0 ? T(0) : value;
    });
  }
}

template <class T>
void batch_norm_gradient(const BatchNormShape& shape, const T* x, const T* y, const T* dy,
                         const T* mean, const T* variance, const T* scale, T* dx, T* dscale,
                         T* dshift) {
  const ImageShape& s = shape.input;
  const double count = static_cast<double>(s.batch * s.pixels());
  for (std::int64_t c = 0; c < s.channels; ++c) {
    const T inverse = 1 / std::sqrt(variance[c] + static_cast<T>(shape.epsilon));
    const auto gradient = [&](std::int64_t i) { return shape.relu && y[i] <= 0 ? T(0) : dy[i]; };
    const auto normal = [&](std::int64_t i) { return (x[i] - mean[c]) * inverse; };
    const double sum = channel_sum(s, c, [&](std::int64_t i) { return double(gradient(i)); });
    const double product =
        channel_sum(s, c, [&](std::int64_t i) { return double(gradient(i)) * normal(i); });
    if (dshift) dshift[c] = static_cast<T>(sum);
    if (dscale) dscale[c] = static_cast<T>(product);
    if (!dx) continue;
    const T mean_sum = static_cast<T>(sum / count), mean_product = static_cast<T>(product / count);
    for_channel(s, c, [&](std::int64_t i) {
      dx[i] = scale[c] * inverse * (gradient(i) - mean_sum - normal(i) * mean_product);
    });
  }
}

}  // namespace reference

namespace {

template <class T>
class BatchNorm final : public BasicLayer<T> {
 public:
  explicit BatchNorm(const BatchNormShape& shape)
      : shape_(shape), statistics_(static_cast<std::size_t>(2 * shape.input.channels)) {}

  void forward(const ForwardPass<T>& pass) override {
    const T* x = values<T>(*pass.inputs[0]);
    if (pass.training) {
      reference::batch_statistics(shape_.input, x, mean(), variance());
      reference::update_running_statistics(shape_, mean(), variance(), pass.state);
    } else {
      std::copy_n(pass.state, statistics_.size(), mean());
    }
    reference::batch_norm(shape_, x, mean(), variance(), pass.parameters[0], pass.parameters[1],
                          values<T>(pass.output));
  }
  void backward(const BackwardPass<T>& pass) override {
    Activation* dx = pass.input_gradients[0];
    reference::batch_norm_gradient(shape_, values<T>(*pass.inputs[0]), values<T>(pass.output),
                                   values<T>(pass.output_gradient), mean(), variance(),
                                   pass.parameters[0], dx ? values<T>(*dx) : nullptr,
                                   pass.parameter_gradients[0], pass.parameter_gradients[1]);
  }

 private:
  T* mean() { return statistics_.data(); }
  T* variance() { return statistics_.data() + shape_.input.channels; }

  BatchNormShape shape_;
  std::vector<T> statistics_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> BatchNormShape::make_reference() const {
  return std::make_unique<BatchNorm<T>>(*this);
}

template void reference::batch_statistics(const ImageShape&, const float*, float*, float*);
template void reference::update_running_statistics(const BatchNormShape&, const float*,
                                                   const float*, float*);
template std::unique_ptr<BasicLayer<float>> BatchNormShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> BatchNormShape::make_reference() const;

}  // namespace paceline::kernels
