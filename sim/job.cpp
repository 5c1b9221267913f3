#include "sim/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "sim/server_runtime.hpp"
#include "sim/values/collective_values.hpp"
#include "sim/worker_runtime.hpp"

namespace paceline {

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
  if (graph_ != nullptr) {
    if (spec_.values->micro_batches() != spec_.accumulation)
      throw std::invalid_argument(
          fmt::format("job '{}' accumulates {} micro-batches, its values {}", spec_.name,
                      spec_.accumulation, spec_.values->micro_batches()));
    initial_ = new Buffer(*graph_, spec_.values->initial_parameters());
    initial_->lineage.version.set_all(0);
    metrics_ = std::make_unique<TrainingMetrics>(*graph_, spec_.gpus.size(), spec_.evaluate_every,
                                                 spec_.steps);
  }
  const std::int64_t cycle = std::max<std::int64_t>(1, spec_.schedule.cycle);
  log_.measured_from =
      std::min(spec_.schedule.warm_up, std::max<std::int64_t>(0, spec_.steps - cycle));
  // A schedule that needs a warm-up also drains at the end: its last cycle is not like the others.
  log_.measured_until = spec_.steps;
  if (spec_.schedule.warm_up > 0 && spec_.steps - cycle > log_.measured_from)
    log_.measured_until -= cycle;

  std::vector<std::uint32_t> nodes;
  for (const Endpoint gpu : spec_.gpus)
    nodes.push_back(static_cast<std::uint32_t>(cluster.node_of(gpu)));
  const auto ranks = static_cast<std::uint32_t>(spec_.gpus.size());
  all_reduce_plan_ =
      std::make_unique<PreparedPlan>(plan_all_reduce(spec_.all_reduce, nodes), cluster, spec_.gpus);
  gather_plan_ = std::make_unique<PreparedPlan>(plan_all_gather(ranks), cluster, spec_.gpus);
  gtop_k_plan_ = std::make_unique<PreparedPlan>(plan_gtop_k(ranks), cluster, spec_.gpus);
  barrier_plan_ = std::make_unique<PreparedPlan>(plan_barrier(ranks), cluster, spec_.gpus);

  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    workers_.push_back(std::make_unique<WorkerRuntime>(*this, rank));
    if (recorder != nullptr)
      recorder->name_worker(spec_.gpus[rank], fmt::format("{} worker {} ({})", spec_.name, rank,
                                                          cluster.endpoint_name(spec_.gpus[rank])));
  }
  if (spec_.schedule.server && spec_.servers.empty())
    throw InputError(fmt::format("schedule '{}' needs a parameter server, and this run has none",
                                 spec_.schedule.name));
  if (spec_.schedule.server)
    for (std::uint32_t server = 0; server < spec_.servers.size(); ++server)
      servers_.push_back(std::make_unique<ServerRuntime>(*this, server));
  if (spec_.slow_while_sending > 0) wire_.listen(this);
  for (std::size_t s = 0; s < spec_.schedule.streams.size(); ++s) {
    auto channel = std::make_unique<Channel>(
        clock, transport, wire_, later_, ranks, spec_.schedule.streams[s],
        [this](std::int64_t offset, std::int64_t elements) { return label(offset, elements); });
    channel->set_plan(CollectiveKind::all_reduce, all_reduce_plan_.get());
    channel->set_plan(CollectiveKind::all_gather, gather_plan_.get());
    channel->set_plan(CollectiveKind::gtop_k, gtop_k_plan_.get());
    channel->set_plan(CollectiveKind::barrier, barrier_plan_.get());
    if (recorder != nullptr)
      channel->trace([this, s](const Collective& collective) {
        for (const Endpoint gpu : spec_.gpus)
          recorder_->span(gpu, static_cast<std::uint32_t>(Recorder::communication + s),
                          collective.describe(), to_string(collective.call.kind),
                          collective.started, clock_.now());
      });
    if (graph_ != nullptr) {
      CollectiveValues values{graph_, spec_.weights};
      if (values.weights.empty()) values.weights.assign(ranks, 1.0 / ranks);
      channel->set_values(std::move(values));
    }
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
  if (evaluated(completed)) take_model(worker, open_evaluations_[completed]);
  const auto at = static_cast<std::size_t>(completed - passed_base_);
  if (passed_.size() <= at) passed_.resize(at + 1, 0);
  ++passed_[at];
  // Borders are passed in order by every worker, so the oldest open one is the next to be complete.
  std::size_t complete = 0;
  while (complete < passed_.size() && passed_[complete] == workers_.size()) ++complete;
  for (std::size_t i = 0; i < complete; ++i) {
    const double now = clock_.now();
    const std::int64_t border = passed_base_++;
    if (border == log_.measured_from) log_.first_date = now;
    if (border > log_.measured_from && border <= log_.measured_until) {
      log_.last_measured_date = now;
      if (log_.durations.size() < IterationLog::kKept)
        log_.durations.push_back(now - log_.last_date);
      else
        log_.durations[static_cast<std::size_t>(border) % IterationLog::kKept] =
            now - log_.last_date;
    }
    log_.last_date = now;
    log_.completed = border;
    if (graph_ != nullptr) {
      step_dates_.push_back(now);
      if (auto open = open_evaluations_.extract(border)) evaluate(std::move(open.mapped()));
    }
    listener_.iteration_ended(*this, border);
  }
  passed_.erase(passed_.begin(), passed_.begin() + static_cast<std::ptrdiff_t>(complete));
}

