#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iomanip>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "platforms/cluster_file.hpp"
#include "sim/network/network.hpp"
#include "sim/simulation.hpp"

// Small clusters, models and jobs for tests: every figure is given by hand, nothing is loaded.
namespace paceline {

/// |value / expected - 1| <= tolerance, with both values in the message.
inline ::testing::AssertionResult close_to(double value, double expected, double tolerance) {
  const double error = expected == 0 ? std::abs(value) : std::abs(value / expected - 1);
  if (error <= tolerance) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << std::setprecision(17) << value << " instead of "
                                       << expected << ", relative error " << error;
}

// ---- clusters

inline NodeGroup node_group(std::size_t count, std::size_t gpus = 1, double pcie = kInfinity) {
  NodeGroup group;
  group.name = "node";
  group.count = count;
  group.gpus = gpus;
  group.gpu = "GTX 1080 Ti";
  group.pcie = {pcie, 0, 0, 1};
  return group;
}

/// 10 Gb/s and 10 us, the test point of the published contention checks.
inline constexpr double kBandwidth = 1.25e9;
inline constexpr double kAlpha = 10e-6;

inline ClusterSpec star_spec(std::size_t nodes, double bandwidth = kBandwidth,
                             double alpha = kAlpha) {
  ClusterSpec spec;
  spec.name = spec.file = "test";
  spec.nodes = {node_group(nodes)};
  spec.network.bandwidth = bandwidth;
  spec.network.latency = alpha;
  return spec;
}

inline std::shared_ptr<const Cluster> build(const ClusterSpec& spec) {
  return std::make_shared<const Cluster>(make_cluster(spec));
}

/// Two levels: leaves of `per_leaf` nodes, one up-link of bandwidth per_leaf / oversubscription.
inline ClusterSpec fat_tree_spec(std::size_t nodes, std::size_t per_leaf, double oversubscription) {
  ClusterSpec spec = star_spec(nodes);
  spec.network.switch_latency = 2e-6;
  const Json topology{{"kind", "fat_tree"},
                      {"nodes_per_leaf", per_leaf},
                      {"oversubscription", Json::array({oversubscription})}};
  spec.network.topology = read_topology(ObjectReader(topology, "test"));
  return spec;
}

inline std::vector<Endpoint> first_gpus(std::size_t count, Endpoint first = 0) {
  std::vector<Endpoint> gpus(count);
  std::iota(gpus.begin(), gpus.end(), first);
  return gpus;
}

/// node_of of each member, as plans want it.
inline std::vector<std::uint32_t> nodes_of(const Cluster& cluster,
                                           const std::vector<Endpoint>& members) {
  std::vector<std::uint32_t> nodes;
  for (const Endpoint member : members)
    nodes.push_back(static_cast<std::uint32_t>(cluster.node_of(member)));
  return nodes;
}

// ---- jobs

/// Operations that take no time (1e-30 s per byte).
inline std::shared_ptr<const OperationCosts> free_operations() {
  OperationModel model;
  model.launch_s = 0;
  model.memory_bandwidth = model.host_bandwidth = 1e30;
  model.select_efficiency = 1;
  model.torch_legacy_s = 1e-30;
  model.host_to_device_pinned = model.host_to_device_pageable = model.device_to_host_pinned =
      model.device_to_host_pageable = CopyCost{0, 1e30};
  model.top_k = Selector::radix_select;
  return std::make_shared<OperationCosts>(model, "free");
}

/// Adds one tensor behind the others, in forward order; backward yields them in reverse.
inline void add_tensor(ModelShape& model, std::int64_t elements, double forward_s,
                       double backward_s) {
  const auto id = static_cast<TensorId>(model.tensors.size());
  model.tensors.push_back(
      {fmt::format("t{}", id), elements, model.elements, forward_s, backward_s});
  model.elements += elements;
  model.backward_order.insert(model.backward_order.begin(), id);
}

inline ModelShape uniform_model(std::size_t tensors, std::int64_t elements, double forward_s,
                                double backward_s) {
  ModelShape model;
  for (std::size_t i = 0; i < tensors; ++i) add_tensor(model, elements, forward_s, backward_s);
  return model;
}

inline JobSpec make_job(ModelShape model, std::vector<Endpoint> gpus, std::int64_t steps,
                        std::function<Program(Worker&)> program) {
  JobSpec job;
  job.model = std::move(model);
  job.costs = free_operations();
  job.gpus = std::move(gpus);
  job.steps = steps;
  job.schedule.name = "test";
  job.schedule.worker = std::move(program);
  return job;
}

/// S-SGD with wait-free back-propagation, written out here: one all-reduce per tensor.
inline Program wait_free(Worker& w) {
  const std::vector<TensorId>& order = w.model().backward_order;
  std::vector<Pending<Tensor>> means(order.size());
  for ([[maybe_unused]] const Step step : w.steps()) {
    w.forward();
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Tensor gradient = co_await w.backward(order[i]);
      means[i] = w.all_reduce_mean(gradient);
    }
    co_await all(means);
    co_await w.update(means);
  }
}

