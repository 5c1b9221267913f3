#include "sim/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/units.hpp"
#include "sim/job.hpp"
#include "sim/network/network.hpp"
#include "sim/steady_state.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {
namespace {

class Simulation final : Job::Listener {
 public:
  Simulation(const SimulationSpec& spec, Fidelity fidelity, Recorder* recorder,
             const std::string& contention, std::unique_ptr<SavedRun> saved)
      : spec_(spec),
        cluster_(*spec.cluster),
        network_(fidelity == Fidelity::flow || fidelity == Fidelity::step
                     ? make_network(spec.network, cluster_, clock_)
                     : nullptr),
        transport_(cluster_, clock_, fidelity, network_.get()),
        graph_(spec.threads) {
    for (const Link& link : cluster_.links()) bandwidth_.push_back(link.bandwidth);
    widest_ = bandwidth_;
    for (const JobSpec& job : spec.jobs)
      jobs_.push_back(std::make_unique<Job>(job, cluster_, clock_, transport_, recorder,
                                            static_cast<Job::Listener&>(*this), &graph_));
    if (spec.checkpoints)
      checkpointer_ =
          std::make_unique<Checkpointer>(*spec.checkpoints, graph_, contention, std::move(saved));
    if (may_extrapolate()) steady_ = std::make_unique<SteadyState>(*jobs_.front());
    schedule_disturbances();
  }

  ~Simulation() { graph_.drain(); }  // tasks refer to the jobs

  void run() {
    for (const auto& job : jobs_) job->start();
    if (network_ != nullptr)
      network_->run();
    else
      clock_.run();
    clock_.rethrow_failure();
    if (!transport_.contention().empty()) return;
    if (!jobs_.front()->ended() && !extrapolated_) report_deadlock();
    if (checkpointer_) checkpointer_->ended();
  }

  [[nodiscard]] const std::string& contention() const { return transport_.contention(); }
  [[nodiscard]] SimulationResult result() const;

 private:
  [[nodiscard]] bool may_extrapolate() const {
    const JobSpec& job = spec_.jobs.front();
    const ClusterSpec& cluster = cluster_.spec();
    return spec_.extrapolate && spec_.jobs.size() == 1 && !job.values && job.schedule.synchronous &&
           job.jitter.distribution == Jitter::Distribution::none && cluster.stragglers.empty() &&
           cluster.link_events.empty() && cluster.background.empty();
  }

  void job_ended(Job& job) override {
    if (&job == jobs_.front().get()) clock_.stop();
  }

  void iteration_ended(Job& job, std::int64_t completed) override {
    if (&job != jobs_.front().get()) return;
    if (spec_.progress && job.spec().values) spec_.progress(job.training_progress());
    if (checkpointer_) checkpointer_->border(completed, clock_.now());
    if (completed == job.log().measured_from) {
      at_first_ = link_bytes();
      widest_ = bandwidth_;
    }
    if (completed == job.log().measured_until) at_last_ = link_bytes();
    if (steady_ && steady_->passed(completed, clock_.now())) {
      extrapolated_ = true;
      clock_.stop();
    }
  }

  // So far, of all jobs.
  [[nodiscard]] std::vector<double> link_bytes() const {
    std::vector<double> bytes = transport_.link_bytes();
    for (const auto& job : jobs_) job->add_link_bytes(bytes);
    return bytes;
  }

  // What a link has when the measured iterations begin is replaced by a change at that very date.
  void measure_bandwidth(LinkId link) {
    const IterationLog& log = jobs_.front()->log();
    if (log.completed >= log.measured_until) return;
    const bool at_once = clock_.now() == log.first_date;
    widest_[link] = at_once ? bandwidth_[link] : std::max(widest_[link], bandwidth_[link]);
  }
  void schedule_disturbances();
  [[noreturn]] void report_deadlock() const;
  [[nodiscard]] JobResult job_result(const Job& job) const;

  // A dated change of a worker's or a link's speed.
  void at(double date, std::function<void()> apply) {
    if (std::isinf(date)) return;
    clock_.at(date, Continuations::fire, disturbances_.keep(std::move(apply)));
  }

