// Schedules that average models or stale gradients: their times are closed forms of c, m, k and a.

#include <gtest/gtest.h>

#include "algorithms/complexity.hpp"
#include "base/json.hpp"
#include "tests/algorithms/simulated.hpp"

namespace paceline {
namespace {

using namespace simulated;

constexpr double kTight = 1e-6;  // relative

// Models whose computation is shorter and longer than their all-reduce.
std::vector<ModelShape> models() {
  return {random_model(1, 7, 1e-4), random_model(2, 12, 1e-3), random_model(3, 5, 1e-2)};
}

TEST(LocalStepsIdentity, ModelsCoverBothRegimes) {
  const Star star;
  bool compute_bound = false, wire_bound = false;
  for (const ModelShape& model : models())
    (compute_s(model) > star.all_reduce_s(model_bytes(model)) ? compute_bound : wire_bound) = true;
  EXPECT_TRUE(compute_bound && wire_bound);
}

TEST(LocalStepsIdentity, SSgdTakesComputeAndOneAllReduce) {
  for (const ModelShape& model : models()) {
    const Star star;
    const double expected = compute_s(model) + star.all_reduce_s(model_bytes(model));
    const JobResult r = run("s-sgd", {{"overlap", "none"}}, model, star, 10);
    EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected);
  }
}

TEST(LocalStepsIdentity, LocalSgdTakesKStepsAndOneAllReduce) {
  for (const ModelShape& model : models())
    for (const int k : {1, 2, 5}) {
      const Star star;
      const double round = k * compute_s(model) + star.all_reduce_s(model_bytes(model));
      const JobResult r = run("local-sgd", {{"period", k}}, model, star, 4 * k);
      EXPECT_NEAR(r.iteration_time_s * k, round, kTight * round);
      EXPECT_NEAR(r.total_time_s, 4 * round, kTight * round);
      EXPECT_NEAR(r.rounds, 4, 1e-9);
    }
}

TEST(LocalStepsIdentity, LocalSgdOfOneRoundIsMeasuredWhole) {
  const ModelShape model = random_model(4, 6);
  const Star star;
  const double round = 3 * compute_s(model) + star.all_reduce_s(model_bytes(model));
  const JobResult r = run("local-sgd", {{"period", 3}}, model, star, 3);
  EXPECT_NEAR(r.iteration_time_s * 3, round, kTight * round);
}

TEST(LocalStepsIdentity, PipeSgdHidesTheShorterOfComputeAndAllReduce) {
  for (const ModelShape& model : models())
    for (const double a : {0.0, 0.3}) {
      const Star star;
      const double c = compute_s(model), m = star.all_reduce_s(model_bytes(model));
      const double expected = std::max(c + a * m, m);
      const JobResult r = run("pipe-sgd", Json::object(), model, star, 40, a);
      EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected) << "a = " << a;
    }
}

TEST(LocalStepsIdentity, CocodHidesTheAllReduceBehindKSteps) {
  for (const ModelShape& model : models())
    for (const int k : {1, 2, 5, 20})
      for (const double a : {0.0, 0.25, 0.6}) {
        const Star star;
        const double c = compute_s(model), m = star.all_reduce_s(model_bytes(model));
        const double round = std::max(k * c + a * m, m);
        const JobResult r = run("cocod-sgd", {{"period", k}}, model, star, 6 * k, a);
        EXPECT_NEAR(r.iteration_time_s * k, round, kTight * round) << "k = " << k << ", a = " << a;
        EXPECT_NEAR(r.rounds, 6, 1e-9);
      }
}

TEST(LocalStepsIdentity, PipeSgdIsCocodOfPeriodOneInTime) {
  for (const ModelShape& model : models()) {
    const Star star;
    const double pipe = run("pipe-sgd", Json::object(), model, star, 30).iteration_time_s;
    const double cocod = run("cocod-sgd", {{"period", 1}}, model, star, 30).iteration_time_s;
    EXPECT_NEAR(pipe, cocod, kTight * cocod);
  }
}

TEST(LocalStepsIdentity, CocodPaysForItsCopies) {
  const ModelShape model = random_model(5, 6);
  const Star star;
  JobSpec spec = job("cocod-sgd", {{"period", 4}}, model, star.workers, 16);
  OperationModel slow = free_operations()->model();
  slow.memory_bandwidth = 1e9;
  spec.costs = std::make_shared<OperationCosts>(slow, "slow memory");
  const double bytes = model_bytes(model);
  // snapshot 2 passes; progress and the sum with the mean 3 each; every step's update 5.
  const double local = (2 + 3 + 3 + 4 * 5) * bytes / 1e9;
  const double m = star.all_reduce_s(bytes), c = compute_s(model);
  // The message leaves after the snapshot; the last sum waits for both.
  const double round =
      2 * bytes / 1e9 + std::max(4 * c + (4 * 5 + 3) * bytes / 1e9, m) + 3 * bytes / 1e9;
  EXPECT_GT(local, 0);
  const double time = run(spec, star.cluster()).iteration_time_s * 4;
  EXPECT_NEAR(time, round, kTight * round);
}

// ---- heterogeneous: one half of the workers is half as fast

