#include "experiments/device_costs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/profile/recompute.hpp"
#include "experiments/one_gpu.hpp"
#include "models/graph.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

constexpr std::string_view kInvented = "reference";  // the device of profiles that are arithmetic

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

// A profile of the cluster's own card, or of one of which nothing but the name is known.
Profile with_card(Profile profile, const GpuSpec& cluster) {
  if (profile.card || known_gpu(profile.device) != nullptr) return profile;
  if (same_gpu(profile.device, cluster.name))
    profile.card = cluster;
  else if (profile.device != kInvented && profile.operations == OperationModel{})
    profile.card = card_called(profile.device);
  return profile;
}

Profile profile_of(const Json& choice, const JobDescription& job, const GpuSpec& gpu) {
  const auto given = given_time(choice);
  if ((given || choice == "analytic") && !job.batch)
    throw InputError(fmt::format("{}: missing key 'batch' (samples per GPU)", who(job)));
  if (given)
    return one_gpu_profile(*job.model, gpu, given->step_s(*job.batch * job.accumulation),
                           *job.batch, job.accumulation, job.optimizer, job.precision);
  if (choice == "analytic") return analytic_profile(*job.model, gpu, *job.batch, job.precision);
  if (choice.is_string()) return with_card(load_profile(choice.get<std::string>()), gpu);
  return with_card(read_profile(choice, "profile"), gpu);
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

// A step that was measured as a whole has what it computed again in it.
StepCosts costs_with_recompute(const JobDescription& job, const Profile& profile) {
  StepCosts step = step_costs(*job.model, profile, batch_of(job, profile));
  const double without = step.forward_s() + step.backward_s();
  add_recompute(step, *job.model, job.recompute);
  const bool measured = profile.batches.front().whole_net.has_value();
  const double factor =
      measured && without > 0 ? without / (step.forward_s() + step.backward_s()) : 1;
  if (factor < 1)
    for (TensorCost& tensor : step.tensors) {
      tensor.forward_s *= factor;
      tensor.backward_s *= factor;
    }
  return step;
}

DeviceCosts device_costs(const JobDescription& job, const GpuSpec& card) {
  const std::string& gpu = card.name;
  const Json choice = choice_for(job, gpu);
  const Profile profile = profile_of(choice, job, card);
  const StepCosts step = costs_with_recompute(job, profile);
  DeviceCosts costs;
  costs.shape = shape_of(step, *job.model);
  costs.operations = std::make_shared<const OperationCosts>(operation_costs(profile));
  costs.profile_device = profile.device;
  costs.profile_precision = profile.precision;
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

}  // namespace

std::map<std::string, DeviceCosts> costs_by_gpu(const JobDescription& job, const Cluster& cluster) {
  std::map<std::string, DeviceCosts> costs;
  const bool by_gpu = job.profile == "analytic" || is_map(job.profile);
  const std::string& first = cluster.device(job.gpus.front()).gpu;
  costs.emplace(first, device_costs(job, *cluster.device(job.gpus.front()).card));
  for (const Endpoint gpu : job.gpus) {
    const std::string& name = cluster.device(gpu).gpu;
    if (!costs.contains(name)) {
      costs.emplace(name, by_gpu ? device_costs(job, *cluster.device(gpu).card) : costs.at(first));
      costs.at(name).use.gpu = name;
    }
    ++costs.at(name).use.workers;
  }
  return costs;
}

std::vector<std::string> profile_warnings(const std::map<std::string, DeviceCosts>& by_gpu,
                                          const JobDescription& job) {
  std::vector<std::string> warnings;
  for (const auto& [gpu, costs] : by_gpu)
    if (costs.profile_device != kInvented && !same_gpu(costs.profile_device, gpu))
      warnings.push_back(
          fmt::format("the profile is of a {}, the cluster has {}", costs.profile_device, gpu));
  const DeviceCosts& any = by_gpu.begin()->second;
  if (job.precision != Precision::fp32 && any.profile_device != kInvented &&
      precision_of_profile(any.profile_precision) != job.precision)
    warnings.push_back(fmt::format("the profile is of {}, and {} was asked for: its times are used",
                                   any.profile_precision, to_string(job.precision)));
  if (job.training && job.precision != Precision::fp32)
    warnings.push_back(fmt::format("values are computed in fp32; {} is that of the times",
                                   to_string(job.precision)));
  return warnings;
}

}  // namespace paceline
