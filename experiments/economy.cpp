#include "experiments/economy.hpp"

#include <algorithm>
#include <unordered_map>

namespace paceline {
namespace {

constexpr double kHour = 3600;  // s

// Cables between switches; each is a link for either direction.
double cables(const Cluster& cluster) {
  return static_cast<double>(
             std::count_if(cluster.links().begin(), cluster.links().end(),
                           [](const Link& link) { return link.kind == LinkKind::fabric; })) /
         2;
}

double samples_of(const JobOutcome& job) {
  return static_cast<double>(job.batch.value_or(0) * job.accumulation) *
         static_cast<double>(job.workers);
}

std::optional<double> time_to_target_s(const JobOutcome& job) {
  return job.training ? job.training->time_to_target_s : std::nullopt;
}

// Sums of the shares of bandwidth that are used, over ports and links and both directions.
struct NetworkUse {
  double ports = 0, links = 0;
};

NetworkUse network_use(const Cluster& cluster, const SimulationResult& run) {
  std::unordered_map<std::string_view, LinkKind> kinds;
  for (const Link& link : cluster.links()) kinds.emplace(link.name, link.kind);
  NetworkUse use;
  for (const LinkUse& link : run.links) {
    const auto kind = kinds.find(link.name);
    if (kind == kinds.end()) continue;
    if (kind->second == LinkKind::nic) use.ports += link.utilisation;
    if (kind->second == LinkKind::fabric) use.links += link.utilisation;
  }
  return use;
}

// By GPU of the cluster: share of the time that it computes; of those without a job 0.
std::vector<double> gpu_use(const Cluster& cluster, const Prepared& prepared,
                            const SimulationResult& run) {
  std::vector<double> use(cluster.gpus(), 0);
  for (std::size_t j = 0; j < run.jobs.size(); ++j) {
    const JobSpec& spec = prepared.jobs[j].spec;
    for (std::size_t rank = 0; rank < run.jobs[j].worker_busy.size(); ++rank)
      use[spec.gpus[rank]] += run.jobs[j].worker_busy[rank];
  }
  return use;
}

}  // namespace

std::optional<Cost> cost_of(const Cluster& cluster, const JobOutcome& job) {
  const ClusterSpec& spec = cluster.spec();
  Cost cost;
  bool priced = false;
  const auto add = [&](const Upkeep& upkeep, double count) {
    if (!upkeep.price) return;
    priced = true;
    cost.dollars_per_hour += count * *upkeep.price;
  };
  for (const NodeGroup& group : spec.nodes) {
    add(group.gpu_upkeep, static_cast<double>(group.count * group.gpus));
    add(group.node_upkeep, static_cast<double>(group.count));
  }
  add(spec.network.port_upkeep, static_cast<double>(cluster.nodes()));
  add(spec.network.link_upkeep, cables(cluster));
  if (!priced) return std::nullopt;
  cost.dollars_per_iteration = cost.dollars_per_hour / kHour * job.iteration_time_s;
  if (job.batch && cost.dollars_per_iteration > 0)
    cost.samples_per_dollar = samples_of(job) / cost.dollars_per_iteration;
  if (const auto seconds = time_to_target_s(job))
    cost.dollars_to_target = cost.dollars_per_hour / kHour * *seconds;
  return cost;
}

std::optional<Energy> energy_of(const Cluster& cluster, const Prepared& prepared,
                                const SimulationResult& run, const JobOutcome& job) {
  const ClusterSpec& spec = cluster.spec();
  bool known = spec.network.port_upkeep.power || spec.network.link_upkeep.power;
  double gpus_w = 0, nodes_w = 0, network_w = 0;
  const std::vector<double> use = gpu_use(cluster, prepared, run);
  std::size_t gpu = 0;
  for (const NodeGroup& group : spec.nodes) {
    known = known || group.gpu_upkeep.power || group.node_upkeep.power;
    if (group.node_upkeep.power)
      nodes_w += static_cast<double>(group.count) * group.node_upkeep.power->idle;
    for (const std::size_t end = gpu + group.count * group.gpus; gpu < end; ++gpu)
      if (group.gpu_upkeep.power) gpus_w += group.gpu_upkeep.power->at(use[gpu]);
  }
  if (!known) return std::nullopt;
  const NetworkUse network = network_use(cluster, run);
  const auto add = [&](const Upkeep& upkeep, double count, double used) {
    if (!upkeep.power) return;
    const Draw& draw = *upkeep.power;
    network_w += count * draw.idle + used / 2 * (draw.busy - draw.idle);
  };
  add(spec.network.port_upkeep, static_cast<double>(cluster.nodes()), network.ports);
  add(spec.network.link_upkeep, cables(cluster), network.links);
  Energy energy;
  energy.watts = gpus_w + nodes_w + network_w;
  energy.gpus_j = gpus_w * job.iteration_time_s;
  energy.nodes_j = nodes_w * job.iteration_time_s;
  energy.network_j = network_w * job.iteration_time_s;
  energy.joules_per_iteration = energy.watts * job.iteration_time_s;
  if (job.batch && energy.joules_per_iteration > 0)
    energy.samples_per_joule = samples_of(job) / energy.joules_per_iteration;
  if (const auto seconds = time_to_target_s(job)) energy.joules_to_target = energy.watts * *seconds;
  return energy;
}

}  // namespace paceline
