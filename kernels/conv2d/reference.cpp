#include "kernels/conv2d/conv2d.hpp"

#include <fmt/format.h>

#include "kernels/plain.hpp"

namespace paceline::kernels {

ImageShape Conv2dShape::output() const {
  return slide(input, window, channels, false);
}
std::vector<Dims> Conv2dShape::parameter_dims() const {
  std::vector<Dims> all{
      {channels, input.channels / groups, window.kernel_height, window.kernel_width}};
  if (bias) all.push_back({channels});
  return all;
}
void Conv2dShape::check() const {
  need_image("conv2d", input);
  need_positive("conv2d", {{"output channels", channels}, {"groups", groups}});
  need(input.channels % groups == 0 && channels % groups == 0, "conv2d",
       fmt::format("{} groups do not divide {} input and {} output channels", groups,
                   input.channels, channels));
  need_window("conv2d", input, window);
}

namespace reference {
namespace {

// The positions j of an output row for which column j*stride - pad + tap lies inside the image.
struct Range {
  std::int64_t begin, end;
};
Range inside(std::int64_t outputs, std::int64_t size, std::int64_t stride, std::int64_t pad,
             std::int64_t tap) {
  const std::int64_t low = pad - tap;
  const std::int64_t begin = low > 0 ? (low + stride - 1) / stride : 0;
  const std::int64_t last = size - 1 + pad - tap;
  return {begin, last < 0 ? 0 : std::min(outputs, last / stride + 1)};
}

// Calls row(m, c, weight index, output row offset, input row offset, columns) for every pair of an
// output row and the input row that one tap of the window connects it with. The input offset may
// point outside the row; it is the place of output column 0.
template <class Row>
void for_each_row(const Conv2dShape& s, Row row) {
  const ImageShape out = s.output();
  const Window& w = s.window;
  const std::int64_t group_in = s.input.channels / s.groups, group_out = s.channels / s.groups;
  for (std::int64_t n = 0; n < out.batch; ++n)
    for (std::int64_t m = 0; m < out.channels; ++m)
      for (std::int64_t c = 0; c < group_in; ++c)
        for (std::int64_t u = 0; u < w.kernel_height; ++u)
          for (std::int64_t v = 0; v < w.kernel_width; ++v) {
            const std::int64_t tap =
                ((m * group_in + c) * w.kernel_height + u) * w.kernel_width + v;
            const std::int64_t channel = n * s.input.channels + m / group_out * group_in + c;
            const Range rows = inside(out.height, s.input.height, w.stride_height, w.pad_height, u);
            const Range columns = inside(out.width, s.input.width, w.stride_width, w.pad_width, v);
            for (std::int64_t i = rows.begin; i < rows.end; ++i) {
              const std::int64_t image_row = i * w.stride_height - w.pad_height + u;
              row(tap, ((n * out.channels + m) * out.height + i) * out.width,
                  (channel * s.input.height + image_row) * s.input.width + v - w.pad_width,
                  columns);
            }
          }
}

}  // namespace

template <class T>
void conv2d(const Conv2dShape& shape, const T* x, const T* weight, const T* bias, T* y) {
  const ImageShape out = shape.output();
  for (std::int64_t i = 0; i < out.batch * out.channels; ++i)
    std::fill_n(y + i * out.pixels(), out.pixels(), bias ? bias[i % out.channels] : T(0));
  const std::int64_t stride = shape.window.stride_width;
  for_each_row(shape, [=](std::int64_t tap, std::int64_t to, std::int64_t from, Range columns) {
    const T factor = weight[tap];
    for (std::int64_t j = columns.begin; j < columns.end; ++j)
      y[to + j] += factor * x[from + j * stride];
  });
}

template <class T>
void conv2d_input_gradient(const Conv2dShape& shape, const T* weight, const T* dy, T* dx) {
  std::fill_n(dx, shape.input.elements(), T(0));
  const std::int64_t stride = shape.window.stride_width;
  for_each_row(shape, [=](std::int64_t tap, std::int64_t from, std::int64_t to, Range columns) {
    const T factor = weight[tap];
    for (std::int64_t j = columns.begin; j < columns.end; ++j)
      dx[to + j * stride] += factor * dy[from + j];
  });
}

template <class T>
void conv2d_parameter_gradient(const Conv2dShape& shape, const T* x, const T* dy, T* dweight,
                               T* dbias) {
  std::fill_n(dweight, elements(parameter_dims(shape)[0]), T(0));
  const std::int64_t stride = shape.window.stride_width;
  for_each_row(shape, [=](std::int64_t tap, std::int64_t to, std::int64_t from, Range columns) {
    dweight[tap] += interleaved_sum<T>(columns.end - columns.begin, [=](std::int64_t j) {
      return dy[to + columns.begin + j] * x[from + (columns.begin + j) * stride];
    });
  });
  if (!dbias) return;
  const ImageShape out = shape.output();
  std::fill_n(dbias, out.channels, T(0));
  for (std::int64_t i = 0; i < out.batch * out.channels; ++i)
    dbias[i % out.channels] +=
        interleaved_sum<T>(out.pixels(), [&](std::int64_t j) { return dy[i * out.pixels() + j]; });
}

}  // namespace reference

namespace {

template <class T>
class Conv2d final : public BasicLayer<T> {
 public:
  explicit Conv2d(const Conv2dShape& shape) : shape_(shape) {}

  void forward(const ForwardPass<T>& pass) override {
    reference::conv2d(shape_, values<T>(*pass.inputs[0]), pass.parameters[0],
                      shape_.bias ? pass.parameters[1] : nullptr, values<T>(pass.output));
  }
  void backward(const BackwardPass<T>& pass) override {
    const T* dy = values<T>(pass.output_gradient);
    if (pass.input_gradients[0])
      reference::conv2d_input_gradient(shape_, pass.parameters[0], dy,
                                       values<T>(*pass.input_gradients[0]));
    if (pass.parameter_gradients[0])
      reference::conv2d_parameter_gradient(shape_, values<T>(*pass.inputs[0]), dy,
                                           pass.parameter_gradients[0],
                                           shape_.bias ? pass.parameter_gradients[1] : nullptr);
  }

 private:
  Conv2dShape shape_;
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> Conv2dShape::make_reference() const {
  return std::make_unique<Conv2d<T>>(*this);
}
template std::unique_ptr<BasicLayer<float>> Conv2dShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> Conv2dShape::make_reference() const;

}  // namespace paceline::kernels
