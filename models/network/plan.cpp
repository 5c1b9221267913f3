#include "models/network/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/error.hpp"
#include "models/network/layer_shapes.hpp"

namespace paceline {
namespace {

constexpr std::size_t kNone = SIZE_MAX;

class Planner {
 public:
  Planner(const Model& model, std::int64_t batch)
      : model_(model), batch_(batch), value_of_(model.operations().size(), kNone) {}

  NetworkPlan plan() {
    check();
    for (std::size_t i = 0; i < model_.operations().size(); ++i) place(i);
    std::swap(plan_.losses[main_loss_], plan_.losses.back());
    set_positions();
    plan_gradients();
    return std::move(plan_);
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw InputError(fmt::format("model '{}' cannot be trained: {}", model_.name(), why));
  }

  void check() const {
    if (batch_ < 1) throw InputError(fmt::format("the batch must be 1 or more, found {}", batch_));
    const auto count = [&](OpKind kind) {
      return std::count_if(model_.operations().begin(), model_.operations().end(),
                           [&](const Operation& op) { return op.kind() == kind; });
    };
    for (const Operation& op : model_.operations())
      if (op.is<OpaqueOp>())
        refuse(fmt::format("of '{}' only the size is known, not what it computes", op.name));
    if (count(op_kind<SoftmaxLossOp>) == 0) refuse("it has no loss");
    if (count(op_kind<InputOp>) != 1)
      refuse(fmt::format("it has {} inputs, 1 is supported", count(op_kind<InputOp>)));
    if (model_.tensors().empty()) refuse("it has no parameters");
  }

  std::size_t add_value(kernels::Dims dims) {
    plan_.values.push_back(std::move(dims));
    return plan_.values.size() - 1;
  }

  void place(std::size_t i) {
    const Operation& op = model_.operations()[i];
    if (op.is<InputOp>()) {
      kernels::Dims dims = op.output_shape;
      dims.insert(dims.begin(), batch_);
      value_of_[i] = plan_.input = add_value(std::move(dims));
    } else if (op.is<FlattenOp>()) {
      value_of_[i] = value_of_[op.inputs[0]];  // who reads it wants its own extents anyway
    } else if (value_of_[i] == kNone) {        // else it has been fused into an earlier step
      add_step(i);
    }
  }

  void add_step(std::size_t i) {
    const Operation& op = model_.operations()[i];
    NetworkStep step;
    step.shape = layer_shape(model_, i, batch_, plan_.values[value_of_[op.inputs[0]]]);
    step.operation = i;
    step.tensors = model_.tensors_of(i);
    step.backward = op.needs_gradient;
    const std::vector<kernels::Dims> wanted = kernels::input_dims(step.shape);
    for (std::size_t k = 0; k < op.inputs.size(); ++k)
      step.inputs.push_back(adapt(i, value_of_[op.inputs[k]], wanted[k]));
    if (op.is<SoftmaxLossOp>()) step.inputs.push_back(labels(op, wanted[1]));
    value_of_[i] = step.output = add_value(kernels::output_dims(step.shape));
    step.state_offset = plan_.state_elements;
    if (const std::int64_t elements = kernels::state_elements(step.shape); elements > 0) {
      plan_.state.push_back({i, plan_.state_elements, elements, op.is<BatchNormOp>()});
      plan_.state_elements += elements;
    }
    fuse_relu(i, step);
    if (op.is<SoftmaxLossOp>()) add_loss(op);
    plan_.steps.push_back(std::move(step));
  }

  // A value under the extents that a layer expects: dense reads any, for others it is copied.
  std::size_t adapt(std::size_t operation, std::size_t value, const kernels::Dims& wanted) {
    const bool any_extents = model_.operations()[operation].is<DenseOp>();
    if (plan_.values[value] == wanted || any_extents) return value;
    NetworkStep step;
    step.shape = kernels::ReshapeShape{plan_.values[value], wanted};
    step.operation = operation;
    step.inputs = {value};
    step.output = add_value(wanted);
    step.backward = needs_gradient(value);
    plan_.steps.push_back(std::move(step));
    return plan_.steps.back().output;
  }

  std::size_t labels(const Operation& loss, const kernels::Dims& wanted) {
    if (plan_.losses.empty()) return plan_.labels = add_value(wanted);
    if (plan_.values[plan_.labels] != wanted)
      refuse(fmt::format("'{}' has another number of labels than the loss before it", loss.name));
    return plan_.labels;
  }

  void add_loss(const Operation& op) {
    plan_.losses.push_back({plan_.steps.size(), 0, std::get<SoftmaxLossOp>(op.attributes).weight,
                            plan_.values[plan_.labels][0]});
    main_loss_ = op.auxiliary ? main_loss_ : plan_.losses.size() - 1;
  }

  void fuse_relu(std::size_t i, NetworkStep& step) {
    bool* relu = nullptr;
    if (auto* norm = std::get_if<kernels::BatchNormShape>(&step.shape)) relu = &norm->relu;
    if (auto* add = std::get_if<kernels::AddShape>(&step.shape)) relu = &add->relu;
    const std::vector<std::size_t>& consumers = model_.consumers_of(i);
    if (relu == nullptr || consumers.size() != 1) return;
    if (!model_.operations()[consumers[0]].is<ReluOp>()) return;
    *relu = true;
    value_of_[consumers[0]] = step.output;
  }

