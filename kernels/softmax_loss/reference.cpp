#include "kernels/softmax_loss/softmax_loss.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"
#include "kernels/image_shape.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels {

void SoftmaxLossShape::check() const {
  need_positive("softmax_loss", {{"rows", rows}, {"classes", classes}});
  need(classes <= 1 << 24, "softmax_loss", "at most 2^24 classes: labels travel in fp32");
}

namespace {

template <class T>
class SoftmaxLoss final : public BasicLayer<T> {
 public:
  explicit SoftmaxLoss(const SoftmaxLossShape& shape)
      : shape_(shape), probabilities_(static_cast<std::size_t>(shape.rows * shape.classes)) {}

  void forward(const ForwardPass<T>& pass) override {
    const T* labels = values<T>(*pass.inputs[1]);
    double loss = 0;
    std::int64_t right = 0;
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const T* logits = values<T>(*pass.inputs[0]) + row * shape_.classes;
      const std::int64_t label = index(labels[row]);
      const std::int64_t best = std::max_element(logits, logits + shape_.classes) - logits;
      right += best == label && logits[best] == logits[best];
      loss += softmax(row, logits, logits[best]) - (double(logits[label]) - double(logits[best]));
    }
    values<T>(pass.output)[0] = static_cast<T>(loss / static_cast<double>(shape_.rows));
    values<T>(pass.output)[1] = static_cast<T>(right);
  }

  void backward(const BackwardPass<T>& pass) override {
    if (!pass.input_gradients[0]) return;
    const T* labels = values<T>(*pass.inputs[1]);
    const T factor = values<T>(pass.output_gradient)[0] / static_cast<T>(shape_.rows);
    T* dx = values<T>(*pass.input_gradients[0]);
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      const T* p = probabilities(row);
      const std::int64_t label = index(labels[row]);
      for (std::int64_t i = 0; i < shape_.classes; ++i)
        dx[row * shape_.classes + i] = (p[i] - T(i == label)) * factor;
    }
  }

 private:
  T* probabilities(std::int64_t row) { return probabilities_.data() + row * shape_.classes; }

  // Fills the row's probabilities; returns log of the sum of exp(logit - largest).
  double softmax(std::int64_t row, const T* logits, T largest) {
    T* p = probabilities(row);
    double sum = 0;
    for (std::int64_t i = 0; i < shape_.classes; ++i) {
      const double e = std::exp(double(logits[i]) - double(largest));
      p[i] = static_cast<T>(e);
      sum += e;
    }
    const T inverse = static_cast<T>(1 / sum);
    for (std::int64_t i = 0; i < shape_.classes; ++i) p[i] *= inverse;
    return std::log(sum);
  }

  [[nodiscard]] std::int64_t index(T label) const {
    if (!(label >= 0 && label < static_cast<T>(shape_.classes) && label == std::trunc(label)))
      throw InputError(
          fmt::format("softmax_loss: label {} is not one of 0 ... {}", label, shape_.classes - 1));
    return static_cast<std::int64_t>(label);
  }

  SoftmaxLossShape shape_;
  std::vector<T> probabilities_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> SoftmaxLossShape::make_reference() const {
  return std::make_unique<SoftmaxLoss<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> SoftmaxLossShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> SoftmaxLossShape::make_reference() const;

}  // namespace paceline::kernels
