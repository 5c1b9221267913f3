#include "experiments/prepare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "algorithms/registry.hpp"
#include "base/error.hpp"
#include "experiments/device_costs.hpp"
#include "experiments/memory.hpp"
#include "sim/network/collective_plans.hpp"
#include "sim/network/network.hpp"

namespace paceline {
namespace {

constexpr std::int64_t kDefaultSteps = 100;

// By rank: shares of the samples (1 = the batch), and how long a step of that share takes over one
// of the whole batch on the first GPU at speed 1.
void deal_batches(const std::map<std::string, DeviceCosts>& by_gpu, const JobDescription& job,
                  const Cluster& cluster, PreparedJob& prepared) {
  const double reference = by_gpu.at(cluster.device(job.gpus.front()).gpu).use.step_s;
  std::vector<double> speed;  // of samples, over the first GPU's at speed 1
  for (const Endpoint gpu : job.gpus) {
    const Device& device = cluster.device(gpu);
    const double step = by_gpu.at(device.gpu).use.step_s;
    speed.push_back(device.speed * (step > 0 ? reference / step : 1));
  }
  const double fastest = *std::max_element(speed.begin(), speed.end());
  const double sum = std::accumulate(speed.begin(), speed.end(), 0.0);
  prepared.speeds = sum / fastest;
  const auto workers = static_cast<double>(speed.size());
  bool uniform = true;
  std::vector<double> factors, weights;
  for (std::size_t rank = 0; rank < speed.size(); ++rank) {
    const double share =
        job.batch_split == BatchSplit::proportional ? workers * speed[rank] / sum : 1;
    const double rate = cluster.device(job.gpus[rank]).speed;
    prepared.slowness.push_back(share / speed[rank]);
    factors.push_back(share * rate / speed[rank]);  // the simulator divides by the device's speed
    weights.push_back(share / workers);
    uniform = uniform && factors.back() == 1 && share == 1;
  }
  if (!uniform) {
    prepared.spec.batch_share = factors;
    if (job.batch_split == BatchSplit::proportional) prepared.spec.weights = weights;
  }
  prepared.fastest = fastest;
}

Schedule make_schedule(const JobDescription& job, const ScheduleContext& context) {
  ObjectReader options(job.schedule, who(job), "schedule");
  const std::string name = options.string("name");
  if (options.has("code")) options.string("code");  // stated by the reader
  return find_schedule(name).make(options, context);
}

// The hosts that may be servers, those first that are servers where nothing is said: the job's own
// nodes and those without GPUs, unless the cluster names its servers.
std::pair<std::vector<Endpoint>, std::size_t> server_hosts(const JobDescription& job,
                                                           const Cluster& cluster) {
  std::vector<Endpoint> hosts = cluster.servers();
  if (!cluster.spec().servers.empty()) return {hosts, hosts.size()};
  std::vector<bool> ours(cluster.nodes(), false), gpus(cluster.nodes(), false);
  for (Endpoint gpu = 0; gpu < cluster.gpus(); ++gpu) gpus[cluster.node_of(gpu)] = true;
  for (const Endpoint gpu : job.gpus) ours[cluster.node_of(gpu)] = true;
  const auto first = std::stable_partition(hosts.begin(), hosts.end(), [&](Endpoint host) {
    return ours[cluster.node_of(host)] || !gpus[cluster.node_of(host)];
  });
  return {hosts, static_cast<std::size_t>(first - hosts.begin())};
}

// Enough whole cycles after the warm-up, if the user did not say how many.
void choose_schedule(const JobDescription& job, const Cluster& cluster, JobSpec& spec) {
  const auto [hosts, enough_hosts] = server_hosts(job, cluster);
  if (job.servers && static_cast<std::size_t>(*job.servers) > hosts.size())
    throw InputError(fmt::format("{}: {} servers were asked for, and {} hosts may be one", who(job),
                                 *job.servers, hosts.size()));
  const std::size_t servers = job.servers ? static_cast<std::size_t>(*job.servers) : enough_hosts;
  spec.schedule = make_schedule(job, {&spec.model, servers});
  const std::int64_t cycle = std::max<std::int64_t>(1, spec.schedule.cycle);
  std::int64_t enough = spec.schedule.warm_up + cycle * ((kDefaultSteps + cycle - 1) / cycle);
  if (spec.schedule.drains && enough == spec.schedule.warm_up + cycle) enough += cycle;
  spec.steps = job.steps.value_or(enough);
  if (spec.schedule.server)
    spec.servers.assign(hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(servers));
}

// What is measured is a whole cycle after the warm-up, and not the last one if a pipeline drains.
std::string warm_up_warning(const JobSpec& spec) {
  const std::int64_t warm_up = spec.schedule.warm_up;
  const std::int64_t needed =
      warm_up + std::max<std::int64_t>(1, spec.schedule.cycle) + (spec.schedule.drains ? 1 : 0);
  if (warm_up == 0 || spec.steps >= needed) return "";
  return fmt::format(
      "the times are not those of {}: its first {} steps are a warm-up, and this run has {}; give "
      "it {} steps or more",
      spec.schedule.name, warm_up, spec.steps, needed);
}

void price(const DeviceCosts& costs, const JobDescription& job, const Experiment& experiment,
           JobSpec& spec) {
  spec.model = costs.shape;
  spec.costs = costs.operations;
  spec.step_overhead_s = static_cast<double>(job.accumulation) * costs.overhead_s;
  spec.selector = job.top_k ? selector_from_string(*job.top_k) : costs.operations->default_top_k();
  spec.clips = job.clips || (job.training && job.training->clip_norm > 0);
  spec.jitter = experiment.jitter;
  if (spec.jitter.distribution == Jitter::Distribution::profile && !costs.p25_over_median)
    throw InputError("jitter from the profile was asked for, and this profile has no quartiles");
  spec.p25_over_median = costs.p25_over_median.value_or(1);
  spec.p75_over_median = costs.p75_over_median.value_or(1);
  spec.seed = experiment.seed;
}

// In words, for the result.
void describe(const JobDescription& job, const JobSpec& spec, JobRecord& record) {
  record.name = job.name;
  record.model = job.model_name;
  record.schedule = spec.schedule.name;
  record.schedule_description = spec.schedule.description;
  record.servers = spec.servers.size();
  record.batch = job.batch;
  record.accumulation = job.accumulation;
  record.precision = to_string(job.precision);
  if (const std::string wire = wire_of(job); wire != "fp32")
    record.precision += fmt::format(", {} on the wire", wire);
  record.all_reduce = to_string(job.all_reduce.algorithm);
  record.top_k = to_string(spec.schedule.selector.value_or(spec.selector));
  record.rounds_formula = spec.schedule.rounds_formula;
}

// Nobody asked for servers on hosts that have no part in the job otherwise.
std::string idle_hosts_warning(const JobDescription& job, const JobSpec& spec,
                               const Cluster& cluster) {
  if (job.servers || !cluster.spec().servers.empty()) return "";
  std::set<std::size_t> nodes;
  for (const Endpoint gpu : spec.gpus) nodes.insert(cluster.node_of(gpu));
  const auto idle = std::count_if(spec.servers.begin(), spec.servers.end(), [&](Endpoint host) {
    return !nodes.contains(cluster.node_of(host));
  });
  if (idle == 0) return "";
  return fmt::format(
      "{} of the {} parameter servers are on hosts without a worker of the job: --servers or the "
      "cluster's 'servers' says which",
      idle, spec.servers.size());
}

// Of the first kind of GPU, which is what schedules' own operations are priced by.
std::vector<Assumption> assumptions_of(const OperationCosts& operations, const JobSpec& spec,
                                       const Cluster& cluster) {
  std::vector<Assumption> assumptions = operations.assumptions();
  const bool unknown = std::any_of(spec.servers.begin(), spec.servers.end(), [&](Endpoint host) {
    return std::isinf(cluster.host(cluster.node_of(host)).memory_bandwidth);
  });
  if (unknown && !operations.model().host_bandwidth)
    assumptions.push_back(assumed_host_bandwidth());
  return assumptions;
}

PreparedJob prepare_job(const JobDescription& job, const Experiment& experiment,
                        const Cluster& cluster) {
  PreparedJob prepared;
  const auto by_gpu = costs_by_gpu(job, cluster);
  const DeviceCosts& first = by_gpu.at(cluster.device(job.gpus.front()).gpu);
  JobSpec& spec = prepared.spec;
  static_cast<JobOptions&>(spec) = job;
  spec.stack = experiment.stack;
  if (const double lost = spec.stack.compute_lost_while_sending.value; lost > 0)
    spec.slow_while_sending = 1 - (1 - job.slow_while_sending) * (1 - lost);
  price(first, job, experiment, spec);
  for (const auto& [gpu, costs] : by_gpu) {
    prepared.profiles.push_back(costs.use);
    prepared.relative_uncertainty =
        std::max(prepared.relative_uncertainty, costs.use.relative_uncertainty);
  }
  deal_batches(by_gpu, job, cluster, prepared);
  choose_schedule(job, cluster, spec);
  describe(job, spec, prepared);
  prepared.model_title = job.model_title;
  const double update = update_s(spec, static_cast<double>(spec.model.elements));
  prepared.one_gpu_time_s =
      (static_cast<double>(job.accumulation) * first.use.step_s + update) / prepared.fastest;

  prepared.memory = memory_uses(job, experiment.stack, cluster, spec.schedule);
  prepared.assumptions = assumptions_of(*spec.costs, spec, cluster);
  prepared.warnings = profile_warnings(by_gpu, job);
  if (std::string warning = warm_up_warning(spec); !warning.empty())
    prepared.warnings.push_back(std::move(warning));
  if (std::string warning = idle_hosts_warning(job, spec, cluster); !warning.empty())
    prepared.warnings.push_back(std::move(warning));
  for (std::string& warning : memory_warnings(prepared.memory, job))
    prepared.warnings.push_back(std::move(warning));
  return prepared;
}

// The worker whose way to a server is the longest, which is on another node where there is one:
// what a message there takes is the network's, not that of a bus inside the server's own node.
Route way_to_server(const JobSpec& spec, const Cluster& cluster) {
  Route longest;
  double bandwidth = 0;
  if (spec.servers.empty()) {
    cluster.route(spec.gpus.front(), spec.gpus.back(), longest);
    return longest;
  }
  for (const Endpoint gpu : spec.gpus) {
    Route route;
    cluster.route(gpu, spec.servers.back(), route);
    const double narrowest = cluster.bandwidth(route);
    if (bandwidth != 0 &&
        std::pair(narrowest, -route.latency) >= std::pair(bandwidth, -longest.latency))
      continue;
    bandwidth = narrowest;
    longest = std::move(route);
  }
  return longest;
}

// Of samples, and of host overhead and the optimiser's operations, which are not of the batch: the
// slowest worker's, whom all wait for. Asynchronous workers do not wait: their iterations are the
// mean worker's, and speeds add up.
struct Pace {
  double slowest = 1, slowdown = 1;
};

Pace pace_of(const PreparedJob& job, const Cluster& cluster) {
  const JobSpec& spec = job.spec;
  const auto speed = [&](std::size_t rank) { return cluster.device(spec.gpus[rank]).speed; };
  if (spec.schedule.synchronous) {
    const auto slowest = std::max_element(job.slowness.begin(), job.slowness.end());
    return {*slowest, 1 / speed(static_cast<std::size_t>(slowest - job.slowness.begin()))};
  }
  double samples = 0, operations = 0;
  for (std::size_t rank = 0; rank < job.slowness.size(); ++rank) {
    samples += 1 / job.slowness[rank];
    operations += speed(rank);
  }
  const auto workers = static_cast<double>(job.slowness.size());
  return {workers / samples, workers / operations};
}

// Seconds that the busiest link needs for every byte of the model, if all workers push it to the
// servers and pull it back, each server having the same share.
double exchange_s_per_byte(const JobSpec& spec, const Cluster& cluster) {
  std::vector<double> load(cluster.links().size(), 0);
  Route route;
  for (const Endpoint gpu : spec.gpus) {
    const Endpoint host = cluster.host_of(cluster.node_of(gpu));
    for (const Endpoint server : spec.servers)
      for (const auto& [from, to] : {std::pair(host, server), std::pair(server, host)}) {
        cluster.route(from, to, route);
        for (const LinkId link : route.links) load[link] += 1;
      }
  }
  double seconds = 0;
  for (LinkId link = 0; link < load.size(); ++link)
    seconds = std::max(seconds, load[link] / cluster.links()[link].bandwidth);
  return seconds / static_cast<double>(spec.servers.size());
}

// Of what N S / (servers B) says, with B of the way to one server.
double server_passes(const Route& there, const JobSpec& spec, const Cluster& cluster) {
  if (spec.servers.empty()) return 1;
  const auto workers = static_cast<double>(spec.gpus.size()),
             servers = static_cast<double>(spec.servers.size());
  return std::max(
      1.0, exchange_s_per_byte(spec, cluster) * servers * cluster.bandwidth(there) / workers);
}

// Software that sends to servers on the own host over its port uses none where all workers of a job
// are on one node.
std::shared_ptr<const Cluster> cluster_of(const Experiment& experiment) {
  ClusterSpec spec = cluster_under(experiment.stack, experiment.cluster);
  auto cluster = std::make_shared<const Cluster>(build_cluster(spec));
  const auto on_one_node = [&](const JobDescription& job) {
    return std::all_of(job.gpus.begin(), job.gpus.end(), [&](Endpoint gpu) {
      return cluster->node_of(gpu) == cluster->node_of(job.gpus.front());
    });
  };
  if (!spec.network.own_host_over_port ||
      !std::all_of(experiment.jobs.begin(), experiment.jobs.end(), on_one_node))
    return cluster;
  spec.network.own_host_over_port = false;
  return std::make_shared<const Cluster>(build_cluster(std::move(spec)));
}

}  // namespace

Prepared prepare(const Experiment& experiment) {
  Prepared prepared;
  prepared.simulation.cluster = cluster_of(experiment);
  prepared.simulation.fidelity = experiment.fidelity;
  prepared.simulation.network = experiment.network;
  prepared.simulation.extrapolate = experiment.extrapolate;
  for (const JobDescription& job : experiment.jobs) {
    prepared.jobs.push_back(prepare_job(job, experiment, *prepared.simulation.cluster));
    prepared.simulation.jobs.push_back(prepared.jobs.back().spec);
  }
  return prepared;
}

BoundInputs bound_inputs(const PreparedJob& job, const Cluster& cluster) {
  const JobSpec& spec = job.spec;
  const auto [slowest, slowdown] = pace_of(job, cluster);
  BoundInputs in;
  in.model = &spec.model;
  in.workers = spec.gpus.size();
  for (const ModelShape::Item& tensor : spec.model.tensors) {
    in.forward_s += tensor.forward_s;
    in.backward_s += tensor.backward_s;
  }
  // All micro-batches but the last are over before the first gradient is wanted: they count as
  // forward.
  const auto earlier = static_cast<double>(spec.accumulation - 1);
  in.forward_s += earlier * (in.forward_s + in.backward_s);
  in.forward_s = slowest * in.forward_s + slowdown * spec.step_overhead_s;
  in.backward_s *= slowest;
  const std::shared_ptr<const OperationCosts> costs = spec.costs;
  in.update_s = slowdown * update_s(spec, static_cast<double>(spec.model.elements));
  in.subtract_s = [costs, slowdown = slowdown](double elements) {
    const kernels::OperationInfo& subtract = kernels::kInfo<kernels::Combine>;
    return slowdown * costs->operation(subtract.name, elements, subtract.least_bytes(elements));
  };
  in.compute_while_sending = 1 - spec.slow_while_sending;
  in.payload_bytes_per_element = spec.payload_bits / 8;

  const auto plans =
      std::make_shared<const CollectivePlans>(spec.all_reduce, spec.stack, spec.gpus, cluster);
  in.all_reduce_s = [plans](double bytes) {
    return plans->of(CollectiveKind::all_reduce, bytes).alone_s(bytes);
  };
  in.all_gather_s = [plans](double bytes) {
    return plans->of(CollectiveKind::all_gather, bytes).alone_s(bytes);
  };
  in.servers = spec.servers.size();
  in.pushers = in.workers;
  if (spec.stack.local_reduction_bandwidth.stated() && spec.schedule.synchronous) {
    std::set<std::size_t> nodes;
    for (const Endpoint gpu : spec.gpus) nodes.insert(cluster.node_of(gpu));
    in.pushers = nodes.size();
  }
  const Route route = way_to_server(spec, cluster);
  in.server_passes = server_passes(route, spec, cluster);
  in.message_s = [alpha = route.latency, bandwidth = cluster.bandwidth(route)](double bytes) {
    return alpha + bytes / bandwidth;
  };
  in.selector = spec.selector;
  in.select_s = [costs](double elements, double k, Selector selector) {
    return costs->top_k(elements, k, selector);
  };
  return in;
}

}  // namespace paceline
