#include "kernels/onednn.hpp"

namespace paceline::kernels::onednn {
namespace {

using dnnl::algorithm;

// Sum of arrays that have one layout.
Operation make_sum(const Desc& layout, std::size_t terms) {
  const dnnl::sum::primitive_desc desc(layout, std::vector<float>(terms, 1.0f),
                                       std::vector<Desc>(terms, layout), engine(), attributes());
  return {desc, dnnl::sum(desc)};
}

// Works in the layout of its first input.
class Add final : public Layer {
 public:
  explicit Add(const AddShape& shape)
      : shape_(shape), terms_(static_cast<std::size_t>(shape.inputs)), cut_(shape.dims) {}

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    const dnnl::memory& first = array(*pass.inputs[0]);
    if (!sum_ || layout_ != first.get_desc()) create(first.get_desc());
    const dnnl::memory& y = target(pass.output).write(layout_);
    std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_DST, y}};
    for (std::size_t i = 0; i < terms_.size(); ++i)
      arguments.insert({DNNL_ARG_MULTIPLE_SRC + static_cast<int>(i),
                        terms_[i](array(*pass.inputs[i]), layout_)});
    sum_.run(std::move(arguments));
    if (shape_.relu) relu_.run({{DNNL_ARG_SRC, y}, {DNNL_ARG_DST, y}});
  }

  void backward(const BackwardPass<float>& pass) override {
    prepare_thread();
    const OneDnnActivation* gradient = static_cast<const OneDnnActivation*>(&pass.output_gradient);
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
    sum_ = make_sum(layout, terms_.size());
    if (!shape_.relu) return;
    const auto relu = algorithm::eltwise_relu_use_dst_for_bwd;
    const dnnl::eltwise_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, relu, layout, 0.0f, 0.0f}, attributes(), engine());
    const dnnl::eltwise_backward::primitive_desc backward({relu, layout, layout, 0.0f, 0.0f},
                                                          attributes(), engine(), forward);
    relu_ = Operation(forward, dnnl::eltwise_forward(forward));
    relu_gradient_ = Operation(backward, dnnl::eltwise_backward(backward));
  }

  AddShape shape_;
  Desc layout_;
  Operation sum_, relu_, relu_gradient_;
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

std::unique_ptr<Layer> make_add(const AddShape& shape) {
  return std::make_unique<Add>(shape);
}
std::unique_ptr<Layer> make_concat(const ConcatShape& shape) {
  return std::make_unique<Concat>(shape);
}
std::unique_ptr<Layer> make_reshape(const ReshapeShape&) {
  return std::make_unique<Reshape>();
}

}  // namespace paceline::kernels::onednn
