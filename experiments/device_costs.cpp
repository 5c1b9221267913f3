#include "experiments/device_costs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "experiments/one_gpu.hpp"
#include "models/graph.hpp"
#include "platforms/gpus.hpp"

namespace paceline {
namespace {

constexpr std::string_view kInvented = "reference";  // the device of profiles that are arithmetic
constexpr double kBytesPerElement = 4;               // on the GPU; `precision` is of what is sent

// An object of profiles by the name of the GPU.
bool is_map(const Json& profile) {
  return profile.is_object() && !profile.contains("format");
}

Json choice_for(const JobDescription& job, const std::string& gpu) {
  if (!is_map(job.profile)) return job.profile;
  if (job.profile.contains(gpu)) return job.profile.at(gpu);
  std::vector<std::string> names;
  for (const auto& [name, value] : job.profile.items()) names.push_back(name);
  throw InputError(fmt::format("{}: no profile for the cluster's GPU '{}'; there is one for: {}",
                               who(job), gpu, fmt::join(names, ", ")));
}

std::optional<OneGpuTime> given_time(const Json& choice) {
  return choice.is_string() ? OneGpuTime::from_text(choice.get<std::string>()) : std::nullopt;
}

Profile profile_of(const Json& choice, const JobDescription& job, const std::string& gpu) {
  const auto given = given_time(choice);
  if ((given || choice == "analytic") && !job.batch)
    throw InputError(fmt::format("{}: missing key 'batch' (samples per GPU)", who(job)));
  if (given)
    return one_gpu_profile(*job.model, gpu, given->step_s(*job.batch * job.accumulation),
                           *job.batch, job.accumulation, job.momentum);
  if (choice == "analytic") return analytic_profile(*job.model, find_gpu(gpu), *job.batch);
  if (choice.is_string()) return load_profile(choice.get<std::string>());
  return read_profile(choice, "profile");
}

std::int64_t batch_of(const JobDescription& job, const Profile& profile) {
  if (job.batch) return *job.batch;
  if (profile.batches.size() == 1) return profile.batches.front().batch.value_or(1);
  throw InputError(fmt::format("{}: missing key 'batch': the profile has several", who(job)));
}

ModelShape shape_of(const StepCosts& costs, const Model& model) {
  ModelShape shape;
  for (std::size_t t = 0; t < costs.tensors.size(); ++t) {
    const TensorCost& tensor = costs.tensors[t];
    // As a matrix, a weight has its outputs as rows (PowerSGD's view); vectors stay one row.
    const std::vector<std::int64_t>& dims = model.tensors()[t].shape;
    const std::int64_t rows = dims.size() > 1 ? dims.front() : 1;
    shape.tensors.push_back(
        {tensor.name, tensor.elements, shape.elements, tensor.forward_s, tensor.backward_s, rows});
    shape.elements += tensor.elements;
  }
  for (const std::size_t index : costs.backward_order)
    shape.backward_order.push_back(static_cast<TensorId>(index));
  return shape;
}

DeviceCosts device_costs(const JobDescription& job, const std::string& gpu) {
  const Json choice = choice_for(job, gpu);
  const Profile profile = profile_of(choice, job, gpu);
  const StepCosts step = step_costs(*job.model, profile, batch_of(job, profile));
  DeviceCosts costs;
  costs.shape = shape_of(step, *job.model);
  costs.operations = std::make_shared<const OperationCosts>(operation_costs(profile));
  costs.profile_device = profile.device;
  costs.use = {gpu,          0, to_string(step.source), step.description, step.relative_uncertainty,
               step.step_s()};
  if (given_time(choice)) {
    costs.profile_device = gpu;
    costs.use.source = "given";
    costs.use.description = profile.description;
  }
  costs.overhead_s = step.host_overhead_s + step.input_pipeline_s;
  costs.p25_over_median = step.p25_over_median;
  costs.p75_over_median = step.p75_over_median;
  return costs;
}

// The table's name of a card, so that "1080ti" is a "GTX 1080 Ti"; of what is not there its own.
std::string card(const std::string& name) {
  try {
    return std::string(find_gpu(name).name);
  } catch (const InputError&) {
    return name;
  }
}

}  // namespace

std::map<std::string, DeviceCosts> costs_by_gpu(const JobDescription& job, const Cluster& cluster) {
  std::map<std::string, DeviceCosts> costs;
  const bool by_gpu = job.profile == "analytic" || is_map(job.profile);
  const std::string& first = cluster.device(job.gpus.front()).gpu;
  costs.emplace(first, device_costs(job, first));
  for (const Endpoint gpu : job.gpus) {
    const std::string& name = cluster.device(gpu).gpu;
    if (!costs.contains(name)) {
      costs.emplace(name, by_gpu ? device_costs(job, name) : costs.at(first));
      costs.at(name).use.gpu = name;
    }
    ++costs.at(name).use.workers;
  }
  return costs;
}

std::vector<std::string> profile_warnings(const std::map<std::string, DeviceCosts>& by_gpu) {
  std::vector<std::string> warnings;
  for (const auto& [gpu, costs] : by_gpu)
    if (costs.profile_device != kInvented && card(costs.profile_device) != card(gpu))
      warnings.push_back(
          fmt::format("the profile is of a {}, the cluster has {}", costs.profile_device, gpu));
  return warnings;
}

std::vector<MemoryUse> memory_uses(const JobDescription& job, const Cluster& cluster,
                                   double extra_copies) {
  std::map<std::string, MemoryUse> by_gpu;
  if (!job.batch) return {};
  const double copy = kBytesPerElement * static_cast<double>(job.model->parameters());
  const double all =
      training_memory_bytes(*job.model, *job.batch, job.momentum ? 1 : 0, kBytesPerElement);
  for (const Endpoint gpu : job.gpus) {
    const Device& device = cluster.device(gpu);
    MemoryUse& use = by_gpu[device.gpu];
    use = {device.gpu, device.memory_bytes, copy, copy, job.momentum ? copy : 0, 0, 0};
    use.activations_bytes = all - use.total_bytes();
    use.schedule_bytes = extra_copies * copy;
  }
  std::vector<MemoryUse> uses;
  for (auto& [gpu, use] : by_gpu) uses.push_back(std::move(use));
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
    warnings.push_back(fmt::format(
        "does not fit: {} needs at least {} of memory, a {} has {}; the largest share: {} ({})",
        job.model->title(), format_bytes(use.total_bytes()), use.gpu, format_bytes(use.card_bytes),
        what, format_bytes(bytes)));
  }
  return warnings;
}

}  // namespace paceline
