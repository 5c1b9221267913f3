#include "kernels/embedding/embedding.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"
#include "kernels/image_shape.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels {

void EmbeddingShape::check() const {
  need_positive("embedding", {{"rows", rows}, {"entries", entries}, {"features", features}});
  need(entries <= 1 << 24, "embedding", "at most 2^24 entries: token numbers travel in fp32");
}

namespace {

template <class T>
class Embedding final : public BasicLayer<T> {
 public:
  explicit Embedding(const EmbeddingShape& shape) : shape_(shape) {}

  void forward(const ForwardPass<T>& pass) override {
    const T* tokens = values<T>(*pass.inputs[0]);
    T* y = values<T>(pass.output);
    for (std::int64_t i = 0; i < shape_.rows; ++i)
      y = std::copy_n(pass.parameters[0] + entry(tokens[i]) * shape_.features, shape_.features, y);
  }
  void backward(const BackwardPass<T>& pass) override {
    if (!pass.parameter_gradients[0]) return;
    const T* tokens = values<T>(*pass.inputs[0]);
    const T* dy = values<T>(pass.output_gradient);
    std::fill_n(pass.parameter_gradients[0], shape_.entries * shape_.features, T(0));
    for (std::int64_t i = 0; i < shape_.rows; ++i) {
      T* row = pass.parameter_gradients[0] + entry(tokens[i]) * shape_.features;
      for (std::int64_t j = 0; j < shape_.features; ++j) row[j] += dy[i * shape_.features + j];
    }
  }

 private:
  [[nodiscard]] std::int64_t entry(T token) const {
    if (!(token >= 0 && token < static_cast<T>(shape_.entries) && token == std::trunc(token)))
      throw InputError(
          fmt::format("embedding: token {} is not one of 0 ... {}", token, shape_.entries - 1));
    return static_cast<std::int64_t>(token);
  }
  EmbeddingShape shape_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> EmbeddingShape::make_reference() const {
  return std::make_unique<Embedding<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> EmbeddingShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> EmbeddingShape::make_reference() const;

}  // namespace paceline::kernels