JobResult heterogeneous(bool proportional) {
  const ModelShape model = random_model(6, 8, 1e-2);
  Json json = parse_json(R"({
    "format": "paceline-cluster-1", "name": "two speeds", "description": "test", "sources": {},
    "nodes": [
      {"name": "fast", "count": 2, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"},
      {"name": "slow", "count": 2, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf", "speed": 0.5}],
    "network": {"bandwidth": "10Gbps", "latency": "50us", "topology": {"kind": "star"}}})",
                         "test");
  JobSpec spec = job("cocod-sgd", {{"period", 5}}, model, 4, 100);
  if (proportional) {  // shares 4/3 and 2/3 of the profile's batch, weights to match
    spec.batch_share = {4.0 / 3, 4.0 / 3, 2.0 / 3, 2.0 / 3};
    spec.weights = {1.0 / 3, 1.0 / 3, 1.0 / 6, 1.0 / 6};
  }
  return run(spec, std::make_shared<const Cluster>(make_cluster(read_cluster(json, "test"))));
}

TEST(LocalStepsIdentity, ProportionalBatchesRemoveWaiting) {
  const JobResult proportional = heterogeneous(true), equal = heterogeneous(false);
  const auto waiting = [](const JobResult& r) {
    return r.per_iteration.waiting + r.per_iteration.exposed_wire;
  };
  EXPECT_LT(waiting(proportional), 0.01 * proportional.iteration_time_s);
  EXPECT_GT(waiting(equal), 0.2 * equal.iteration_time_s);
  // Linear speedup in the total capability: four workers of mean speed 3/4.
  const double c = compute_s(random_model(6, 8, 1e-2));
  EXPECT_NEAR(proportional.iteration_time_s, c * 4 / 3, 1e-6 * c);
  EXPECT_NEAR(equal.iteration_time_s, 2 * c, 1e-6 * c);
}

// ---- stragglers: worker 0 is slower for a while

double total_with_straggler(const std::string& name, const Json& options, const ModelShape& model,
                            double slowdown, double until) {
  ClusterSpec spec =
      load_cluster_spec("reference-star", {"nodes[0].count=4", "network.bandwidth=1Gbps"});
  Straggler straggler;
  straggler.worker = 0;
  straggler.slowdown = slowdown;
  straggler.from = 0;
  straggler.until = until;
  if (slowdown > 1) spec.stragglers.push_back(straggler);
  return run(job(name, options, model, 4, 24), std::make_shared<const Cluster>(make_cluster(spec)))
      .total_time_s;
}

TEST(LocalStepsIdentity, AStragglerHitsSSgdAtOnceAndCocodOnlyBeyondItsSlack) {
  const ModelShape model = random_model(1, 7, 1e-4);
  Star star;
  star.bandwidth = 1e9 / 8;
  const double c = compute_s(model), m = star.all_reduce_s(model_bytes(model));
  ASSERT_GT(m, 4 * 3 * c);
  const double until = m - c;
  const Json none{{"overlap", "none"}}, four{{"period", 4}};
  // Three times slower: S-SGD loses 2 c in the iteration that is hit, CoCoD has m - k c to spare.
  const double s_sgd = total_with_straggler("s-sgd", none, model, 1, until);
  EXPECT_NEAR(total_with_straggler("s-sgd", none, model, 3, until), s_sgd + 2 * c, kTight * s_sgd);
  const double cocod = total_with_straggler("cocod-sgd", four, model, 1, until);
  EXPECT_NEAR(total_with_straggler("cocod-sgd", four, model, 3, until), cocod, kTight * cocod);
  // All but stopped until c before the average is home: 3 c of the round no longer fit.
  const double late = 3 * c - until / 1e3;
  ASSERT_GT(late, c);
  EXPECT_NEAR(total_with_straggler("cocod-sgd", four, model, 1e3, until), cocod + late,
              kTight * cocod);
}

// ---- formulas

TEST(LocalStepsIdentity, BoundsAreTheTimes) {
  const ModelShape model = random_model(7, 8);
  const Star star;
  BoundInputs in;
  in.model = &model;
  in.workers = star.workers;
  in.forward_s = forward_s(model);
  in.backward_s = backward_s(model);
  in.compute_while_sending = 0.8;
  in.all_reduce_s = [&](double bytes) { return star.all_reduce_s(bytes); };
  for (const auto& [name, options] :
       std::vector<std::pair<std::string, Json>>{{"local-sgd", {{"period", 3}}},
                                                 {"pipe-sgd", Json::object()},
                                                 {"cocod-sgd", {{"period", 3}}},
                                                 {"overlap-local-sgd", {{"period", 3}}}}) {
    const double a = name == "local-sgd" ? 0 : 0.2;  // nothing computes while Local-SGD sends
    const double time = run(name, options, model, star, 30, a).iteration_time_s;
    const auto bounds = make_schedule(name, options, model).bounds(in);
    ASSERT_EQ(bounds.size(), 2u);
    EXPECT_LT(bounds[0].iteration_s, time) << name;
    EXPECT_NEAR(bounds[1].iteration_s, time, kTight * time) << name;
  }
}

TEST(LocalStepsIdentity, PeriodRuleAndItsRounds) {
  // k = T^(1/4) / N^(3/4): 40^4 iterations allow k = 5 to 16 workers.
  EXPECT_NEAR(iterations_for_period(5, 16), 2.56e6, 1);
  EXPECT_NEAR(period_rule(2.56e6, 16), 5, 1e-9);
  EXPECT_EQ(period_rule(1000, 16), 1);  // clipped: S-SGD
  EXPECT_EQ(rounds_by_rule(1000, 16), 1000);
  // Beyond the clip: N^(3/4) T^(3/4).
  EXPECT_NEAR(rounds_by_rule(1e8, 16), 8 * 1e6, 1e-3);
  EXPECT_NEAR(rounds_by_rule(16 * 1e8, 16) / rounds_by_rule(1e8, 16), 8, 1e-9);
}

}  // namespace
}  // namespace paceline
