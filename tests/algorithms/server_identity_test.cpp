// Schedules over parameter servers against their dependency graphs, evaluated here without the
// simulator: queues in order of arrival and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/json.hpp"
#include "tests/algorithms/simulated.hpp"

namespace paceline {
namespace {

using namespace simulated;

constexpr double kTight = 1e-6;

// What an exchange of `elements` takes, part by part.
struct Costs {
  double alpha = 50e-6, bandwidth = 1.25 * 1024 * 1024 * 1024;
  double host_bandwidth = 4e9, copy_latency = 10e-6, copy_bandwidth = 6e9;

  [[nodiscard]] double message(double elements) const { return alpha + 4 * elements / bandwidth; }
  [[nodiscard]] double copy(double elements) const {
    return copy_latency + 4 * elements / copy_bandwidth;
  }
  /// Reads and writes of so many passes over fp32 values.
  [[nodiscard]] double on_host(double passes, double elements) const {
    return passes * 4 * elements / host_bandwidth;
  }
  [[nodiscard]] std::shared_ptr<const OperationCosts> operations() const {
    OperationModel m = free_operations()->model();
    m.host_bandwidth = host_bandwidth;
    const CopyCost cost{copy_latency, copy_bandwidth};
    m.host_to_device_pinned = m.host_to_device_pageable = cost;
    m.device_to_host_pinned = m.device_to_host_pageable = cost;
    return std::make_shared<OperationCosts>(m, "test");
  }
};

struct Setting {
  std::string schedule;
  Json options = Json::object();
  std::size_t workers = 1;
  std::int64_t steps = 30;
  Fidelity fidelity = Fidelity::closed;
  std::vector<Straggler> stragglers = {};
};

JobResult simulated_run(const Setting& s, const ModelShape& model, const Costs& costs) {
  std::vector<std::string> changes{"nodes[0].count=" + std::to_string(s.workers + 1)};
  ClusterSpec cluster_spec = load_cluster_spec("reference-star", changes);
  cluster_spec.network.latency = costs.alpha;
  cluster_spec.network.bandwidth = costs.bandwidth;
  cluster_spec.stragglers = s.stragglers;
  const auto cluster = std::make_shared<const Cluster>(make_cluster(cluster_spec));
  JobSpec job;
  job.model = model;
  job.costs = costs.operations();
  job.steps = s.steps;
  job.optimizer = Optimizer::sgd;
  for (std::size_t i = 0; i < s.workers; ++i) job.gpus.push_back(static_cast<Endpoint>(i));
  job.servers = {cluster->host_of(s.workers)};
  ObjectReader reader(s.options, "test", "$.schedule.options");
  const ScheduleContext context{&model, 1};
  job.schedule = find_schedule(s.schedule).make(reader, context);
  SimulationSpec spec;
  spec.cluster = cluster;
  spec.jobs = {std::move(job)};
  spec.fidelity = s.fidelity;
  spec.extrapolate = false;
  return simulate(spec).jobs.front();
}

// One at a time, in the order of the calls.
struct Queue {
  double free = 0;
  double serve(double from, double seconds) { return free = std::max(free, from) + seconds; }
};

std::vector<TensorId> in_order_of(const std::vector<double>& dates, std::vector<TensorId> tensors) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [&](TensorId a, TensorId b) { return dates[a] < dates[b]; });
  return tensors;
}

// One worker and one server: the dates at which each step's backward pass ends, and the end of all.
// `delayed`: OD-SGD without a warm-up; else S-SGD, which takes home what it pushed for.
struct Dates {
  std::vector<double> borders;
  double end = 0;
};

