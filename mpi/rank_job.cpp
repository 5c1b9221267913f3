#include "mpi/rank_job.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "sim/range_label.hpp"

namespace paceline {
namespace {

// The software is the real one here: what a stack says of another would be paid twice.
JobSpec on_real_ranks(JobSpec spec) {
  spec.stack = Stack{};
  spec.slow_while_sending = spec.start_s = 0;
  for (ChannelOptions& stream : spec.schedule.streams) {
    if (stream.coordinated)
      throw InputError(fmt::format(
          "schedule '{}' asks a coordinator for the order of its collectives, and real ranks have "
          "none yet: choose one whose workers all send in the same order",
          spec.schedule.name));
    stream.negotiation_s = stream.cycle_s = 0;
  }
  if (spec.values && spec.payload_bits != 32)
    throw InputError("real ranks send values in fp32: precision fp16 is for times alone here");
  return spec;
}

// For how long this thread has been ready without a core, s.
double run_delay_s() {
  double on_core_ns = 0, waited_ns = 0;
  std::ifstream("/proc/thread-self/schedstat") >> on_core_ns >> waited_ns;
  return 1e-9 * waited_ns;
}

}  // namespace

RankJob::RankJob(JobSpec spec, const Cluster& cluster, const World& world,
                 const RankOptions& options)
    : world_(world),
      options_(options),
      transport_(cluster, clock_, Fidelity::closed, nullptr),
      graph_(spec.values ? std::make_unique<TaskGraph>(1) : nullptr),
      context_(on_real_ranks(std::move(spec)), cluster, clock_, transport_, options.recorder,
               graph_.get(), *this) {
  context_.gate = this;
  const auto rank = static_cast<std::uint32_t>(world.rank());
  const auto workers = static_cast<std::uint32_t>(context_.spec.gpus.size());
  if (context_.spec.schedule.server) {
    link_ = std::make_unique<RankServerLink>(context_, messages_, watch_, world.rank());
    context_.link = link_.get();
  }
  if (rank < workers)
    make_worker(rank);
  else
    make_server(rank - workers);
}

void RankJob::make_server(std::uint32_t index) {
  server_ = std::make_unique<ServerRuntime>(context_, index);
  if (options_.recorder != nullptr)
    options_.recorder->name_worker(
        context_.spec.servers[index],
        fmt::format("{} server {} ({})", context_.spec.name, index, World::host()));
}

void RankJob::make_worker(std::uint32_t rank) {
  worker_ = std::make_unique<WorkerRuntime>(context_, rank);
  // At an infinite rate an operation's own time is nothing, and only its kernels' is left.
  if (!options_.replay) worker_->set_straggling(0);
  if (options_.recorder != nullptr)
    options_.recorder->name_worker(
        context_.spec.gpus[rank],
        fmt::format("{} worker {} ({})", context_.spec.name, rank, World::host()));
  make_channels(rank);
}

void RankJob::make_channels(std::uint32_t rank) {
  const RankCarrier::Ends ends{context_, messages_, watch_, rank};
  for (std::size_t s = 0; s < context_.spec.schedule.streams.size(); ++s) {
    auto channel = std::make_unique<Channel>(
        clock_, transport_, context_.wire, context_.later, context_.spec.gpus.size(),
        context_.spec.schedule.streams[s], [this](std::int64_t offset, std::int64_t elements) {
          return range_label(context_.spec.model, offset, elements);
        });
    channel->set_plans(&context_.plans);
    if (context_.recorder != nullptr)
      channel->trace([this, s, gpu = context_.spec.gpus[rank]](const Collective& collective) {
        context_.recorder->span(gpu, static_cast<std::uint32_t>(Recorder::communication + s),
                                collective.describe(), to_string(collective.call.kind),
                                collective.started, clock_.now());
      });
    channel->set_software({context_.software, {}, {}});
    carriers_.push_back(
        std::make_unique<RankCarrier>(ends, static_cast<int>(s), options_.all_reduce));
    channel->set_carrier(*carriers_.back());
    context_.channels.push_back(std::move(channel));
  }
}

RankJob::~RankJob() {
  if (graph_) graph_->drain();
  if (worker_) worker_->stop();
  if (server_) server_->stop();
  context_.later.clear();
  carriers_.clear();
  context_.channels.clear();
}

double RankJob::wall_s() const {
  return std::chrono::duration<double>(SteadyClock::now() - start_).count();
}

void RankJob::run() {
  world_.barrier();
  start_ = last_event_ = SteadyClock::now();
  const double delayed_s = run_delay_s();
  if (link_) link_->listen();
  if (worker_)
    worker_->start();
  else
    server_->start();
  while (!clock_.stopped() && !over()) {
    catch_up();
    if (progress())
      last_event_ = SteadyClock::now();
    else
      rest();
    check_stuck();
    if (options_.stop != nullptr && *options_.stop) throw RankStopped(doing());
  }
  no_core_ = (run_delay_s() - delayed_s) / std::max(1e-9, wall_s());
  clock_.rethrow_failure();
  if (graph_) graph_->wait_all();
}

// A server's program never ends: it is over when all workers have said so.
bool RankJob::over() const {
  const bool ended = worker_ ? ended_ : link_->ended() == context_.spec.gpus.size();
  const std::size_t listening = link_ ? RankServerLink::kListening : 0;
  return ended && messages_.open() <= listening && watch_.idle();
}

// Events keep the dates they were made for: a GPU does not wait for its host to look. Only what
// comes of them, messages above all, is as late as this process is.
void RankJob::catch_up() {
  clock_.drain_ready();
  const double now = wall_s();
  if (!clock_.idle() && clock_.next_date() <= now) {
    const double late = now - clock_.next_date();
    late_sum_s_ += late;
    late_most_s_ = std::max(late_most_s_, late);
    ++late_count_;
    last_event_ = SteadyClock::now();
  }
  clock_.advance_to(now);
  clock_.drain_ready();
}

bool RankJob::progress() {
  const bool moved = messages_.progress();
  const bool computed = watch_.poll();
  clock_.drain_ready();
  return moved || computed;
}

void RankJob::rest() const {
  const double waited = std::chrono::duration<double>(SteadyClock::now() - last_event_).count();
  // Values are computed by threads that do not wake this one, and that want the core.
  double at_most = watch_.idle() ? 1 : 300e-6;
  if (!clock_.idle()) at_most = std::min(at_most, clock_.next_date() - wall_s());
  world_.rest(at_most, waited);
}

void RankJob::check_stuck() const {
  // An operation that is being replayed, or computed, is something that happens. A server waits
  // for as long as nobody asks.
  if (!clock_.idle() || !watch_.idle() || server_) return;
  const double waited = std::chrono::duration<double>(SteadyClock::now() - last_event_).count();
  if (waited < options_.timeout_s) return;
  throw CheckFailed(fmt::format("rank {} on {}: nothing happened for {:.0f} s in {}", world_.rank(),
                                World::host(), waited, doing()));
}

std::string RankJob::doing() const {
  std::vector<std::string> lines;
  for (const auto& carrier : carriers_)
    if (std::string line = carrier->describe(); !line.empty())
      lines.push_back(fmt::format("is in {}", line));
  for (std::string& line : messages_.describe_open()) lines.push_back(std::move(line));
  if (worker_ && lines.empty())
    if (std::string line = worker_->describe_waiting(); !line.empty())
      lines.push_back(std::move(line));
  if (lines.empty()) lines.emplace_back("no message is under way");
  if (lines.size() > 8) lines.resize(8);
  return fmt::format("{}: {}",
                     worker_ ? fmt::format("step {}", worker_->steps_passed()) : "its service",
                     fmt::join(lines, "; "));
}

bool RankJob::holds(Stream& stream) {
  if (!graph_ || !stream.head()->has_values()) return false;
  DeviceValues& values = worker_ ? worker_->values() : *server_->values();
  const Pending<> computed = watch_.when_done(*graph_, values.strand().last());
  if (computed.done()) return false;
  context_.later.when_done(CompletionRef(computed.completion()), [this, &stream] {
    clock_.set_now(wall_s());
    stream.finish_held();
  });
  return true;
}

void RankJob::step_passed(WorkerRuntime& worker, std::int64_t completed) {
  if (options_.passed) options_.passed(completed);
  const WorkerRuntime::Totals totals = worker.totals();
  borders_.push_back({totals.date_s, totals.account, static_cast<double>(totals.rounds),
                      messages_.sent().bytes, messages_.sent().messages});
}

void RankJob::worker_ended() {
  ended_ = true;
  end_s_ = clock_.now();
  if (link_) link_->say_ended();
}

std::vector<double> RankJob::shards() const {
  std::vector<double> parts;
  if (!server_) return parts;
  for (const Tensor& shard : server_->latest()) {
    parts.push_back(static_cast<double>(shard.offset()));
    parts.push_back(static_cast<double>(shard.elements()));
  }
  return parts;
}

std::vector<float> RankJob::losses() const {
  if (!worker_) return {};
  const std::span<const float> losses = worker_->values().losses();
  return {losses.begin(), losses.end()};
}

std::vector<float> RankJob::parameters() const {
  const std::vector<Tensor> parts =
      worker_ ? std::vector<Tensor>{worker_->parameters()} : server_->latest();
  std::vector<float> all;
  for (const Tensor& part : parts) {
    const std::span<const float> weights = View(part).read();
    all.insert(all.end(), weights.begin(), weights.end());
  }
  return all;
}

std::vector<float> RankJob::state() const {
  if (!worker_) return {};
  WorkerEngine& engine = worker_->values().engine();
  std::vector<float> state(static_cast<std::size_t>(engine.state_elements()));
  engine.read_state(state);
  return state;
}

RankJob::Lateness RankJob::lateness() const {
  return {late_count_ > 0 ? late_sum_s_ / static_cast<double>(late_count_) : 0, late_most_s_,
          no_core_};
}

}  // namespace paceline
