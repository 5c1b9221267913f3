#include "kernels/dropout/dropout.hpp"

#include <cmath>

#include "kernels/image_shape.hpp"
#include "kernels/plain.hpp"
#include "kernels/random.hpp"

namespace paceline::kernels {

void DropoutShape::check() const {
  need_positive("dropout", dims);
  need(probability >= 0 && probability < 1, "dropout",
       "the probability must be at least 0 and below 1");
}

namespace reference {

void dropout_mask(const DropoutShape& shape, std::uint64_t seed, std::vector<bool>& kept) {
  const auto limit = static_cast<std::uint64_t>(std::round(shape.probability * 0x1p32));
  const auto count = static_cast<std::size_t>(elements(shape.dims));
  kept.resize(count);
  for (std::size_t i = 0; i < count; i += 4) {
    const auto words = random_words(seed, shape.layer, i / 4);
    for (std::size_t j = i; j < std::min(i + 4, count); ++j) kept[j] = words[j - i] >= limit;
  }
}

}  // namespace reference

namespace {

template <class T>
class Dropout final : public BasicLayer<T> {
 public:
  explicit Dropout(const DropoutShape& shape)
      : shape_(shape), factor_(static_cast<T>(1 / (1 - shape.probability))) {}

  void forward(const ForwardPass<T>& pass) override {
    const T* x = values<T>(*pass.inputs[0]);
    if (!pass.training) {
      std::copy_n(x, elements(shape_.dims), values<T>(pass.output));
      return;
    }
    reference::dropout_mask(shape_, pass.seed, kept_);
    apply(x, values<T>(pass.output));
  }
  void backward(const BackwardPass<T>& pass) override {
    if (Activation* dx = pass.input_gradients[0])
      apply(values<T>(pass.output_gradient), values<T>(*dx));
  }

 private:
  void apply(const T* from, T* to) const {
    for (std::size_t i = 0; i < kept_.size(); ++i) to[i] = kept_[i] ? factor_ * from[i] : T(0);
  }

  DropoutShape shape_;
  T factor_;
  std::vector<bool> kept_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> DropoutShape::make_reference() const {
  return std::make_unique<Dropout<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> DropoutShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> DropoutShape::make_reference() const;

}  // namespace paceline::kernels
