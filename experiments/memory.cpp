#include "experiments/memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/defaults.hpp"
#include "base/units.hpp"
#include "models/activation_memory.hpp"

namespace paceline {
namespace {

constexpr double kFloat = 4;
const Default kContext{
    "memory.context", 0.5 * (1 << 30), "B",
    "of a GPU, taken by CUDA's context and the libraries' handles and scratch where the stack does "
    "not say (recalled of PyTorch, not measured)"};
const Default kSigma{"memory.sigma", 0.1, "",
                     "relative sigma of the memory of a GPU (docs/memory.md)"};

KeepRules keep_rules(const JobDescription& job, const Stack& stack) {
  return {.float_bytes = element_bytes(job.precision).activations,
          .relu_inputs = stack.memory_relu_inputs.value != 0,
          .attention_scores = stack.memory_attention_scores.value != 0,
          .recompute = job.recompute};
}

// Of one GPU, but for its name and size.
MemoryUse use_of(const JobDescription& job, const Stack& stack, const Schedule& schedule) {
  const auto parameters = static_cast<double>(job.model->parameters());
  const ElementBytes bytes = element_bytes(job.precision);
  const double share = 1 / static_cast<double>(job.gpus.size());
  MemoryUse use;
  // Where weights are sharded, 16-bit copies are made of units that are whole, and of nothing else.
  use.weights_bytes =
      parameters *
      (schedule.sharded.weights ? share * std::min(bytes.weights, kFloat) : bytes.weights);
  use.gradients_bytes = parameters * bytes.gradients * (schedule.sharded.gradient ? share : 1);
  use.optimizer_bytes = parameters * (kFloat * optimizer_slots(job.optimizer) + bytes.master) *
                        (schedule.sharded.optimizer ? share : 1);
  use.activations_bytes =
      static_cast<double>(*job.batch) * activation_memory(*job.model, keep_rules(job, stack)).peak;
  use.schedule_bytes =
      schedule.extra_copies * parameters * (schedule.sharded.weights ? bytes.activations : kFloat);
  use.framework_bytes =
      (stack.memory_context.stated() ? stack.memory_context.value : double{kContext}) +
      (stack.memory_weight_copy.value != 0 ? parameters * kFloat : 0);
  return use;
}

}  // namespace

std::vector<MemoryUse> memory_uses(const JobDescription& job, const Stack& stack,
                                   const Cluster& cluster, const Schedule& schedule) {
  if (!job.batch) return {};
  std::map<std::string, MemoryUse> by_gpu;
  const MemoryUse use = use_of(job, stack, schedule);
  for (const Endpoint gpu : job.gpus) {
    const Device& device = cluster.device(gpu);
    MemoryUse& own = by_gpu[device.gpu] = use;
    own.gpu = device.gpu;
    own.card_bytes = device.memory_bytes();
  }
  std::vector<MemoryUse> uses;
  for (auto& [gpu, own] : by_gpu) uses.push_back(std::move(own));
  return uses;
}

std::vector<std::string> memory_warnings(const std::vector<MemoryUse>& uses,
                                         const JobDescription& job) {
  std::vector<std::string> warnings;
  for (const MemoryUse& use : uses) {
    if (use.card_bytes <= 0 || use.total_bytes() <= use.card_bytes) continue;
    const std::pair<double, const char*> shares[] = {
        {use.weights_bytes, "weights"},
        {use.gradients_bytes, "gradients"},
        {use.optimizer_bytes, "optimiser state"},
        {use.activations_bytes, "activations"},
        {use.schedule_bytes, "copies that the schedule keeps"}};
    const auto& [bytes, what] = *std::max_element(std::begin(shares), std::end(shares));
    warnings.push_back(
        fmt::format("does not fit: {} needs {} of memory, a {} has {}; the largest share: {} ({})",
                    job.model->title(), format_bytes(use.total_bytes()), use.gpu,
                    format_bytes(use.card_bytes), what, format_bytes(bytes)));
  }
  return warnings;
}

double memory_sigma() {
  return kSigma;
}

}  // namespace paceline
