#pragma once

#include <cmath>
#include <memory>
#include <random>
#include <string>

#include "algorithms/registry.hpp"
#include "platforms/cluster_file.hpp"
#include "sim/simulation.hpp"

// Runs schedules on the reference star and knows its closed forms. Everything here is written
// without the code under test.
namespace paceline::simulated {

/// The reference star: `workers` single-GPU nodes, alpha per message and B bytes/s per link.
struct Star {
  std::size_t workers = 4;
  double alpha = 50e-6;
  double bandwidth = 1.25 * 1024 * 1024 * 1024;
  std::string overrides[2] = {};  // of network.latency and network.bandwidth

  static Star ideal(std::size_t workers) {
    return {workers, 0, INFINITY, {"network.latency=0s", "network.bandwidth=inf"}};
  }
  [[nodiscard]] std::shared_ptr<const Cluster> cluster() const {
    std::vector<std::string> changes{"nodes[0].count=" + std::to_string(workers)};
    for (const std::string& change : overrides)
      if (!change.empty()) changes.push_back(change);
    return std::make_shared<const Cluster>(load_cluster("reference-star", changes));
  }
  [[nodiscard]] double all_reduce_s(double bytes) const {
    const auto n = static_cast<double>(workers);
    return 2 * (n - 1) * (alpha + bytes / (n * bandwidth));
  }
  /// Every worker contributes `block` bytes.
  [[nodiscard]] double all_gather_s(double block) const {
    return (static_cast<double>(workers) - 1) * (alpha + block / bandwidth);
  }
  [[nodiscard]] double gtop_k_s(double block) const {
    return 2 * std::ceil(std::log2(static_cast<double>(workers))) * (alpha + block / bandwidth);
  }
};

/// A chain of `tensors` layers of random sizes and times.
inline ModelShape random_model(std::uint32_t seed, int tensors, double scale_s = 1e-3) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> unit(0.05, 1);
  ModelShape model;
  for (int i = 0; i < tensors; ++i) {
    ModelShape::Item item;
    item.name = "layer" + std::to_string(i) + ".weight";
    item.elements = static_cast<std::int64_t>(std::pow(10.0, 2 + 4 * unit(random)));
    item.offset = model.elements;
    item.forward_s = scale_s * unit(random);
    item.backward_s = 2 * scale_s * unit(random);
    model.elements += item.elements;
    model.tensors.push_back(item);
  }
  for (int i = tensors - 1; i >= 0; --i) model.backward_order.push_back(static_cast<TensorId>(i));
  return model;
}

inline double forward_s(const ModelShape& model) {
  double sum = 0;
  for (const auto& tensor : model.tensors) sum += tensor.forward_s;
  return sum;
}
inline double backward_s(const ModelShape& model) {
  double sum = 0;
  for (const auto& tensor : model.tensors) sum += tensor.backward_s;
  return sum;
}
inline double compute_s(const ModelShape& model) {
  return forward_s(model) + backward_s(model);
}
inline double model_bytes(const ModelShape& model) {
  return 4.0 * static_cast<double>(model.elements);
}

/// Seconds per n log2 n of the only operation that is not free here: top-k by "torch_legacy".
constexpr double kTopKCost = 2e-10;
inline double top_k_s(double n) {
  return kTopKCost * n * std::log2(n);
}

/// Operations that cost nothing, except top-k by torch_legacy if `top_k_cost`.
inline std::shared_ptr<const OperationCosts> free_operations(double top_k_cost = kTopKCost) {
  OperationModel m;
  m.launch_s = 0;
  m.memory_bandwidth = m.host_bandwidth = 1e30;
  m.select_efficiency = 1;
  m.torch_legacy_s = top_k_cost;
  const CopyCost free{0, 1e30};
  m.host_to_device_pinned = m.host_to_device_pageable = free;
  m.device_to_host_pinned = m.device_to_host_pageable = free;
  m.top_k = Selector::radix_select;
  return std::make_shared<OperationCosts>(m, "free");
}

inline Schedule make_schedule(const std::string& name, const Json& options,
                              const ModelShape& model) {
  ObjectReader reader(options, "test", "$.schedule.options");
  const ScheduleContext context{&model, 0};
  return find_schedule(name).make(reader, context);
}

inline JobSpec job(const std::string& name, const Json& options, const ModelShape& model,
                   std::size_t workers, std::int64_t steps) {
  JobSpec job;
  job.model = model;
  job.costs = free_operations();
  job.selector = Selector::torch_legacy;
  job.steps = steps;
  for (std::size_t i = 0; i < workers; ++i) job.gpus.push_back(static_cast<Endpoint>(i));
  job.schedule = make_schedule(name, options, model);
  return job;
}

inline JobResult run(const JobSpec& job, std::shared_ptr<const Cluster> cluster) {
  SimulationSpec spec;
  spec.cluster = std::move(cluster);
  spec.jobs = {job};
  spec.fidelity = Fidelity::closed;
  spec.extrapolate = false;
  return simulate(spec).jobs.front();
}

inline JobResult run(const std::string& name, const Json& options, const ModelShape& model,
                     const Star& star, std::int64_t steps, double slow_while_sending = 0) {
  JobSpec spec = job(name, options, model, star.workers, steps);
  spec.slow_while_sending = slow_while_sending;
  return run(spec, star.cluster());
}

}  // namespace paceline::simulated
