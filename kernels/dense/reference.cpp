#include "kernels/dense/dense.hpp"

#include "kernels/image_shape.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels {

std::vector<Dims> DenseShape::parameter_dims() const {
  std::vector<Dims> all{{outputs, inputs}};
  if (bias) all.push_back({outputs});
  return all;
}
void DenseShape::check() const {
  need_positive("dense", {{"rows", rows}, {"inputs", inputs}, {"outputs", outputs}});
}

namespace {

template <class T>
class Dense final : public BasicLayer<T> {
 public:
  Dense(const DenseShape& shape, MatrixProduct<T> multiply) : shape_(shape), multiply_(multiply) {}

  void forward(const ForwardPass<T>& pass) override {
    const auto [rows, inputs, outputs, bias] = shape_;
    T* y = values<T>(pass.output);
    if (bias)
      for (std::int64_t i = 0; i < rows; ++i)
        std::copy_n(pass.parameters[1], outputs, y + i * outputs);
    multiply_(false, true, rows, outputs, inputs, values<T>(*pass.inputs[0]), pass.parameters[0],
              bias, y);
  }

  void backward(const BackwardPass<T>& pass) override {
    const auto [rows, inputs, outputs, bias] = shape_;
    const T* dy = values<T>(pass.output_gradient);
    if (pass.input_gradients[0])
      multiply_(false, false, rows, inputs, outputs, dy, pass.parameters[0], false,
                values<T>(*pass.input_gradients[0]));
    if (!pass.parameter_gradients[0]) return;
    multiply_(true, false, outputs, inputs, rows, dy, values<T>(*pass.inputs[0]), false,
              pass.parameter_gradients[0]);
    if (!bias) return;
    T* dbias = pass.parameter_gradients[1];
    std::fill_n(dbias, outputs, T(0));
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < outputs; ++j) dbias[j] += dy[i * outputs + j];
  }

 private:
  DenseShape shape_;
  MatrixProduct<T> multiply_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> make_dense(const DenseShape& shape, MatrixProduct<T> multiply) {
  return std::make_unique<Dense<T>>(shape, multiply);
}
template std::unique_ptr<BasicLayer<float>> make_dense(const DenseShape&, MatrixProduct<float>);

template <class T>
std::unique_ptr<BasicLayer<T>> DenseShape::make_reference() const {
  return make_dense<T>(*this, reference::matrix_product<T>);
}
template std::unique_ptr<BasicLayer<float>> DenseShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> DenseShape::make_reference() const;

}  // namespace paceline::kernels
