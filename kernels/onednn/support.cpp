#include <omp.h>

#include <cstdlib>
#include <stdexcept>

#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels::onednn {
namespace {

dnnl::stream& thread_stream() {
  thread_local dnnl::stream stream(engine());
  return stream;
}

// Grows to the largest scratchpad that this thread has needed.
void* thread_scratchpad(std::size_t bytes) {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  thread_local std::unique_ptr<void, Free> memory;
  thread_local std::size_t size = 0;
  if (bytes > size) {
    constexpr std::size_t page = 4096;
    size = (bytes + page - 1) / page * page;
    memory.reset(std::aligned_alloc(page, size));
    if (!memory) throw std::bad_alloc();
  }
  return memory.get();
}

}  // namespace

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

void prepare_thread() {
  thread_local const bool done = [] {
    omp_set_num_threads(1);
    return true;
  }();
  static_cast<void>(done);
}

const dnnl::primitive_attr& attributes() {
  static const dnnl::primitive_attr user_scratchpad = [] {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
  }();
  return user_scratchpad;
}

Desc plain(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (std::size_t i = dims.size() - 1; i > 0; --i) strides[i - 1] = strides[i] * dims[i];
  return {dims, dnnl::memory::data_type::f32, strides};
}

Desc any_layout(const Dims& dims) {
  return {dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any};
}

dnnl::memory view(const Dims& dims, const float* values) {
  return {plain(dims), engine(), const_cast<float*>(values)};
}

void Operation::run(std::unordered_map<int, dnnl::memory> arguments) const {
  arguments.insert(
      {DNNL_ARG_SCRATCHPAD, {scratchpad_, engine(), thread_scratchpad(scratchpad_.get_size())}});
  primitive_.execute(thread_stream(), arguments);
  thread_stream().wait();
}

dnnl::memory Reorder::operator()(const dnnl::memory& from, const Desc& to) {
  if (from.get_desc() == to) return from;
  if (!buffer_ || buffer_.get_desc() != to) buffer_ = dnnl::memory(to, engine());
  copy(from, buffer_);
  return buffer_;
}

void Reorder::copy(const dnnl::memory& from, const dnnl::memory& to) {
  if (!operation_ || from_ != from.get_desc() || to_ != to.get_desc()) {
    from_ = from.get_desc();
    to_ = to.get_desc();
    const dnnl::reorder::primitive_desc desc(engine(), from_, engine(), to_, attributes());
    operation_ = Operation(desc, dnnl::reorder(desc));
  }
  operation_.run({{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

const dnnl::memory& OneDnnActivation::memory() const {
  if (!current_) throw std::logic_error("an activation was read before it was written");
  return *current_;
}

const dnnl::memory& OneDnnActivation::write(const Desc& desc) {
  current_.reset();
  if (own_.use_count() > 1) own_.swap(spare_);
  if (!own_ || own_.use_count() > 1 || own_->get_desc() != desc)
    own_ = std::make_shared<dnnl::memory>(desc, engine());
  current_ = own_;
  return *current_;
}

const dnnl::memory& array(const Activation& activation) {
  return static_cast<const OneDnnActivation&>(activation).memory();
}
OneDnnActivation& target(Activation& activation) {
  return static_cast<OneDnnActivation&>(activation);
}

void matrix_product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                    std::int64_t k, const float* a, const float* b, bool accumulate, float* c) {
  prepare_thread();
  const auto status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a,
                 transpose_a ? m : k, b, transpose_b ? k : n, accumulate ? 1.0f : 0.0f, c, n);
  if (status != dnnl_success) throw std::runtime_error("oneDNN: sgemm failed");
}

namespace {

class PlainLayer final : public Layer {
 public:
  PlainLayer(const LayerShape& shape, std::unique_ptr<Layer> layer)
      : layer_(std::move(layer)),
        input_dims_(input_dims(shape)),
        output_dims_(output_dims(shape)),
        inputs_(input_dims_.size()) {}

  void forward(const ForwardPass<float>& pass) override {
    take_inputs(pass.inputs);
    output_ = write(pass.output, output_dims_);
    layer_->forward({.inputs = input_pointers_,
                     .output = *output_,
                     .parameters = pass.parameters,
                     .state = pass.state,
                     .training = pass.training,
                     .seed = pass.seed});
  }

  void backward(const BackwardPass<float>& pass) override {
    const auto dy = read(pass.output_gradient, output_dims_, output_reorder_);
    std::vector<std::unique_ptr<PlainActivation<float>>> gradients;
    std::vector<Activation*> gradient_pointers;
    for (std::size_t i = 0; i < pass.input_gradients.size(); ++i) {
      Activation* dx = pass.input_gradients[i];
      gradients.push_back(dx ? write(*dx, input_dims_[i]) : nullptr);
      gradient_pointers.push_back(gradients.back().get());
    }
    layer_->backward({.inputs = input_pointers_,
                      .output = *output_,
                      .output_gradient = *dy,
                      .parameters = pass.parameters,
                      .input_gradients = gradient_pointers,
                      .parameter_gradients = pass.parameter_gradients});
  }

 private:
  using Plain = PlainActivation<float>;

  static std::unique_ptr<Plain> wrap(const Dims& dims, const dnnl::memory& memory) {
    return std::make_unique<Plain>(dims, static_cast<float*>(memory.get_data_handle()));
  }
  static std::unique_ptr<Plain> read(const Activation& from, const Dims& dims, Reorder& reorder) {
    return wrap(dims, reorder(array(from), plain(from.dims())));
  }
  static std::unique_ptr<Plain> write(Activation& to, const Dims& dims) {
    return wrap(dims, target(to).write(plain(to.dims())));
  }

  // The row-major inputs stay until the backward pass, which wants the same.
  void take_inputs(std::span<const Activation* const> inputs) {
    plain_inputs_.clear();
    input_pointers_.clear();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      plain_inputs_.push_back(read(*inputs[i], input_dims_[i], inputs_[i]));
      input_pointers_.push_back(plain_inputs_.back().get());
    }
  }

  std::unique_ptr<Layer> layer_;
  std::vector<Dims> input_dims_;
  Dims output_dims_;
  std::vector<Reorder> inputs_;
  Reorder output_reorder_;
  std::vector<std::unique_ptr<Plain>> plain_inputs_;
  std::vector<const Activation*> input_pointers_;
  std::unique_ptr<Plain> output_;
};

}  // namespace

std::unique_ptr<Layer> make_plain_layer(const LayerShape& shape, std::unique_ptr<Layer> layer) {
  return std::make_unique<PlainLayer>(shape, std::move(layer));
}

}  // namespace paceline::kernels::onednn