  // By the rule of StepCosts, so that a step's computation happens when its time passes.
  void set_positions() {
    plan_.offsets = {0};
    for (const ModelTensor& tensor : model_.tensors())
      plan_.offsets.push_back(plan_.offsets.back() + tensor.elements());
    std::vector<std::size_t> position(model_.operations().size());
    for (std::size_t i = 0, owned = 0; i < position.size(); ++i) {
      for (const std::size_t tensor : model_.tensors_of(i))
        if (model_.tensors()[tensor].operations.front() == i) owned = tensor;
      position[i] = owned;
    }
    for (std::size_t p = 0; p <= model_.tensors().size(); ++p)
      plan_.forward_end.push_back(static_cast<std::size_t>(
          std::count_if(plan_.steps.begin(), plan_.steps.end(),
                        [&](const NetworkStep& step) { return position[step.operation] < p; })));
    plan_.backward_end = {0};
    for (const GradientEvent& event : gradient_events(model_))
      for (const std::size_t tensor : event.tensors) {
        plan_.backward_order.push_back(tensor);
        plan_.backward_end.push_back(static_cast<std::size_t>(std::count_if(
            plan_.steps.begin(), plan_.steps.end(),
            [&](const NetworkStep& step) { return step.operation >= event.operation; })));
      }
    plan_.backward_end.back() = plan_.steps.size();
  }

  [[nodiscard]] bool needs_gradient(std::size_t value) const {
    return std::any_of(plan_.steps.begin(), plan_.steps.end(), [&](const NetworkStep& step) {
      return step.output == value && step.backward;
    });
  }

  // ---- gradients of activations

  std::size_t acquire(const kernels::Dims& dims) {
    std::vector<std::size_t>& free = free_[dims];
    if (free.empty()) {
      plan_.gradients.push_back(dims);
      readers_.push_back(0);
      free.push_back(plan_.gradients.size() - 1);
    }
    const std::size_t gradient = free.back();
    free.pop_back();
    readers_[gradient] = 1;
    return gradient;
  }

  void plan_gradients() {
    gradient_of_.assign(plan_.values.size(), kNone);
    wanted_.assign(plan_.values.size(), false);
    for (const NetworkStep& step : plan_.steps) wanted_[step.output] = step.backward;
    for (NetworkLoss& loss : plan_.losses) {
      const std::size_t output = plan_.steps[loss.step].output;
      loss.gradient = gradient_of_[output] = acquire(plan_.values[output]);
      ++readers_[loss.gradient];  // holds the weight for good
    }
    for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step)
      if (step->backward) plan_gradients(*step);
  }

  void plan_gradients(NetworkStep& step) {
    step.output_gradient = gradient_of_[step.output];
    std::size_t shared = kNone;  // every term of a sum has the same gradient
    for (const std::size_t value : step.inputs) {
      step.input_gradients.emplace_back();
      if (!wanted_[value]) continue;
      const bool first = gradient_of_[value] == kNone;
      if (first && shared != kNone) {
        gradient_of_[value] = shared;
        ++readers_[shared];
        continue;
      }
      const std::size_t gradient = acquire(plan_.values[value]);
      step.input_gradients.back() = gradient;
      if (!first) {
        add_up(step, value, gradient);
        if (step.sums.back().into == shared) shared = kNone;
      } else {
        gradient_of_[value] = gradient;
        if (std::holds_alternative<kernels::AddShape>(step.shape)) shared = gradient;
      }
    }
    used_up_.push_back(step.output_gradient);
    for (const std::size_t gradient : used_up_)
      if (--readers_[gradient] == 0) free_[plan_.gradients[gradient]].push_back(gradient);
    used_up_.clear();
  }

  // What others still read must not change: then the sum goes to the new array instead.
  void add_up(NetworkStep& step, std::size_t value, std::size_t term) {
    const std::size_t sum = gradient_of_[value];
    if (readers_[sum] == 1) {
      step.sums.push_back({term, sum});
      used_up_.push_back(term);
    } else {
      step.sums.push_back({sum, term});
      used_up_.push_back(sum);
      gradient_of_[value] = term;
    }
  }

  const Model& model_;
  std::int64_t batch_;
  std::vector<std::size_t> value_of_;  // of each operation
  std::size_t main_loss_ = 0;
  NetworkPlan plan_;
  std::vector<std::size_t> gradient_of_;  // of each value; kNone until first written
  std::vector<bool> wanted_;              // of each value
  std::vector<int> readers_;              // of each gradient array
  std::vector<std::size_t> used_up_;      // arrays that have one reader less after this step
  std::map<kernels::Dims, std::vector<std::size_t>> free_;
};

}  // namespace

NetworkPlan plan_network(const Model& model, std::int64_t batch) {
  return Planner(model, batch).plan();
}

}  // namespace paceline
