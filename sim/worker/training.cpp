// The training computation that a schedule asks for.
#include <stdexcept>

#include "sim/worker/runtime.hpp"

namespace paceline {

Pending<> WorkerRuntime::forward() {
  return forward_piece(passes_.forward_to(static_cast<std::uint32_t>(model().tensors.size())));
}

Pending<> WorkerRuntime::forward(TensorId through) {
  return forward_piece(passes_.forward_to(through + 1));
}

Pending<> WorkerRuntime::forward_piece(const ModelPasses::Piece& piece) {
  std::function<void()> launch;
  if (values_ && !piece.empty())
    launch = [this, piece, step = steps_passed_] {
      values_->forward(piece.from, piece.to, step, parameters_);
    };
  const Tensor weights(this, 0, 0, parameters_.producer());  // waits for whatever writes them
  const std::span<const Tensor> reads(&weights, 1);
  for (std::int64_t i = 0; i < piece.earlier; ++i) {
    enqueue(compute_, "forward", Activity::forward, -1, passes_.whole_forward_s(), {}, reads);
    enqueue(compute_, "backward", Activity::backward, -1, passes_.whole_backward_s(), {}, reads);
  }
  return Pending<>(CompletionRef(enqueue(compute_, "forward", Activity::forward, piece.tensor,
                                         piece.seconds, {}, reads, std::move(launch))));
}

inline Pending<Tensor> WorkerRuntime::backward_piece(const ModelPasses::Piece& piece,
                                                     Range result) {
  boost::intrusive_ptr<TimedOperation> operation = job_.pool.make();
  operation->name = "backward";
  operation->activity = Activity::backward;
  operation->tag = piece.tensor;
  operation->work = piece.seconds;
  operation->yields(result);
  if (values_) compute_gradient(*operation, piece, result);
  compute_.enqueue(operation);
  if (!operation->done()) last_backward_ = operation.get();
  return Pending<Tensor>(std::move(operation));
}

Pending<Tensor> WorkerRuntime::backward() {
  return backward_piece(passes_.backward_to(static_cast<std::uint32_t>(model().tensors.size())),
                        {model().elements, 0});
}

Pending<Tensor> WorkerRuntime::backward(TensorId down_to) {
  const ModelShape::Item& item = model().tensors[down_to];
  return backward_piece(passes_.backward_through(down_to), {item.elements, item.offset});
}

void WorkerRuntime::compute_gradient(TimedOperation& operation, const ModelPasses::Piece& piece,
                                     Range result) {
  if (!piece.empty() && piece.from == 0) {
    gradient_.reset();  // it may be the one that is free again
    gradient_ = values_->fresh_gradient();
  }
  operation.values().result = gradient_;
  operation.values().offset = result.offset;
  if (!piece.empty())
    operation.values().launch = [this, piece, gradient = gradient_] {
      values_->backward(piece.from, piece.to, parameters_, *gradient);
    };
}

Tensor WorkerRuntime::gradient(TensorRange range) {
  const std::int64_t offset = model().tensors[range.first].offset;
  return {this,  model().range_elements(range), offset, CompletionRef(last_backward_), gradient_,
          offset};
}

Pending<> WorkerRuntime::local_step(Step) {
  forward();
  const Pending<Tensor> gradient = backward();
  return update(Tensor(this, model().elements, 0, CompletionRef(gradient.completion()), gradient_));
}

Pending<> WorkerRuntime::update(const Tensor& gradient) {
  return update(std::vector<Tensor>{gradient});
}

Pending<> WorkerRuntime::update(const std::vector<Tensor>& gradients) {
  std::function<void()> launch;
  if (values_)
    launch = [this, gradients, rate = learning_rate(steps_passed_)] {
      values_->update(gradients, rate, parameters_);
    };
  return Pending<>(CompletionRef(enqueue(compute_, "update", Activity::update, -1,
                                         update_s(gradients), {}, gradients, std::move(launch))));
}

Pending<> WorkerRuntime::update(const std::vector<Pending<Tensor>>& gradients,
                                std::int64_t of_step) {
  if (of_step == kThisStep) of_step = steps_passed_;
  std::vector<Tensor> waits;
  for (const Pending<Tensor>& gradient : gradients)
    if (!gradient.done()) waits.emplace_back(this, 0, 0, CompletionRef(gradient.completion()));
  std::function<void()> launch;
  if (values_)
    launch = [this, gradients, rate = learning_rate(of_step)] {
      std::vector<Tensor> parts;
      for (const Pending<Tensor>& gradient : gradients) parts.push_back(gradient.get(*this));
      values_->update(parts, rate, parameters_);
    };
  return Pending<>(CompletionRef(enqueue(compute_, "update", Activity::update, -1,
                                         update_s(gradients), {}, waits, std::move(launch))));
}

// One step over all parts, each clipped by itself.
template <class Gradients>
double WorkerRuntime::update_s(const Gradients& gradients) const {
  const OperationCosts& costs = *job_.spec.costs;
  std::int64_t elements = 0;
  for (const auto& gradient : gradients) elements += gradient.elements();
  const double step =
      costs.optimizer_update(static_cast<double>(elements), optimizer_slots(job_.spec.optimizer));
  if (!job_.spec.clips) return step;
  double clipping = 0;
  for (const auto& gradient : gradients)
    clipping += costs.kernel("clip_norm", static_cast<double>(gradient.elements()));
  return clipping + step;
}

Tensor WorkerRuntime::parameters() {
  return parameters_;
}

Tensor WorkerRuntime::parameters(TensorRange range) {
  return parameters_.slice(model().tensors[range.first].offset, model().range_elements(range));
}

void WorkerRuntime::set_parameters(const Tensor& values) {
  const CompletionRef producer = values.ready() ? CompletionRef() : values.producer();
  if (!values_) {
    // The forward pass reads the parameters as a whole: it waits for the latest writer.
    if (producer) parameters_ = Tensor(this, model().elements, 0, producer);
  } else if (values.elements() == model().elements && values.values_offset() == 0) {
    parameters_ = Tensor(this, model().elements, 0, producer, values.values());
  } else {
    if (producer)
      throw std::logic_error("set_parameters of a part needs its values: await finished() first");
    values_->assign(values, parameters_);
  }
}

}  // namespace paceline
