#include "sim/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "sim/range_label.hpp"
#include "sim/server/runtime.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {

double update_s(const JobSpec& spec, double elements) {
  const double step = spec.costs->optimizer_update(elements, optimizer_slots(spec.optimizer));
  return spec.clips ? spec.costs->kernel("clip_norm", elements) + step : step;
}

Job::Job(JobSpec spec, const Cluster& cluster, Clock& clock, Transport& transport,
         Recorder* recorder, Listener& listener, TaskGraph* graph)
    : context_(std::move(spec), cluster, clock, transport, recorder, graph, *this),
      listener_(listener),
      measurement_(measured_steps(context_.spec), context_.spec.schedule.synchronous,
                   context_.spec.gpus.size()),
      running_(context_.spec.gpus.size()) {
  if (context_.graph != nullptr)
    evaluations_ = std::make_unique<Evaluations>(*context_.graph, context_.later,
                                                 context_.spec.values, context_.spec.weights,
                                                 context_.spec.evaluate_every, context_.spec.steps);
  if (context_.spec.until_accuracy) measurement_.may_be_cut();
  const MeasuredSteps measured = measured_steps(context_.spec);
  context_.log.measured_from = measured.from;
  context_.log.measured_until = measured.until;
  context_.log.in_step = measurement_.in_step();

  for (std::uint32_t rank = 0; rank < context_.spec.gpus.size(); ++rank) {
    workers_.push_back(std::make_unique<WorkerRuntime>(context_, rank));
    if (recorder != nullptr)
      recorder->name_worker(context_.spec.gpus[rank],
                            fmt::format("{} worker {} ({})", context_.spec.name, rank,
                                        cluster.endpoint_name(context_.spec.gpus[rank])));
  }
  if (context_.spec.schedule.server && context_.spec.servers.empty())
    throw InputError(fmt::format("schedule '{}' needs a parameter server, and this run has none",
                                 context_.spec.schedule.name));
  if (context_.spec.schedule.server)
    for (std::uint32_t server = 0; server < context_.spec.servers.size(); ++server) {
      servers_.push_back(std::make_unique<ServerRuntime>(context_, server));
      if (recorder != nullptr)
        recorder->name_worker(context_.spec.servers[server],
                              fmt::format("{} server {} ({})", context_.spec.name, server,
                                          cluster.endpoint_name(context_.spec.servers[server])));
    }
  if (context_.spec.slow_while_sending > 0) context_.wire.listen(this);
  make_channels();
}

void Job::make_channels() {
  for (std::size_t s = 0; s < context_.spec.schedule.streams.size(); ++s) {
    auto channel = std::make_unique<Channel>(
        context_.clock, context_.transport, context_.wire, context_.later,
        context_.spec.gpus.size(), context_.spec.schedule.streams[s],
        [this](std::int64_t offset, std::int64_t elements) { return label(offset, elements); });
    channel->set_plans(&context_.plans);
    if (context_.recorder != nullptr)
      channel->trace([this, s](const Collective& collective) {
        if (context_.layers != nullptr)
          context_.layers->transfers.push_back({collective.call.offset, collective.call.elements,
                                                collective.bytes, collective.started,
                                                context_.clock.now()});
        for (const Endpoint gpu : context_.spec.gpus)
          context_.recorder->span(gpu, static_cast<std::uint32_t>(Recorder::communication + s),
                                  collective.describe(), to_string(collective.call.kind),
                                  collective.started, context_.clock.now(), collective.bytes);
        context_.record_collective(collective.channel.carried(), collective.bytes);
      });
    channel->set_software(channel_software());
    if (context_.graph != nullptr) channel->set_values({context_.graph, context_.spec.weights});
    context_.channels.push_back(std::move(channel));
  }
}

ChannelSoftware Job::channel_software() {
  return {context_.software,
          [this](std::int64_t offset, std::int64_t elements) {
            return static_cast<double>(context_.spec.model.tensors_in(offset, elements));
          },
          [this] {
            double computed = 0;
            for (const auto& worker : workers_) computed += worker->account_now().operations();
            return computed / static_cast<double>(workers_.size());
          }};
}

