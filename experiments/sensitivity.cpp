#include "experiments/sensitivity.hpp"
#include "base/defaults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace paceline {
namespace {

// Published latencies of a ring step of NCCL on 10 Gb/s Ethernet: 43, 79, 176 and 283 us.
const Default kLatencySigma{"uncertainty.latency", 0.3, "",
                            "relative sigma of a network's latency: NCCL's ring steps on 10 Gb/s "
                            "Ethernet take 43 to 283 us"};
// PCIe 3.0 x16 of shipped machines: 0.70 to 0.80 of the line rate where it was measured.
const Default kNodeSigma{
    "uncertainty.links_in_a_node", 0.1, "",
    "relative sigma of PCIe and NVLink: 0.70 to 0.80 of the line rate where it was measured"};

bool talks(const Experiment& experiment) {
  return std::any_of(experiment.jobs.begin(), experiment.jobs.end(),
                     [](const JobDescription& job) { return job.gpus.size() > 1; });
}

class Inputs {
 public:
  explicit Inputs(const Experiment& experiment) : experiment_(experiment) {}

  template <class Move>
  void add(std::string input, double sigma, Move move) {
    MovedInput moved{std::move(input), sigma, experiment_};
    move(moved.experiment);
    found_.push_back(std::move(moved));
  }

  std::vector<MovedInput> take() { return std::move(found_); }

 private:
  const Experiment& experiment_;
  std::vector<MovedInput> found_;
};

void add_network(const Experiment& experiment, Inputs& inputs) {
  inputs.add("network bandwidth", kBandwidthSigma, [](Experiment& moved) {
    NetworkSpec& network = moved.cluster.network;
    network.efficiency = std::max(0.001, network.efficiency / (1 + kBandwidthSigma));
  });
  inputs.add("network latency", kLatencySigma, [](Experiment& moved) {
    NetworkSpec& network = moved.cluster.network;
    network.latency *= 1 + kLatencySigma;
    network.overhead *= 1 + kLatencySigma;
  });
  const bool shares_nodes =
      std::any_of(experiment.cluster.nodes.begin(), experiment.cluster.nodes.end(),
                  [](const NodeGroup& group) { return group.gpus > 1; });
  if (!shares_nodes) return;
  inputs.add("links inside a node", kNodeSigma, [](Experiment& moved) {
    for (NodeGroup& group : moved.cluster.nodes) {
      group.pcie.efficiency = std::max(0.001, group.pcie.efficiency / (1 + kNodeSigma));
      if (group.nvlink)
        group.nvlink->efficiency = std::max(0.001, group.nvlink->efficiency / (1 + kNodeSigma));
      if (group.bridge) *group.bridge /= 1 + kNodeSigma;
    }
  });
}

// To the slower side: bandwidths and efficiencies fall.
double moved_value(const StackField& field, double value, double sigma) {
  const bool faster_is_more = field.unit == StackUnit::bandwidth || field.key == "port_efficiency";
  return std::clamp(faster_is_more ? value / (1 + sigma) : value * (1 + sigma), field.least,
                    field.most);
}

void add_stack(const Experiment& experiment, Inputs& inputs) {
  for (const StackField& field : stack_fields()) {
    const StackConstant& constant = experiment.stack.*field.constant;
    if (!constant.stated() || constant.uncertainty <= 0 || constant.value == 0) continue;
    inputs.add(fmt::format("stack: {}", field.key), constant.uncertainty, [&](Experiment& moved) {
      double& value = (moved.stack.*field.constant).value;
      const bool is_jitter = field.constant == &Stack::step_jitter && moved.jitter.needs_cv() &&
                             moved.jitter.cv == value;
      value = moved_value(field, value, constant.uncertainty);
      if (is_jitter) moved.jitter.cv = value;
    });
  }
}

}  // namespace

std::vector<MovedInput> moved_inputs(const Experiment& experiment, double compute_sigma) {
  Inputs inputs(experiment);
  if (compute_sigma > 0)
    inputs.add("computation", compute_sigma, [&](Experiment& moved) {
      for (NodeGroup& group : moved.cluster.nodes) group.speed /= 1 + compute_sigma;
    });
  if (talks(experiment)) add_network(experiment, inputs);
  add_stack(experiment, inputs);
  return inputs.take();
}

void add_unexplained(const Experiment& experiment, double iteration_s,
                     std::vector<Influence>& influences) {
  const double sigma = experiment.stack.unexplained.value;
  if (sigma > 0 && talks(experiment))
    influences.push_back({"stack: unexplained", sigma, sigma * iteration_s});
}

double combined_s(const std::vector<Influence>& influences) {
  double squares = 0;
  for (const Influence& influence : influences) squares += influence.change_s * influence.change_s;
  return std::sqrt(squares);
}

}  // namespace paceline