Dates exchange_graph(const ModelShape& model, const Costs& costs, std::int64_t steps,
                     bool delayed) {
  const std::size_t tensors = model.tensors.size();
  std::vector<double> ready(tensors, 0.0), home(tensors, 0.0), copied(tensors), called(tensors),
      arrived(tensors), updated(tensors);
  Queue compute, copy_out, copy_in, host, push, cpu, reply;
  Dates dates;
  const auto elements = [&](TensorId t) { return static_cast<double>(model.tensors[t].elements); };
  for (std::int64_t step = 0; step < steps; ++step) {
    double weights = 0;
    for (TensorId t = 0; t < tensors; ++t) {
      weights = std::max(weights, ready[t]);
      compute.serve(weights, model.tensors[t].forward_s);
    }
    for (const TensorId t : model.backward_order) {
      const double gradient = compute.serve(0, model.tensors[t].backward_s);
      copied[t] = copy_out.serve(gradient, costs.copy(elements(t)));
      called[t] = delayed ? std::max(gradient, home[t]) : gradient;
    }
    dates.borders.push_back(compute.free);
    if (delayed)
      for (const TensorId t : in_order_of(called, model.backward_order)) {
        const double local =
            host.serve(std::max(copied[t], called[t]), costs.on_host(4, elements(t)));
        ready[t] = copy_in.serve(local, costs.copy(elements(t)));
      }
    for (const TensorId t : model.backward_order) called[t] = std::max(called[t], copied[t]);
    for (const TensorId t : in_order_of(called, model.backward_order))
      arrived[t] = push.serve(called[t], costs.message(elements(t)));
    for (const TensorId t : in_order_of(arrived, model.backward_order))
      updated[t] = cpu.serve(arrived[t], costs.on_host(3 + 3, elements(t)));
    // Acknowledgement and request are empty messages.
    for (const TensorId t : in_order_of(updated, model.backward_order)) {
      home[t] = reply.serve(updated[t] + 2 * costs.alpha, costs.message(elements(t)));
      if (!delayed) ready[t] = copy_in.serve(home[t], costs.copy(elements(t)));
    }
  }
  for (std::size_t t = 0; t < tensors; ++t) dates.end = std::max({dates.end, ready[t], home[t]});
  return dates;
}

void expect_dates(const JobResult& run, const Dates& dates, const std::string& what) {
  EXPECT_NEAR(run.total_time_s, dates.end, kTight * dates.end) << what;
  // Borders from `measured_from` to the one before the last: a step's border is its backward's end.
  const auto from = static_cast<std::size_t>(run.measured_from) - 1,
             until = dates.borders.size() - 2;
  const double expected =
      (dates.borders[until] - dates.borders[from]) / static_cast<double>(until - from);
  EXPECT_NEAR(run.iteration_time_s, expected, kTight * expected) << what;
}

std::vector<std::pair<std::string, Costs>> networks() {
  Costs slow, far, busy_host;
  slow.bandwidth = 1e8;
  far.alpha = 2e-3;
  busy_host.host_bandwidth = 5e8;
  busy_host.copy_bandwidth = 1e9;
  Costs ideal;
  ideal.alpha = 0;
  ideal.bandwidth = kInfinity;
  return {
      {"fast", Costs{}}, {"slow", slow}, {"far", far}, {"busy host", busy_host}, {"ideal", ideal}};
}

TEST(ServerIdentity, OneWorkerWithFreeOperationsIsPlainSgd) {
  const Costs free{0, kInfinity, 1e30, 0, 1e30};
  const ModelShape model = random_model(2, 6);
  for (const char* schedule : {"ps-s-sgd", "asgd", "dc-asgd", "od-sgd", "cd-sgd"}) {
    const std::string name = schedule;
    const Json options =
        name == "od-sgd" || name == "cd-sgd" ? Json{{"warm_up", 1}} : Json::object();
    const JobResult run = simulated_run({name, options}, model, free);
    EXPECT_NEAR(run.iteration_time_s, compute_s(model), kTight * compute_s(model)) << name;
  }
}

TEST(ServerIdentity, OdSgdIsItsDependencyGraph) {
  for (const auto& [name, costs] : networks())
    for (std::uint32_t seed = 1; seed <= 5; ++seed) {
      const ModelShape model = random_model(seed, 1 + static_cast<int>(seed) * 2);
      const JobResult run =
          simulated_run({"od-sgd", {{"warm_up", 0}, {"front_layers_first", false}}}, model, costs);
      expect_dates(run, exchange_graph(model, costs, 30, true), name + std::to_string(seed));
    }
}

TEST(ServerIdentity, SSgdOverAServerIsItsDependencyGraph) {
  for (const auto& [name, costs] : networks())
    for (std::uint32_t seed = 1; seed <= 5; ++seed) {
      const ModelShape model = random_model(seed, 1 + static_cast<int>(seed) * 2);
      const JobResult run =
          simulated_run({"ps-s-sgd", {{"front_layers_first", false}}}, model, costs);
      expect_dates(run, exchange_graph(model, costs, 30, false), name + std::to_string(seed));
    }
}