// CoCoD's "a %": all workers compute slower while they are on the wire together.
void Job::wire_changed(bool on) {
  for (const auto& worker : workers_) worker->wire_changed(on);
}

Job::~Job() {
  for (const auto& worker : workers_) worker->stop();
  for (const auto& server : servers_) server->stop();
  context_.later.clear();  // refers to operations, which go with their pool
  context_.channels.clear();
}

void Job::start() {
  for (const auto& server : servers_) server->start();
  for (const auto& worker : workers_) worker->start();
  context_.log.last_date = context_.clock.now();
  if (context_.layers != nullptr) context_.layers->borders.push_back(context_.clock.now());
  measurement_.begin(totals());
}

std::string Job::label(std::int64_t offset, std::int64_t elements) const {
  return range_label(context_.spec.model, offset, elements);
}

void Job::step_passed(WorkerRuntime& worker, std::int64_t completed) {
  if (evaluations_ && evaluations_->wanted(completed))
    evaluations_->passed(completed, worker.rank(), worker.parameters(), worker.values());
  if (context_.layers != nullptr && worker.rank() == 0)
    context_.layers->borders.push_back(context_.clock.now());
  const auto at = static_cast<std::size_t>(completed - passed_base_);
  if (passed_.size() <= at) passed_.resize(at + 1, 0);
  ++passed_[at];
  // Borders are passed in order by every worker, so the oldest open one is the next to be complete.
  std::size_t complete = 0;
  while (complete < passed_.size() && passed_[complete] == workers_.size()) ++complete;
  for (std::size_t i = 0; i < complete; ++i) border_passed(passed_base_++);
  passed_.erase(passed_.begin(), passed_.begin() + static_cast<std::ptrdiff_t>(complete));
  if (measurement_.in_step()) return;
  if (measurement_.wants_own(worker.rank()))
    if (const double seconds = measurement_.worker_passed(worker.rank(), worker.totals());
        seconds > 0)
      context_.log.keep(seconds);
  if (completed == context_.steps && !measurement_.closed()) measurement_.end(totals());
}

void Job::border_passed(std::int64_t border) {
  const double now = context_.clock.now();
  context_.log.passed(border, now);
  if (measurement_.wants(border)) measurement_.passed(totals());
  if (context_.graph != nullptr) {
    step_dates_.push_back(now - context_.spec.start_s);
    if (evaluations_->wanted(border)) {
      std::vector<Tensor> served;
      for (const auto& server : servers_)
        for (const Tensor& shard : server->latest()) served.push_back(shard);
      evaluations_->all_passed(border, now - context_.spec.start_s, served);
    }
  }
  if (context_.spec.until_accuracy && evaluations_)
    reached_ |= evaluations_->reached(*context_.spec.until_accuracy);
  listener_.iteration_ended(*this, border);
}

void IterationLog::passed(std::int64_t border, double now) {
  if (in_step && border > measured_from && border <= measured_until) keep(now - last_date);
  last_date = now;
  completed = border;
}

void IterationLog::keep(double duration) {
  if (durations.size() < kKept)
    durations.push_back(duration);
  else  // in place of the oldest
    durations[count_ % kKept] = duration;
  ++count_;
}

void IterationLog::end(std::int64_t from) {
  std::vector<double> last;
  for (std::size_t back = 1; back <= durations.size() && std::ssize(last) < completed - from;
       ++back)
    last.push_back(durations[(count_ - back) % kKept]);
  durations = std::move(last);
  measured_until = completed;
}

void Job::worker_ended() {
  if (--running_ > 0) return;
  end_date_ = context_.clock.now();
  listener_.job_ended(*this);
}

