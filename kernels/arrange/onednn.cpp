#include <algorithm>

#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels::onednn {
namespace {

using dnnl::algorithm;

// x_1 + x_2 and ReLU are one primitive; further terms are added to the result first. Works in the
// layout of its first input.
class Add final : public Layer {
 public:
  explicit Add(const AddShape& shape)
      : shape_(shape), terms_(static_cast<std::size_t>(shape.inputs)), cut_(shape.dims) {}

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    const dnnl::memory& first = array(*pass.inputs[0]);
    if (!last_sum_ || layout_ != first.get_desc()) create(first.get_desc());
    const dnnl::memory& y = target(pass.output).write(layout_);
    for (std::size_t i = 1; i < terms_.size(); ++i)
      (i + 1 == terms_.size() ? last_sum_ : sum_)
          .run({{DNNL_ARG_SRC_0, i == 1 ? first : y},
                {DNNL_ARG_SRC_1, terms_[i](array(*pass.inputs[i]), layout_)},
                {DNNL_ARG_DST, y}});
  }

  void backward(const BackwardPass<float>& pass) override {
    prepare_thread();
    const auto* gradient = static_cast<const OneDnnActivation*>(&pass.output_gradient);
    if (shape_.relu) {
      relu_gradient_.run({{DNNL_ARG_DST, array(pass.output)},
                          {DNNL_ARG_DIFF_DST, gradient_(gradient->memory(), layout_)},
                          {DNNL_ARG_DIFF_SRC, cut_.write(layout_)}});
      gradient = &cut_;
    }
    for (Activation* dx : pass.input_gradients)
      if (dx) target(*dx).share(*gradient);
  }

 private:
  void create(const Desc& layout) {
    layout_ = layout;
    dnnl::primitive_attr with_relu;  // not a copy of attributes(): copies share what they set
    with_relu.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (shape_.relu) {
      dnnl::post_ops relu;
      relu.append_eltwise(1.0f, algorithm::eltwise_relu, 0.0f, 0.0f);
      with_relu.set_post_ops(relu);
    }
    const dnnl::binary::desc sum(algorithm::binary_add, layout, layout, layout);
    const dnnl::binary::primitive_desc plain_sum(sum, attributes(), engine());
    const dnnl::binary::primitive_desc last_sum(sum, with_relu, engine());
    sum_ = Operation(plain_sum, dnnl::binary(plain_sum));
    last_sum_ = Operation(last_sum, dnnl::binary(last_sum));
    if (!shape_.relu) return;
    const auto relu = algorithm::eltwise_relu_use_dst_for_bwd;
    const dnnl::eltwise_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, relu, layout, 0.0f, 0.0f}, attributes(), engine());
    const dnnl::eltwise_backward::primitive_desc backward({relu, layout, layout, 0.0f, 0.0f},
                                                          attributes(), engine(), forward);
    relu_gradient_ = Operation(backward, dnnl::eltwise_backward(backward));
  }

  AddShape shape_;
  Desc layout_;
  Operation sum_, last_sum_, relu_gradient_;
  std::vector<Reorder> terms_;
  Reorder gradient_;
  OneDnnActivation cut_;  // the gradient where ReLU let it pass
};

class Concat final : public Layer {
 public:
  explicit Concat(const ConcatShape& shape) : parts_(input_dims(shape)), reorders_(parts_.size()) {}

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    std::vector<Desc> layouts;
    for (const Activation* input : pass.inputs) layouts.push_back(array(*input).get_desc());
    if (!operation_ || layouts != layouts_) create(layouts);
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_DST, target(pass.output).write(output_layout_)}};
    for (std::size_t i = 0; i < parts_.size(); ++i)
      arguments.insert({DNNL_ARG_MULTIPLE_SRC + static_cast<int>(i), array(*pass.inputs[i])});
    operation_.run(std::move(arguments));
  }

  // Through the row-major form: a part of a blocked array may begin in the middle of a block.
  void backward(const BackwardPass<float>& pass) override {
    prepare_thread();
    const dnnl::memory dy =
        gradient_(array(pass.output_gradient), plain(pass.output_gradient.dims()));
    Dims offset{0, 0, 0, 0};
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (Activation* dx = pass.input_gradients[i]) {
        const dnnl::memory part(dy.get_desc().submemory_desc(parts_[i], offset), engine(),
                                dy.get_data_handle());
        reorders_[i].copy(part, target(*dx).write(layouts_[i]));
      }
      offset[1] += parts_[i][1];
    }
  }

 private:
  void create(const std::vector<Desc>& layouts) {
    layouts_ = layouts;
    const dnnl::concat::primitive_desc desc(1, layouts, engine(), attributes());
    output_layout_ = desc.dst_desc();
    operation_ = Operation(desc, dnnl::concat(desc));
  }

  std::vector<Dims> parts_;
  std::vector<Desc> layouts_;
  Desc output_layout_;
  Operation operation_;
  Reorder gradient_;
  std::vector<Reorder> reorders_;
};

class Reshape final : public Layer {
 public:
  void forward(const ForwardPass<float>& pass) override {
    copy(*pass.inputs[0], pass.output, forward_);
  }
  void backward(const BackwardPass<float>& pass) override {
    if (pass.input_gradients[0]) copy(pass.output_gradient, *pass.input_gradients[0], backward_);
  }