// One tensor; the ports of the server carry N shards at once, its CPU adds one push after the
// other.
class OneTensor {
 public:
  OneTensor(const Costs& costs, std::size_t workers)
      : costs_(costs), workers_(static_cast<double>(workers)), model_(random_model(3, 1)) {}
  [[nodiscard]] const ModelShape& model() const { return model_; }
  [[nodiscard]] double local_s() const {
    return compute_s(model_) + 2 * costs_.copy(elements()) + costs_.on_host(4, elements());
  }
  /// From the host copy of the gradient to the pulled weights.
  [[nodiscard]] double exchange_s() const {
    const double message = costs_.alpha + workers_ * 4 * elements() / costs_.bandwidth;
    return 2 * message + 2 * costs_.alpha + costs_.on_host(3 * workers_ + 3, elements());
  }
  [[nodiscard]] double s_sgd_s() const {
    return compute_s(model_) + 2 * costs_.copy(elements()) + exchange_s();
  }

 private:
  [[nodiscard]] double elements() const { return static_cast<double>(model_.elements); }
  Costs costs_;
  double workers_;
  ModelShape model_;
};

TEST(ServerIdentity, SSgdOverAServerPaysForItsPort) {
  const Costs costs;
  const OneTensor one(costs, 3);
  const JobResult run =
      simulated_run({"ps-s-sgd", Json::object(), 3, 30, Fidelity::flow}, one.model(), costs);
  EXPECT_NEAR(run.iteration_time_s, one.s_sgd_s(), kTight * one.s_sgd_s());
}

TEST(ServerIdentity, OdSgdHidesItsExchangeBehindTheNextIteration) {
  const Costs costs;
  const OneTensor one(costs, 3);
  ASSERT_LT(one.exchange_s(), one.local_s());
  const JobResult run =
      simulated_run({"od-sgd", {{"warm_up", 0}}, 3, 30, Fidelity::flow}, one.model(), costs);
  EXPECT_NEAR(run.iteration_time_s, one.local_s(), kTight * one.local_s());
}

TEST(ServerIdentity, OdSgdIsBoundByAnExchangeThatIsLonger) {
  Costs costs;
  costs.alpha = 1e-3;
  const OneTensor one(costs, 3);
  ASSERT_GT(one.exchange_s(), one.local_s());
  const JobResult run =
      simulated_run({"od-sgd", {{"warm_up", 0}}, 3, 30, Fidelity::flow}, one.model(), costs);
  EXPECT_NEAR(run.iteration_time_s, one.exchange_s(), kTight * one.exchange_s());
}

TEST(ServerIdentity, AsgdOfOneWorkerIsSSgdOfOne) {
  const Costs costs;
  const OneTensor one(costs, 1);
  const JobResult run = simulated_run({"asgd", Json::object(), 1}, one.model(), costs);
  const double expected =
      one.s_sgd_s() - costs.on_host(3, static_cast<double>(one.model().elements));
  EXPECT_NEAR(run.iteration_time_s, expected, kTight * expected);
}

// Worker 0 is three passes late in step 5. How much later does the other one end step `last`?
double delay_of_the_other(const std::string& schedule, const Json& options, double iteration_s,
                          std::int64_t last) {
  const Costs costs;
  const OneTensor one(costs, 2);
  Straggler late;
  late.worker = 0;
  late.from = 5 * iteration_s;
  late.until = late.from + 3 * compute_s(one.model());
  const auto seconds = [&](double slowdown) {
    late.slowdown = slowdown;
    // What comes after the last step but one is not measured.
    const JobResult run = simulated_run({schedule, options, 2, last + 2, Fidelity::closed, {late}},
                                        one.model(), costs);
    EXPECT_LE(run.measured_from, 5);
    return run.worker_iteration_s.at(1) * static_cast<double>(last + 1 - run.measured_from);
  };
  return seconds(1e3) - seconds(1);
}

TEST(ServerIdentity, AStragglerHitsTheOthersAnIterationLaterInOdSgd) {
  const Costs costs;
  const OneTensor alone(costs, 1), one(costs, 2);
  // Forced closed fidelity: messages do not share the server's port. The server adds the push that
  // is there while it waits for the late one.
  const double add = costs.on_host(3, static_cast<double>(one.model().elements));
  const double late = 3 * compute_s(one.model()) * (1 - 1e-3) - add;
  const double s_sgd = alone.s_sgd_s() + add;
  EXPECT_NEAR(delay_of_the_other("ps-s-sgd", Json::object(), s_sgd, 5), 0, kTight * s_sgd);
  EXPECT_NEAR(delay_of_the_other("ps-s-sgd", Json::object(), s_sgd, 6), late, kTight * s_sgd);
  const Json at_once{{"warm_up", 0}};
  EXPECT_NEAR(delay_of_the_other("od-sgd", at_once, one.local_s(), 6), 0, kTight * s_sgd);
  EXPECT_GT(delay_of_the_other("od-sgd", at_once, one.local_s(), 7), 0.5 * late);
}

}  // namespace
}  // namespace paceline
