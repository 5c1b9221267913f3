#include "sim/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/units.hpp"
#include "sim/job.hpp"
#include "sim/job_result.hpp"
#include "sim/network/network.hpp"
#include "sim/steady_state.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {
namespace {

const Default kLeftByBackground{"network.left_by_background", 0.01, "",
                                "share of a link that background traffic leaves at least"};

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
    if (recorder != nullptr) name_links(*recorder);
    for (const JobSpec& job : spec.jobs)
      jobs_.push_back(std::make_unique<Job>(job, cluster_, clock_, transport_, recorder,
                                            static_cast<Job::Listener&>(*this), &graph_));
    if (spec.checkpoints)
      checkpointer_ =
          std::make_unique<Checkpointer>(*spec.checkpoints, graph_, contention, std::move(saved));
    if (recorder != nullptr && recorder->layers) jobs_.front()->log_layers(*recorder->layers);
    for (std::size_t i = 1; i < jobs_.size(); ++i) jobs_[i]->measurement().may_be_cut();
    if (may_extrapolate()) steady_ = std::make_unique<SteadyState>(*jobs_.front());
    schedule_disturbances();
  }

  ~Simulation() { graph_.drain(); }  // tasks refer to the jobs

  void run() {
    for (const auto& job : jobs_)
      if (job->spec().start_s > 0)
        at(job->spec().start_s, [&begins = *job] { begins.start(); });
      else
        job->start();
    if (network_ != nullptr)
      network_->run();
    else
      clock_.run();
    clock_.rethrow_failure();
    for (const auto& job : jobs_)  // asynchronous, and cut before anybody has done all its steps
      if (!job->measurement().in_step()) job->measurement().end(job->totals());
    if (!transport_.contention().empty()) return;
    const Job& first = *jobs_.front();
    if (!first.ended() && !first.reached() && skipped_ == 0) report_deadlock();
    if (checkpointer_) checkpointer_->ended();
  }

  [[nodiscard]] const std::string& contention() const { return transport_.contention(); }
  [[nodiscard]] SimulationResult result() const;
  [[nodiscard]] std::int64_t measured_until() const { return jobs_.front()->log().measured_until; }

 private:
  [[nodiscard]] bool may_extrapolate() const {
    const JobSpec& job = spec_.jobs.front();
    const ClusterSpec& cluster = cluster_.spec();
    return spec_.extrapolate && spec_.jobs.size() == 1 && job.start_s == 0 && !job.values &&
           job.schedule.synchronous && job.jitter.distribution == Jitter::Distribution::none &&
           cluster.stragglers.empty() && cluster.link_events.empty() && cluster.background.empty();
  }

  void name_links(Recorder& recorder) const {
    std::vector<std::string> names;
    for (const Link& link : cluster_.links()) names.push_back(link.name);
    recorder.name_links(std::move(names));
  }

  void job_ended(Job& job) override {
    if (&job == jobs_.front().get()) clock_.stop();
  }

  void iteration_ended(Job& job, std::int64_t completed) override {
    if (&job != jobs_.front().get()) return;
    if (spec_.progress && job.spec().values) spec_.progress(job.training_progress());
    if (checkpointer_) checkpointer_->border(completed, clock_.now());
    if (completed == job.log().measured_from) widest_ = bandwidth_;
    if (steady_) look_for_cycle(completed);
    if (job.reached() && job.measurement().has_any()) clock_.stop();
  }
  void look_for_cycle(std::int64_t completed);

  [[nodiscard]] LinkTotals link_totals(const Job& of) override {
    if (&of != jobs_.front().get()) return {};
    LinkTotals totals = transport_.link_totals();
    for (const auto& job : jobs_) job->add_links(totals);
    return totals;
  }

  // What a link has when the measured iterations begin is replaced by a change at that very date.
  void measure_bandwidth(LinkId link) {
    const Measurement& measured = jobs_.front()->measurement();
    if (measured.closed()) return;
    const bool at_once = clock_.now() == measured.first().date_s;
    widest_[link] = at_once ? bandwidth_[link] : std::max(widest_[link], bandwidth_[link]);
  }
  void schedule_disturbances();
  [[noreturn]] void report_deadlock() const;
  void add_links(SimulationResult& result) const;

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
  std::optional<JobTotals> before_;  // at the end of a cycle that may be repeating itself
  std::int64_t skipped_ = 0;         // cycles left out, of length cycle_s_
  double cycle_s_ = 0;
};

