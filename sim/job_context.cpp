#include "sim/job_context.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "sim/network/collective_plans.hpp"
#include "sim/range_label.hpp"

namespace paceline {

JobContext::JobContext(JobSpec job, const Cluster& on, Clock& by, Transport& over, Recorder* to,
                       TaskGraph* values, Observer& told)
    : spec(std::move(job)),
      software(spec.stack, spec.gpus.size()),
      cluster(on),
      clock(by),
      transport(over),
      recorder(to),
      observer(told),
      pass_times(spec.model, spec.accumulation, spec.step_overhead_s),
      plans(spec.all_reduce, spec.stack, spec.gpus, cluster),
      steps(spec.steps),
      graph(spec.values ? values : nullptr) {
  if (spec.weights.empty())
    spec.weights.assign(spec.gpus.size(), 1.0 / static_cast<double>(spec.gpus.size()));
  make_nodes();
  if (graph == nullptr) return;
  if (spec.values->micro_batches() != spec.accumulation)
    throw std::invalid_argument(fmt::format("job '{}' accumulates {} micro-batches, its values {}",
                                            spec.name, spec.accumulation,
                                            spec.values->micro_batches()));
  initial = new Buffer(*graph, spec.values->initial_parameters());
  initial->lineage.version.set_all(0);
  metrics =
      std::make_unique<TrainingMetrics>(*graph, spec.gpus.size(), spec.evaluate_every, spec.steps);
}

void JobContext::record_collective(const Channel::Carried& carried, double bytes) const {
  std::vector<double> link_bytes(cluster.links().size());
  carried.plan->add_link_bytes(link_bytes, bytes);
  for (LinkId l = 0; l < link_bytes.size(); ++l)
    recorder->traffic(l, carried.since_s, carried.until_s, link_bytes[l]);
}

void JobContext::record_message(Recorder::Track direction, std::uint32_t rank, Endpoint host,
                                const Shard& shard, double left_s, double bytes) const {
  if (layers != nullptr && rank == 0)
    layers->transfers.push_back({shard.offset, shard.elements, bytes, left_s, clock.now()});
  if (recorder == nullptr) return;
  const char* what = direction == Recorder::pushes ? "push" : "pull";
  recorder->span(spec.gpus[rank], direction + shard.server,
                 fmt::format("{} {}", what, range_label(spec.model, shard.offset, shard.elements)),
                 what, left_s, clock.now(), bytes);
  if (link != nullptr) return;  // between processes nobody sees the links
  const Endpoint server = spec.servers[shard.server];
  const bool out = direction == Recorder::pushes;
  Route route;
  cluster.route(out ? host : server, out ? server : host, route);
  for (const LinkId l : route.links) recorder->traffic(l, left_s, clock.now(), bytes);
}

// A schedule whose servers take each push for itself has nothing to reduce.
void JobContext::make_nodes() {
  const StackConstant& reduces = spec.stack.local_reduction_bandwidth;
  if (!reduces.stated() || !spec.schedule.synchronous || spec.servers.empty()) return;
  std::map<Endpoint, std::size_t> workers;
  for (const Endpoint gpu : spec.gpus) ++workers[cluster.host_of(cluster.node_of(gpu))];
  for (const auto& [host, count] : workers)
    if (count > 1) nodes[host] = std::make_unique<NodeExchange>(clock, later, count, reduces.value);
}

}  // namespace paceline
