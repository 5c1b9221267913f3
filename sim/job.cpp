#include "sim/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "sim/server/runtime.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {

double update_s(const JobSpec& spec, double elements) {
  const double step = spec.costs->sgd_update(elements, spec.momentum);
  return spec.clips ? spec.costs->kernel("clip_norm", elements) + step : step;
}

Job::Job(JobSpec spec, const Cluster& cluster, Clock& clock, Transport& transport,
         Recorder* recorder, Listener& listener, TaskGraph* graph)
    : spec_(std::move(spec)),
      cluster_(cluster),
      clock_(clock),
      transport_(transport),
      recorder_(recorder),
      listener_(listener),
      pass_times_(spec_.model, spec_.accumulation, spec_.step_overhead_s),
      running_(spec_.gpus.size()),
      graph_(spec_.values ? graph : nullptr) {
  if (spec_.weights.empty())
    spec_.weights.assign(spec_.gpus.size(), 1.0 / static_cast<double>(spec_.gpus.size()));
  if (graph_ != nullptr) {
    if (spec_.values->micro_batches() != spec_.accumulation)
      throw std::invalid_argument(
          fmt::format("job '{}' accumulates {} micro-batches, its values {}", spec_.name,
                      spec_.accumulation, spec_.values->micro_batches()));
    initial_ = new Buffer(*graph_, spec_.values->initial_parameters());
    initial_->lineage.version.set_all(0);
    metrics_ = std::make_unique<TrainingMetrics>(*graph_, spec_.gpus.size(), spec_.evaluate_every,
                                                 spec_.steps);
    evaluations_ = std::make_unique<Evaluations>(*graph_, later_, spec_.values, spec_.weights,
                                                 spec_.evaluate_every, spec_.steps);
  }
  const std::int64_t cycle = std::max<std::int64_t>(1, spec_.schedule.cycle);
  log_.measured_from =
      std::min(spec_.schedule.warm_up, std::max<std::int64_t>(0, spec_.steps - cycle));
  // A schedule that needs a warm-up also drains at the end: its last cycle is not like the others.
  log_.measured_until = spec_.steps;
  if (spec_.schedule.warm_up > 0 && spec_.steps - cycle > log_.measured_from)
    log_.measured_until -= cycle;

  make_plans();
  for (std::uint32_t rank = 0; rank < spec_.gpus.size(); ++rank) {
    workers_.push_back(std::make_unique<WorkerRuntime>(*this, rank));
    if (recorder != nullptr)
      recorder->name_worker(spec_.gpus[rank], fmt::format("{} worker {} ({})", spec_.name, rank,
                                                          cluster.endpoint_name(spec_.gpus[rank])));
  }
  if (spec_.schedule.server && spec_.servers.empty())
    throw InputError(fmt::format("schedule '{}' needs a parameter server, and this run has none",
                                 spec_.schedule.name));
  if (spec_.schedule.server)
    for (std::uint32_t server = 0; server < spec_.servers.size(); ++server) {
      servers_.push_back(std::make_unique<ServerRuntime>(*this, server));
      if (recorder != nullptr)
        recorder->name_worker(spec_.servers[server],
                              fmt::format("{} server {} ({})", spec_.name, server,
                                          cluster.endpoint_name(spec_.servers[server])));
    }
  if (spec_.slow_while_sending > 0) wire_.listen(this);
  make_channels();
}

void Job::make_plans() {
  std::vector<std::uint32_t> nodes;
  for (const Endpoint gpu : spec_.gpus)
    nodes.push_back(static_cast<std::uint32_t>(cluster_.node_of(gpu)));
  const auto ranks = static_cast<std::uint32_t>(spec_.gpus.size());
  const auto make = [this](CollectiveKind kind, Plan plan) {
    plans_[static_cast<std::size_t>(kind)] =
        std::make_unique<PreparedPlan>(std::move(plan), cluster_, spec_.gpus);
  };
  make(CollectiveKind::all_reduce, plan_all_reduce(spec_.all_reduce, nodes));
  make(CollectiveKind::all_gather, plan_all_gather(ranks));
  make(CollectiveKind::gtop_k, plan_gtop_k(ranks));
  make(CollectiveKind::barrier, plan_barrier(ranks));
}