// Once it repeats itself, what is left of the run is its cycle over and over, and its end. A
// schedule that fills a pipeline first also drains it in the end, and a run need not end with a
// whole cycle: then cycles are left out and the end is simulated, with a whole cycle before it in
// which nobody can be at the end yet.
void Simulation::look_for_cycle(std::int64_t completed) {
  if (completed % steady_->cycle() != 0) return;
  Job& job = *jobs_.front();
  const bool recognised = steady_->passed(completed, clock_.now());
  std::optional<JobTotals> now;
  if (steady_->likely()) now = job.totals();
  std::swap(now, before_);
  if (!recognised || !now) return;
  const std::int64_t cycle = steady_->cycle(), left = job.spec().steps - completed;
  std::int64_t ahead = 0;  // of the last worker
  for (const auto& worker : job.workers())
    ahead = std::max(ahead, worker->steps_passed() - completed);
  std::int64_t simulated = completed + left % cycle;
  const Schedule& schedule = job.spec().schedule;
  if ((schedule.warm_up > 0 && schedule.drains) || simulated > completed || ahead > 0)
    while (simulated < completed + ahead + cycle + 1) simulated += cycle;
  if (simulated >= job.spec().steps) return;
  skipped_ = (job.spec().steps - simulated) / cycle;
  cycle_s_ = before_->date_s - now->date_s;
  job.repeat(std::move(*now), std::move(*before_), simulated);
  steady_.reset();
  if (simulated == completed) clock_.stop();
}

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
    // Background traffic does not give way (it is somebody else's); a little is always left for us.
    const double left = std::max(kLeftByBackground * bandwidth, bandwidth - reserved_[link]);
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

SimulationResult Simulation::result() const {
  SimulationResult r;
  for (const auto& job : jobs_)
    r.jobs.push_back(
        job_result(*job, job == jobs_.front() ? LeftOut{skipped_, cycle_s_} : LeftOut{}));
  r.fidelity = transport_.fidelity();
  if (network_ != nullptr) r.network = to_string(chosen(spec_.network));
  r.flow_error_bound = transport_.flow_error_bound();
  r.ignored_conflicts = transport_.ignored_conflicts();
  r.events = clock_.fired();
  r.end_date_s = clock_.now();
  add_links(r);
  return r;
}

void Simulation::add_links(SimulationResult& r) const {
  const Measurement& measured = jobs_.front()->measurement();
  const double seconds = measured.last().date_s - measured.first().date_s;
  const double iterations = r.jobs.front().measured_steps;
  if (iterations <= 0) return;
  for (LinkId link = 0; link < cluster_.links().size(); ++link) {
    LinkBytes bytes = link_bytes_between(measured.first().links, measured.last().links, link,
                                         widest_[link] * seconds);
    // Of a cycle that repeats itself, what is under way at its end was so at its beginning.
    if (skipped_ > 0)
      bytes.certain = bytes.estimate =
          measured.last().links.started[link] - measured.first().links.started[link];
    if (bytes.estimate > 0)
      r.links.push_back({cluster_.links()[link].name, bytes.estimate / iterations, widest_[link],
                         seconds > 0 ? bytes.estimate / (widest_[link] * seconds) : 0,
                         bytes.certain / iterations});
  }
  std::stable_sort(r.links.begin(), r.links.end(), [](const LinkUse& a, const LinkUse& b) {
    return a.utilisation > b.utilisation;
  });
}

}  // namespace

SimulationResult simulate(const SimulationSpec& spec, Recorder* recorder) {
  const std::unique_ptr<FileLock> lock =
      spec.checkpoints ? hold_checkpoints(*spec.checkpoints) : nullptr;
  std::unique_ptr<SavedRun> saved = spec.checkpoints ? find_saved_run(*spec.checkpoints) : nullptr;
  std::string contention = saved ? saved->contention() : "";
  const auto once = [&](Fidelity fidelity) {
    Recorder attempt;  // a discarded run must leave nothing in the caller's recorder
    if (recorder != nullptr && recorder->layers) attempt.layers.emplace();
    Simulation simulation(spec, fidelity, recorder != nullptr ? &attempt : nullptr, contention,
                          std::move(saved));
    simulation.run();
    if (attempt.layers) attempt.layers->measured_until = simulation.measured_until();
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
