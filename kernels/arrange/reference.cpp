#include "kernels/arrange/arrange.hpp"

#include <fmt/format.h>

#include "kernels/plain.hpp"

namespace paceline::kernels {

std::vector<Dims> ConcatShape::input_dims() const {
  std::vector<Dims> all;
  for (std::int64_t c : channels) all.push_back({batch, c, height, width});
  return all;
}
Dims ConcatShape::output_dims() const {
  std::int64_t sum = 0;
  for (std::int64_t c : channels) sum += c;
  return {batch, sum, height, width};
}
ImageShape SubsamplePadShape::output() const {
  return {input.batch, channels, (input.height + stride - 1) / stride,
          (input.width + stride - 1) / stride};
}
void AddShape::check() const {
  need_positive("add", dims);
  need(inputs >= 2, "add", "needs two or more inputs");
}
void ConcatShape::check() const {
  need_positive("concat", {{"batch", batch}, {"height", height}, {"width", width}});
  need(!channels.empty(), "concat", "needs inputs");
  need_positive("concat", channels);
}
void ReshapeShape::check() const {
  need_positive("reshape", input);
  need_positive("reshape", output);
  need(elements(input) == elements(output), "reshape",
       fmt::format("{} elements cannot become {}", elements(input), elements(output)));
}
void SubsamplePadShape::check() const {
  need_image("subsample_pad", input);
  need_positive("subsample_pad", {{"stride", stride}});
  need(
      channels >= input.channels, "subsample_pad",
      fmt::format("{} output channels are fewer than {} input channels", channels, input.channels));
}

namespace {

template <class T>
class Add final : public BasicLayer<T> {
 public:
  explicit Add(const AddShape& shape) : relu_(shape.relu), count_(elements(shape.dims)) {}

  void forward(const ForwardPass<T>& pass) override {
    T* y = values<T>(pass.output);
    std::copy_n(values<T>(*pass.inputs[0]), count_, y);
    for (const Activation* input : pass.inputs.subspan(1)) {
      const T* x = values<T>(*input);
      for (std::int64_t i = 0; i < count_; ++i) y[i] += x[i];
    }
    if (relu_)
      for (std::int64_t i = 0; i < count_; ++i) y[i] = y[i] <= 0 ? T(0) : y[i];
  }
  void backward(const BackwardPass<T>& pass) override {
    const T* y = values<T>(pass.output);
    const T* dy = values<T>(pass.output_gradient);
    for (Activation* gradient : pass.input_gradients) {
      if (!gradient) continue;
      T* dx = values<T>(*gradient);
      for (std::int64_t i = 0; i < count_; ++i) dx[i] = relu_ && y[i] <= 0 ? T(0) : dy[i];
    }
  }

 private:
  bool relu_;
  std::int64_t count_;
};

template <class T>
class Concat final : public BasicLayer<T> {
 public:
  explicit Concat(const ConcatShape& shape) : shape_(shape) {}

  void forward(const ForwardPass<T>& pass) override {
    T* y = values<T>(pass.output);
    for (std::int64_t n = 0; n < shape_.batch; ++n)
      for (std::size_t i = 0; i < pass.inputs.size(); ++i)
        y = std::copy_n(values<T>(*pass.inputs[i]) + n * size(i), size(i), y);
  }
  void backward(const BackwardPass<T>& pass) override {
    const T* dy = values<T>(pass.output_gradient);
    for (std::int64_t n = 0; n < shape_.batch; ++n)
      for (std::size_t i = 0; i < pass.input_gradients.size(); ++i) {
        if (Activation* dx = pass.input_gradients[i])
          std::copy_n(dy, size(i), values<T>(*dx) + n * size(i));
        dy += size(i);
      }
  }

 private:
  [[nodiscard]] std::int64_t size(std::size_t i) const {
    return shape_.channels[i] * shape_.height * shape_.width;
  }
  ConcatShape shape_;
};

template <class T>
class Reshape final : public BasicLayer<T> {
 public:
  explicit Reshape(const ReshapeShape& shape) : count_(elements(shape.input)) {}

  void forward(const ForwardPass<T>& pass) override {
    std::copy_n(values<T>(*pass.inputs[0]), count_, values<T>(pass.output));
  }
  void backward(const BackwardPass<T>& pass) override {
    if (Activation* dx = pass.input_gradients[0])
      std::copy_n(values<T>(pass.output_gradient), count_, values<T>(*dx));
  }

 private:
  std::int64_t count_;
};

template <class T>
class SubsamplePad final : public BasicLayer<T> {
 public:
  explicit SubsamplePad(const SubsamplePadShape& shape) : shape_(shape) {}

  void forward(const ForwardPass<T>& pass) override {
    const T* x = values<T>(*pass.inputs[0]);
    T* y = values<T>(pass.output);
    std::fill_n(y, shape_.output().elements(), T(0));
    for_each_kept([&](std::int64_t in, std::int64_t out) { y[out] = x[in]; });
  }
  void backward(const BackwardPass<T>& pass) override {
    if (!pass.input_gradients[0]) return;
    const T* dy = values<T>(pass.output_gradient);
    T* dx = values<T>(*pass.input_gradients[0]);
    std::fill_n(dx, shape_.input.elements(), T(0));
    for_each_kept([&](std::int64_t in, std::int64_t out) { dx[in] = dy[out]; });
  }

 private:
  template <class Visit>
  void for_each_kept(Visit visit) const {
    const ImageShape in = shape_.input, out = shape_.output();
    const std::int64_t before = (out.channels - in.channels) / 2;
    for (std::int64_t n = 0; n < in.batch; ++n)
      for (std::int64_t c = 0; c < in.channels; ++c)
        for (std::int64_t i = 0; i < out.height; ++i)
          for (std::int64_t j = 0; j < out.width; ++j)
            visit(((n * in.channels + c) * in.height + i * shape_.stride) * in.width +
                      j * shape_.stride,
                  ((n * out.channels + before + c) * out.height + i) * out.width + j);
  }
  SubsamplePadShape shape_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> AddShape::make_reference() const {
  return std::make_unique<Add<T>>(*this);
}
template <class T>
std::unique_ptr<BasicLayer<T>> ConcatShape::make_reference() const {
  return std::make_unique<Concat<T>>(*this);
}
template <class T>
std::unique_ptr<BasicLayer<T>> ReshapeShape::make_reference() const {
  return std::make_unique<Reshape<T>>(*this);
}
template <class T>
std::unique_ptr<BasicLayer<T>> SubsamplePadShape::make_reference() const {
  return std::make_unique<SubsamplePad<T>>(*this);
}

template std::unique_ptr<BasicLayer<float>> AddShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> AddShape::make_reference() const;
template std::unique_ptr<BasicLayer<float>> ConcatShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> ConcatShape::make_reference() const;
template std::unique_ptr<BasicLayer<float>> ReshapeShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> ReshapeShape::make_reference() const;
template std::unique_ptr<BasicLayer<float>> SubsamplePadShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> SubsamplePadShape::make_reference() const;

}  // namespace paceline::kernels
