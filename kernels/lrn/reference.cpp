#include "kernels/lrn/lrn.hpp"

#include <cmath>

#include "kernels/plain.hpp"

namespace paceline::kernels {

void LrnShape::check() const {
  need_image("lrn", input);
  need_positive("lrn", {{"size", size}});
  need(size % 2 == 1, "lrn", "size must be odd");
  need(k > 0 && alpha >= 0, "lrn", "k must be positive and alpha not negative");
}

namespace {

template <class T>
class Lrn final : public BasicLayer<T> {
 public:
  explicit Lrn(const LrnShape& shape)
      : shape_(shape), base_(static_cast<std::size_t>(shape.input.elements())) {}

  void forward(const ForwardPass<T>& pass) override {
    const T* x = values<T>(*pass.inputs[0]);
    T* y = values<T>(pass.output);
    const T factor = static_cast<T>(shape_.alpha / static_cast<double>(shape_.size));
    for_each_element([&](std::int64_t i, std::int64_t first, std::int64_t last) {
      T sum = 0;
      for (std::int64_t j = first; j <= last; j += shape_.input.pixels()) sum += x[j] * x[j];
      T& base = base_[static_cast<std::size_t>(i)];
      base = static_cast<T>(shape_.k) + factor * sum;
      y[i] = x[i] * power(base);
    });
  }

  void backward(const BackwardPass<T>& pass) override {
    if (!pass.input_gradients[0]) return;
    const T* x = values<T>(*pass.inputs[0]);
    const T* y = values<T>(pass.output);
    const T* dy = values<T>(pass.output_gradient);
    T* dx = values<T>(*pass.input_gradients[0]);
    const T factor =
        static_cast<T>(2 * shape_.alpha * shape_.beta / static_cast<double>(shape_.size));
    for_each_element([&](std::int64_t i, std::int64_t first, std::int64_t last) {
      T sum = 0;
      for (std::int64_t j = first; j <= last; j += shape_.input.pixels())
        sum += dy[j] * y[j] / base_[static_cast<std::size_t>(j)];
      dx[i] = dy[i] * power(base_[static_cast<std::size_t>(i)]) - factor * x[i] * sum;
    });
  }

 private:
  // Calls visit(element, its first neighbour, its last neighbour); neighbours are pixels() apart.
  template <class Visit>
  void for_each_element(Visit visit) const {
    const ImageShape& s = shape_.input;
    const std::int64_t half = shape_.size / 2;
    for (std::int64_t n = 0; n < s.batch; ++n)
      for (std::int64_t c = 0; c < s.channels; ++c) {
        const std::int64_t first = std::max<std::int64_t>(c - half, 0);
        const std::int64_t last = std::min(c + half, s.channels - 1);
        for (std::int64_t p = 0; p < s.pixels(); ++p) {
          const auto at = [&](std::int64_t channel) {
            return (n * s.channels + channel) * s.pixels() + p;
          };
          visit(at(c), at(first), at(last));
        }
      }
  }
  T power(T base) const {
    return static_cast<T>(std::pow(static_cast<double>(base), -shape_.beta));
  }

  LrnShape shape_;
  std::vector<T> base_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> LrnShape::make_reference() const {
  return std::make_unique<Lrn<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> LrnShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> LrnShape::make_reference() const;

}  // namespace paceline::kernels