void Job::make_channels() {
  for (std::size_t s = 0; s < spec_.schedule.streams.size(); ++s) {
    auto channel = std::make_unique<Channel>(
        clock_, transport_, wire_, later_, spec_.gpus.size(), spec_.schedule.streams[s],
        [this](std::int64_t offset, std::int64_t elements) { return label(offset, elements); });
    for (std::size_t kind = 0; kind < plans_.size(); ++kind)
      channel->set_plan(static_cast<CollectiveKind>(kind), plans_[kind].get());
    if (recorder_ != nullptr)
      channel->trace([this, s](const Collective& collective) {
        for (const Endpoint gpu : spec_.gpus)
          recorder_->span(gpu, static_cast<std::uint32_t>(Recorder::communication + s),
                          collective.describe(), to_string(collective.call.kind),
                          collective.started, clock_.now());
      });
    if (graph_ != nullptr) channel->set_values({graph_, spec_.weights});
    channels_.push_back(std::move(channel));
  }
}

// CoCoD's "a %": all workers compute slower while they are on the wire together.
void Job::wire_changed(bool on) {
  for (const auto& worker : workers_) worker->wire_changed(on);
}

Job::~Job() {
  for (const auto& worker : workers_) worker->stop();
  for (const auto& server : servers_) server->stop();
  later_.clear();  // refers to operations, which go with their pool
}

void Job::start() {
  for (const auto& server : servers_) server->start();
  for (const auto& worker : workers_) worker->start();
}

std::string Job::label(std::int64_t offset, std::int64_t elements) const {
  const auto& tensors = spec_.model.tensors;
  const auto first =
      std::upper_bound(tensors.begin(), tensors.end(), offset,
                       [](std::int64_t o, const ModelShape::Item& t) { return o < t.offset; });
  if (first == tensors.begin()) return fmt::format("[{}, {})", offset, offset + elements);
  const ModelShape::Item& from = *(first - 1);
  if (elements == spec_.model.elements) return "the whole model";
  if (offset == from.offset && elements == from.elements) return from.name;
  const auto last =
      std::upper_bound(tensors.begin(), tensors.end(), offset + elements - 1,
                       [](std::int64_t o, const ModelShape::Item& t) { return o < t.offset; }) -
      1;
  if (&*last == &from)
    return fmt::format("{}[{}, {})", from.name, offset - from.offset,
                       offset - from.offset + elements);
  return fmt::format("{} .. {}", from.name, last->name);
}

void Job::step_passed(WorkerRuntime& worker, std::int64_t completed) {
  if (evaluations_ && evaluations_->wanted(completed))
    evaluations_->passed(completed, worker.rank(), worker.parameters(), worker.values());
  const auto at = static_cast<std::size_t>(completed - passed_base_);
  if (passed_.size() <= at) passed_.resize(at + 1, 0);
  ++passed_[at];
  // Borders are passed in order by every worker, so the oldest open one is the next to be complete.
  std::size_t complete = 0;
  while (complete < passed_.size() && passed_[complete] == workers_.size()) ++complete;
  for (std::size_t i = 0; i < complete; ++i) border_passed(passed_base_++);
  passed_.erase(passed_.begin(), passed_.begin() + static_cast<std::ptrdiff_t>(complete));
}

