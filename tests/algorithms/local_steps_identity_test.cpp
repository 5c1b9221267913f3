// Schedules that average models or stale gradients: their times are closed forms of c, m, k and a.

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace paceline