 private:
  static void copy(const Activation& from, Activation& to, Reorder& reorder) {
    prepare_thread();
    const dnnl::memory& written = target(to).write(plain(to.dims()));
    reorder.copy(array(from),
                 view(from.dims(), static_cast<const float*>(written.get_data_handle())));
  }
  Reorder forward_, backward_;
};

// [batch, channels/block, height, width, block]; block 1, 8 or 16 divides the channels.
Desc blocked(const ImageShape& shape, std::int64_t block) {
  using Tag = dnnl::memory::format_tag;
  return {shape.dims(), dnnl::memory::data_type::f32,
          block == 16  ? Tag::nChw16c
          : block == 8 ? Tag::nChw8c
                       : Tag::nchw};
}

// Moves runs of channels between layouts that may be blocked.
class SubsamplePad final : public Layer {
 public:
  explicit SubsamplePad(const SubsamplePadShape& shape) : shape_(shape), output_(shape.output()) {}

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    dnnl::memory x = array(*pass.inputs[0]);
    block_ = 1;
    for (const std::int64_t block : {8, 16})
      if (shape_.input.channels % block == 0 && output_.channels % block == 0 &&
          x.get_desc() == blocked(shape_.input, block))
        block_ = block;
    x = input_reorder_(x, blocked(shape_.input, block_));
    const dnnl::memory y = target(pass.output).write(blocked(output_, block_));
    auto* to = static_cast<float*>(y.get_data_handle());
    const auto* from = static_cast<const float*>(x.get_data_handle());
    std::fill_n(to, output_.elements(), 0.0f);
    for_each_run([&](std::int64_t in, std::int64_t out, std::int64_t run) {
      std::copy_n(from + in, run, to + out);
    });
  }

  void backward(const BackwardPass<float>& pass) override {
    if (!pass.input_gradients[0]) return;
    prepare_thread();
    const dnnl::memory dy = gradient_(array(pass.output_gradient), blocked(output_, block_));
    const dnnl::memory dx = target(*pass.input_gradients[0]).write(blocked(shape_.input, block_));
    auto* to = static_cast<float*>(dx.get_data_handle());
    const auto* from = static_cast<const float*>(dy.get_data_handle());
    std::fill_n(to, shape_.input.elements(), 0.0f);
    for_each_run([&](std::int64_t in, std::int64_t out, std::int64_t run) {
      std::copy_n(from + out, run, to + in);
    });
  }

 private:
  [[nodiscard]] std::int64_t place(const ImageShape& s, std::int64_t n, std::int64_t c,
                                   std::int64_t i, std::int64_t j) const {
    const std::int64_t row = ((n * s.channels + c) / block_ * s.height + i) * s.width + j;
    return row * block_ + c % block_;
  }
  // Calls move(place in the input, place in the output, length) for channels that lie together in
  // both.
  template <class Move>
  void for_each_run(Move move) const {
    const ImageShape& in = shape_.input;
    const std::int64_t before = (output_.channels - in.channels) / 2;
    for (std::int64_t n = 0; n < in.batch; ++n)
      for (std::int64_t c = 0, run = 0; c < in.channels; c += run) {
        run = std::min({block_ - c % block_, block_ - (before + c) % block_, in.channels - c});
        for (std::int64_t i = 0; i < output_.height; ++i)
          for (std::int64_t j = 0; j < output_.width; ++j)
            move(place(in, n, c, i * shape_.stride, j * shape_.stride),
                 place(output_, n, before + c, i, j), run);
      }
  }

  SubsamplePadShape shape_;
  ImageShape output_;
  std::int64_t block_ = 1;
  Reorder input_reorder_, gradient_;
};

}  // namespace

// A loop rather than a primitive: nothing to create and keep, and memory sets the pace.
void accumulate(const Activation& term, Activation& sum) {
  const dnnl::memory old = array(sum);
  const Desc layout = old.get_desc();
  Reorder reorder;
  const dnnl::memory added = reorder(array(term), layout);
  const dnnl::memory result = target(sum).write(layout);
  const auto* a = static_cast<const float*>(old.get_data_handle());
  const auto* b = static_cast<const float*>(added.get_data_handle());
  auto* c = static_cast<float*>(result.get_data_handle());
  const std::size_t count = layout.get_size() / sizeof(float);
  for (std::size_t i = 0; i < count; ++i) c[i] = a[i] + b[i];
}

}  // namespace paceline::kernels::onednn

namespace paceline::kernels {

std::unique_ptr<Layer> AddShape::make_onednn() const {
  return std::make_unique<onednn::Add>(*this);
}

std::unique_ptr<Layer> ConcatShape::make_onednn() const {
  return std::make_unique<onednn::Concat>(*this);
}

std::unique_ptr<Layer> ReshapeShape::make_onednn() const {
  return std::make_unique<onednn::Reshape>();
}

std::unique_ptr<Layer> SubsamplePadShape::make_onednn() const {
  return std::make_unique<onednn::SubsamplePad>(*this);
}

}  // namespace paceline::kernels