void Job::worker_ended() {
  if (--running_ > 0) return;
  end_date_ = clock_.now();
  listener_.job_ended(*this);
}

void Job::add_totals(std::vector<double>& sent, std::vector<double>& messages,
                     std::vector<double>& links) const {
  for (const PreparedPlan* plan :
       {all_reduce_plan_.get(), gather_plan_.get(), gtop_k_plan_.get(), barrier_plan_.get()}) {
    double unsent = 0;
    for (const auto& channel : channels_) unsent += channel->unsent_bytes(*plan);
    plan->add_totals(sent, messages, links, unsent);
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

bool Job::evaluated(std::int64_t step) const {
  return graph_ != nullptr &&
         (step == spec_.steps || (spec_.evaluate_every > 0 && step % spec_.evaluate_every == 0));
}

void Job::take_model(WorkerRuntime& worker, Evaluation& evaluation) {
  if (evaluation.models.empty()) {
    evaluation.models.resize(workers_.size());
    for (std::size_t w = 0; w < workers_.size(); ++w)
      evaluation.states.push_back(graph_->ledger().floats());
  }
  // The handle keeps these very weights, whatever the worker does next; they may still be under
  // way.
  evaluation.models[worker.rank()] = worker.parameters();
  WorkerValues& values = worker.values();
  evaluation.after.push_back(
      values.strand().post([&engine = values.engine(), state = evaluation.states[worker.rank()]] {
        state->resize(static_cast<std::size_t>(engine.state_elements()));
        engine.read_state(*state);
      }));
}

void Job::evaluate(Evaluation evaluation) {
  evaluation.point = graph_->ledger().record(TrainingLog::Evaluated{});
  evaluation.point->step = log_.completed;
  evaluation.point->date_s = clock_.now();
  evaluations_.push_back(evaluation.point);
  for (const auto& server : servers_)
    for (const Tensor& shard : server->latest()) evaluation.models.push_back(shard);
  auto waiting = std::make_shared<Evaluation>(std::move(evaluation));
  auto missing = std::make_shared<std::size_t>(waiting->models.size());
  for (const Tensor& model : waiting->models)
    later_.when_done(model.producer(), [this, waiting, missing] {
      if (--*missing == 0) post_evaluation(std::move(*waiting));
    });
}

void Job::post_evaluation(Evaluation evaluation) {
  auto& [models, states, after, point] = evaluation;
  const std::vector<Tensor> served(models.begin() + static_cast<std::ptrdiff_t>(workers_.size()),
                                   models.end());
  models.resize(workers_.size());
  after.push_back(last_evaluation_);
  for (const Tensor& model : models) after.push_back(buffer_of(model).written);
  std::vector<double> shares = spec_.weights;
  if (shares.empty()) shares.assign(models.size(), 1.0 / static_cast<double>(models.size()));
  const BufferRef mean = reduce_mean(*graph_, models, shares, 32);
  after.push_back(mean->written);
  // The weights that a parameter server holds are the model; the workers' are what they compute on.
  for (const Tensor& shard : served) after.push_back(buffer_of(shard).written);
  std::vector<View> of_workers, of_servers;
  for (const Tensor& model : models) of_workers.emplace_back(model);
  for (const Tensor& shard : served) of_servers.emplace_back(shard);
  std::vector<std::int64_t> offsets;
  for (const Tensor& shard : served) offsets.push_back(shard.offset());
  last_evaluation_ = graph_->post(
      [engine = spec_.values, point = point, mean = mean->data, of_workers, of_servers, offsets,
       states = states] {
        double distance = 0, norm = 0;
        for (const float x : *mean) norm += static_cast<double>(x) * x;
        for (const View& view : of_workers)
          for (std::size_t i = 0; i < mean->size(); ++i) {
            const double d = static_cast<double>(view.read()[i]) - (*mean)[i];
            distance += d * d;
          }
        point->spread = norm == 0 ? 0 : distance / norm / static_cast<double>(of_workers.size());
        std::vector<float> weights = *mean;
        for (std::size_t s = 0; s < of_servers.size(); ++s)
          std::copy(of_servers[s].read().begin(), of_servers[s].read().end(),
                    weights.begin() + offsets[s]);
        std::vector<float> state(states.front()->size(), 0.0F);
        for (const Floats& own : states)
          for (std::size_t i = 0; i < state.size(); ++i)
            state[i] += (*own)[i] / static_cast<float>(states.size());
        point->result = engine->evaluate(weights, state);
      },
      std::move(after));
  for (std::size_t w = 0; w < workers_.size(); ++w)
    buffer_of(models[w]).note_reader(nullptr, last_evaluation_);
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
    TrainingLog::Step step{static_cast<std::int64_t>(i) + 1, step_dates_[i], 0};
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
  for (const auto& evaluation : evaluations_) log.evaluations.push_back(*evaluation);
  return log;
}

}  // namespace paceline