  const SimulationSpec& spec_;
  const Cluster& cluster_;
  Clock clock_;
  std::unique_ptr<FluidNetwork> network_;
  Transport transport_;
  TaskGraph graph_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::unique_ptr<Checkpointer> checkpointer_;  // null: none
  std::unique_ptr<SteadyState> steady_;
  Continuations disturbances_;
  // By link: the cluster's bandwidth times link_factor_ less reserved_ is bandwidth_, the largest
  // of which in the measured iterations is widest_.
  std::vector<double> link_factor_, reserved_, bandwidth_, widest_;
  std::vector<double> at_first_, at_last_;  // bytes by link at the first job's measured borders
  bool extrapolated_ = false;
};

void Simulation::schedule_disturbances() {
  const ClusterSpec& cluster = cluster_.spec();
  for (const Straggler& straggler : cluster.stragglers)
    for (const auto& job : jobs_)
      for (const auto& worker : job->workers()) {
        if (job->spec().gpus[worker->rank()] != straggler.worker) continue;
        WorkerRuntime* slowed = worker.get();
        at(straggler.from, [slowed, by = straggler.slowdown] { slowed->set_straggling(by); });
        at(straggler.until, [slowed] { slowed->set_straggling(1); });
      }
  if (cluster.link_events.empty() && cluster.background.empty()) return;
  link_factor_.assign(cluster_.links().size(), 1);
  reserved_.assign(cluster_.links().size(), 0);
  const auto refresh = [this](LinkId link) {
    const double bandwidth = cluster_.links()[link].bandwidth * link_factor_[link];
    // Background traffic does not give way (it is somebody else's); at least 1 % is always left for
    // us.
    const double left = std::max(0.01 * bandwidth, bandwidth - reserved_[link]);
    transport_.scale_link(link, left / cluster_.links()[link].bandwidth);
    bandwidth_[link] = left;
    measure_bandwidth(link);
  };
  for (const LinkEvent& event : cluster.link_events)
    for (const LinkId link : cluster_.links_matching(event.links))
      at(event.at, [this, refresh, link, factor = event.factor] {
        link_factor_[link] = factor;
        refresh(link);
      });
  for (const BackgroundTraffic& traffic : cluster.background) {
    Route route;
    cluster_.route(traffic.from, traffic.to, route);
    for (const LinkId link : route.links) {
      at(traffic.since, [this, refresh, link, rate = traffic.rate] {
        reserved_[link] += rate;
        refresh(link);
      });
      at(traffic.until, [this, refresh, link, rate = traffic.rate] {
        reserved_[link] -= rate;
        refresh(link);
      });
    }
  }
}

void Simulation::report_deadlock() const {
  const Job& job = *jobs_.front();
  std::string message =
      fmt::format("schedule '{}' deadlocks at {} after {} iterations:", job.spec().schedule.name,
                  format_duration(clock_.now()), job.log().completed);
  for (const std::string& line : job.describe_waiting()) message += "\n  " + line;
  throw InputError(message);
}

JobResult Simulation::job_result(const Job& job) const {
  const IterationLog& log = job.log();
  JobResult r;
  r.training = job.training_log();
  r.name = job.spec().name;
  r.workers = job.workers().size();
  r.steps = job.spec().steps;
  r.message_sizes = job.message_sizes();
  r.simulated_steps = log.completed;
  r.measured_from = log.measured_from;
  const auto measured = static_cast<double>(
      std::max<std::int64_t>(1, std::min(log.completed, log.measured_until) - log.measured_from));
  const bool first = &job == jobs_.front().get();
  if (first && extrapolated_) {
    const auto cycle = static_cast<double>(std::max<std::int64_t>(1, job.spec().schedule.cycle));
    r.iteration_time_s = steady_->cycle_s() / cycle;
    r.total_time_s =
        log.last_date + static_cast<double>(r.steps - log.completed) * r.iteration_time_s;
  } else {
    r.iteration_time_s = (log.last_measured_date - log.first_date) / measured;
    r.total_time_s = job.ended() ? job.end_date() : log.last_date;
  }
  if (!log.durations.empty()) {
    r.median_s = quantile(log.durations, 0.5);
    r.p25_s = quantile(log.durations, 0.25);
    r.p75_s = quantile(log.durations, 0.75);
  }
  r.fastest_compute_s = 1e300;
  for (const auto& worker : job.workers()) {
    const WorkerRuntime::Measured own = worker->measured();
    const auto steps = static_cast<double>(std::max<std::int64_t>(1, own.steps));
    // A worker may be ahead of the others: its account is of its own steps.
    Account per_step = own.account;
    per_step *= 1 / (steps * static_cast<double>(r.workers));
    r.per_iteration += per_step;
    double busy = 0;
    for (int a = 0; a < static_cast<int>(Activity::copy); ++a) busy += own.account.busy[a];
    r.fastest_compute_s = std::min(r.fastest_compute_s, busy / steps);
    r.slowest_compute_s = std::max(r.slowest_compute_s, busy / steps);
    r.head_start_s = std::max(r.head_start_s, (log.first_date - own.since_s) / steps);
    r.worker_iteration_s.push_back(own.seconds / steps);
    const Job::Sent together = job.sent(static_cast<std::uint32_t>(worker->rank()));
    const double sent = together.bytes / measured + own.sent.bytes / steps;
    r.sent_bytes += sent / static_cast<double>(r.workers);
    r.sent_bytes_max = std::max(r.sent_bytes_max, sent);
    r.messages +=
        (together.messages / measured + own.sent.messages / steps) / static_cast<double>(r.workers);
    const double simulated = static_cast<double>(std::max<std::int64_t>(1, worker->steps_passed()));
    r.rounds += static_cast<double>(worker->rounds()) / simulated * static_cast<double>(r.steps) /
                static_cast<double>(r.workers);
  }
  return r;
}

SimulationResult Simulation::result() const {
  SimulationResult r;
  for (const auto& job : jobs_) r.jobs.push_back(job_result(*job));
  r.fidelity = transport_.fidelity();
  if (network_ != nullptr) r.network = to_string(chosen(spec_.network));
  r.flow_error_bound = transport_.flow_error_bound();
  r.ignored_conflicts = transport_.ignored_conflicts();
  r.in_flight = transport_.in_flight();
  r.events = clock_.fired();
  r.end_date_s = clock_.now();
  // Of the measured iterations, like all that is reported per iteration.
  const IterationLog& log = jobs_.front()->log();
  const std::vector<double> last = at_last_.empty() ? link_bytes() : at_last_;
  const auto iterations = static_cast<double>(
      std::max<std::int64_t>(1, std::min(log.completed, log.measured_until) - log.measured_from));
  const double seconds = log.last_measured_date - log.first_date;
  for (LinkId link = 0; link < last.size(); ++link) {
    const double before = at_first_.empty() ? 0 : at_first_[link];
    if (const double bytes = last[link] - before; bytes > 0)
      r.links.push_back({cluster_.links()[link].name, bytes / iterations, widest_[link],
                         seconds > 0 ? bytes / (widest_[link] * seconds) : 0});
  }
  std::stable_sort(r.links.begin(), r.links.end(), [](const LinkUse& a, const LinkUse& b) {
    return a.utilisation > b.utilisation;
  });
  return r;
}

}  // namespace

SimulationResult simulate(const SimulationSpec& spec, Recorder* recorder) {
  std::unique_ptr<SavedRun> saved = spec.checkpoints ? find_saved_run(*spec.checkpoints) : nullptr;
  std::string contention = saved ? saved->contention() : "";
  const auto once = [&](Fidelity fidelity) {
    Recorder attempt;  // a discarded run must leave nothing in the caller's recorder
    Simulation simulation(spec, fidelity, recorder != nullptr ? &attempt : nullptr, contention,
                          std::move(saved));
    simulation.run();
    if (fidelity == Fidelity::automatic) contention = simulation.contention();
    if (recorder != nullptr) *recorder = std::move(attempt);
    return simulation.result();
  };
  if (spec.fidelity != Fidelity::automatic) {
    SimulationResult result = once(spec.fidelity);
    result.fidelity_reason = "asked for";
    return result;
  }
  if (contention.empty()) {
    SimulationResult result = once(Fidelity::automatic);
    if (contention.empty()) {
      result.fidelity = Fidelity::closed;
      result.fidelity_reason = "no two transfers shared a link";
      return result;
    }
  }
  SimulationResult result = once(Fidelity::flow);
  result.fidelity_reason = contention;
  return result;
}

}  // namespace paceline