Job::Sent Job::sent(std::uint32_t rank) const {
  Sent sent;
  const std::vector<PreparedPlan::Uses>&first = measurement_.first().uses,
        &last = measurement_.last().uses;
  for (std::size_t plan = 0; plan < last.size(); ++plan) {
    PreparedPlan::Uses uses = last[plan];
    if (plan < first.size()) uses -= first[plan];
    sent.bytes += context_.plans.all()[plan]->sent_bytes(rank, uses);
    sent.messages += context_.plans.all()[plan]->sent_messages(rank, uses);
  }
  return sent;
}

Job::Sent Job::sent_in_all(std::uint32_t rank) const {
  Sent sent{workers_[rank]->sent().bytes, workers_[rank]->sent().messages};
  for (const auto& plan : context_.plans.all()) {
    sent.bytes += plan->sent_bytes(rank, plan->uses());
    sent.messages += plan->sent_messages(rank, plan->uses());
  }
  return sent;
}

MessageSizes Job::message_sizes() const {
  MessageSizes sizes = MessageSizes::fixed;
  for (const auto& channel : context_.channels) sizes = std::max(sizes, channel->sizes());
  return sizes;
}

JobTotals Job::totals() {
  JobTotals totals;
  totals.border = context_.log.completed;
  totals.date_s = context_.clock.now();
  totals.workers.reserve(workers_.size());
  for (const auto& worker : workers_) totals.workers.push_back(worker->totals());
  for (const auto& plan : context_.plans.all()) totals.uses.push_back(plan->uses());
  totals.links = listener_.link_totals(*this);
  return totals;
}

void Job::repeat(JobTotals first, JobTotals last, std::int64_t steps) {
  context_.log.end(first.border);
  measurement_.replace(std::move(first), std::move(last));
  context_.steps = steps;
}

void Job::add_links(LinkTotals& links) const {
  for (const auto& plan : context_.plans.all()) {
    plan->add_link_bytes(links.started, plan->uses().bytes);
    for (const auto& channel : context_.channels) {
      const double under_way = channel->bytes_under_way(*plan);
      if (under_way == 0) continue;
      plan->add_link_bytes(links.under_way, under_way);
      plan->add_link_bytes(links.unsent, channel->unsent_bytes(*plan));
    }
  }
}

std::vector<std::string> Job::describe_waiting() const {
  std::vector<std::string> lines;
  for (const auto& channel : context_.channels) channel->describe_open(lines);
  for (const auto& worker : workers_)
    if (std::string line = worker->describe_waiting(); !line.empty() && lines.size() < 12)
      lines.push_back(std::move(line));
  return lines;
}

std::size_t Job::open_operations() const {
  std::size_t open = context_.pool.live();
  for (const auto& channel : context_.channels) open += channel->open();
  return open;
}

TrainingProgress Job::training_progress() const {
  TrainingProgress progress;
  progress.step = context_.log.completed;
  progress.steps = context_.spec.steps;
  progress.date_s = context_.log.last_date - context_.spec.start_s;
  if (context_.metrics) context_.metrics->report(progress);
  return progress;
}

namespace {

// What only an evaluation or a residual shows, because no next step's loss has: that of the last
// step, above all.
void find_divergence(TrainingLog& log) {
  const auto note = [&](double value, std::int64_t step, std::int64_t worker) {
    if (std::isfinite(value) || (log.diverged_step >= 0 && log.diverged_step <= step + 1)) return;
    log.diverged_step = step;
    log.diverged_worker = worker;
  };
  for (const EvaluationPoint& point : log.evaluations)
    note(point.loss + point.spread, point.step, point.broken_worker);
  for (const CompressionSample& sample : log.compression)
    note(sample.residual_norm + sample.error + sample.delta.value_or(0), sample.step, -1);
}

}  // namespace

TrainingLog Job::training_log() const {
  TrainingLog log;
  if (context_.graph == nullptr) return log;
  context_.graph->wait_all();
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
  log.compression = context_.metrics->compression();
  for (CompressionSample& sample : log.compression)
    sample.label = label(sample.offset, sample.elements);
  log.staleness = context_.metrics->mean_staleness();
  log.most_stale = context_.metrics->most_stale();
  log.evaluations = evaluations_->points();
  find_divergence(log);
  return log;
}

}  // namespace paceline