inline SimulationResult run(std::shared_ptr<const Cluster> cluster, std::vector<JobSpec> jobs,
                            Fidelity fidelity, bool extrapolate = false,
                            NetworkEngine network = NetworkEngine::automatic) {
  SimulationSpec spec;
  spec.cluster = std::move(cluster);
  spec.jobs = std::move(jobs);
  spec.fidelity = fidelity;
  spec.extrapolate = extrapolate;
  spec.network = network;
  return simulate(spec);
}

// ---- transport alone

/// Of the Wires that are made from now on.
inline NetworkEngine wires_use = NetworkEngine::automatic;

/// A clock and a transport without workers. At flow and step fidelity on SimGrid: one per process.
class Wire {
 public:
  Wire(const Cluster& cluster, Fidelity fidelity)
      : network_(fidelity == Fidelity::flow || fidelity == Fidelity::step
                     ? make_network(wires_use, cluster, clock)
                     : nullptr),
        transport(cluster, clock, fidelity, network_.get()) {}

  void run() {
    if (network_ != nullptr)
      network_->run();
    else
      clock.run();
    clock.rethrow_failure();
  }
  /// Returns where the date of arrival will stand.
  const double* send(Endpoint from, Endpoint to, double bytes) {
    auto* mark = new_mark();
    transport.send(from, to, bytes, fire, mark, 0);
    return &mark->date;
  }
  const double* collective(PreparedPlan& plan, double bytes) {
    auto* mark = new_mark();
    transport.run(plan, bytes, fire, mark, 0);
    return &mark->date;
  }
  /// Calls `then` at `date`.
  void at(double date, std::function<void()> then) {
    actions_.push_back(std::make_unique<std::function<void()>>(std::move(then)));
    clock.at(
        date, [](void* self, std::uint64_t) { (*static_cast<std::function<void()>*>(self))(); },
        actions_.back().get());
  }

  Clock clock;

 private:
  struct Mark {
    Wire* wire;
    double date;
  };
  Mark* new_mark() {
    marks_.push_back(std::make_unique<Mark>(Mark{this, -1}));
    return marks_.back().get();
  }
  static void fire(void* self, std::uint64_t) {
    auto* mark = static_cast<Mark*>(self);
    mark->date = mark->wire->clock.now();
  }

  std::unique_ptr<FluidNetwork> network_;

 public:
  Transport transport;

 private:
  std::vector<std::unique_ptr<Mark>> marks_;
  std::vector<std::unique_ptr<std::function<void()>>> actions_;
};

/// One collective, to be timed.
struct Timed {
  Plan plan;
  std::vector<Endpoint> members;
  double bytes;
};

/// Seconds of each collective, run one after the other on one network.
inline std::vector<double> collective_times(const Cluster& cluster, Fidelity fidelity,
                                            const std::vector<Timed>& list) {
  Wire wire(cluster, fidelity);
  std::vector<double> seconds;
  for (const Timed& timed : list) {
    PreparedPlan plan(timed.plan, cluster, timed.members);
    const double start = wire.clock.now();
    const double* end = wire.collective(plan, timed.bytes);
    wire.run();
    seconds.push_back(*end - start);
  }
  return seconds;
}

}  // namespace paceline