void Job::border_passed(std::int64_t border) {
  const double now = clock_.now();
  log_.passed(border, now);
  if (border <= log_.measured_until)
    for (std::size_t kind = 0; kind < plans_.size(); ++kind)
      uses_at_last_[kind] = plans_[kind]->uses();
  if (border == log_.measured_from) uses_at_first_ = uses_at_last_;
  if (graph_ != nullptr) {
    step_dates_.push_back(now);
    if (evaluations_->wanted(border)) {
      std::vector<Tensor> served;
      for (const auto& server : servers_)
        for (const Tensor& shard : server->latest()) served.push_back(shard);
      evaluations_->all_passed(border, now, served);
    }
  }
  listener_.iteration_ended(*this, border);
}

void IterationLog::passed(std::int64_t border, double now) {
  if (border == measured_from) first_date = now;
  if (border > measured_from && border <= measured_until) {
    last_measured_date = now;
    const double duration = now - last_date;
    if (durations.size() < kKept)
      durations.push_back(duration);
    else  // in place of the oldest
      durations[static_cast<std::size_t>(border - measured_from - 1) % kKept] = duration;
  }
  last_date = now;
  completed = border;
}

void Job::worker_ended() {
  if (--running_ > 0) return;
  end_date_ = clock_.now();
  listener_.job_ended(*this);
}

Job::Sent Job::sent(std::uint32_t rank) const {
  Sent sent;
  for (std::size_t kind = 0; kind < plans_.size(); ++kind) {
    PreparedPlan::Uses uses = uses_at_last_[kind];
    uses -= uses_at_first_[kind];
    sent.bytes += plans_[kind]->sent_bytes(rank, uses);
    sent.messages += plans_[kind]->sent_messages(rank, uses);
  }
  return sent;
}

MessageSizes Job::message_sizes() const {
  MessageSizes sizes = MessageSizes::fixed;
  for (const auto& channel : channels_) sizes = std::max(sizes, channel->sizes());
  return sizes;
}

void Job::add_link_bytes(std::vector<double>& links) const {
  for (const auto& plan : plans_) {
    double unsent = 0;
    for (const auto& channel : channels_) unsent += channel->unsent_bytes(*plan);
    plan->add_link_bytes(links, unsent);
  }
}

std::vector<std::string> Job::describe_waiting() const {
  std::vector<std::string> lines;
  for (const auto& channel : channels_) channel->describe_open(lines);
  for (const auto& worker : workers_)
    if (std::string line = worker->describe_waiting(); !line.empty() && lines.size() < 12)
      lines.push_back(std::move(line));
  return lines;
}

std::size_t Job::open_operations() const {
  std::size_t open = pool_.live();
  for (const auto& channel : channels_) open += channel->open();
  return open;
}

TrainingProgress Job::training_progress() const {
  TrainingProgress progress;
  progress.step = log_.completed;
  progress.steps = spec_.steps;
  progress.date_s = log_.last_date;
  if (metrics_) metrics_->report(progress);
  return progress;
}

TrainingLog Job::training_log() const {
  TrainingLog log;
  if (graph_ == nullptr) return log;
  graph_->wait_all();
  log.weights = servers_.empty() ? "mean of the workers" : "the servers'";
  for (std::size_t i = 0; i < step_dates_.size(); ++i) {
    LossPoint step{static_cast<std::int64_t>(i) + 1, step_dates_[i], 0};
    for (std::size_t w = 0; w < workers_.size(); ++w) {
      const float loss = workers_[w]->values().losses()[i];
      if (!std::isfinite(loss) && log.diverged_step < 0) {
        log.diverged_step = step.step;
        log.diverged_worker = static_cast<std::int64_t>(w);
      }
      step.loss += static_cast<double>(loss) / static_cast<double>(workers_.size());
    }
    log.steps.push_back(step);
  }
  log.compression = metrics_->compression();
  for (CompressionSample& sample : log.compression)
    sample.label = label(sample.offset, sample.elements);
  log.staleness = metrics_->mean_staleness();
  log.most_stale = metrics_->most_stale();
  log.evaluations = evaluations_->points();
  return log;
}

}  // namespace paceline
