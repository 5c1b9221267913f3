// S-SGD with wait-free back-propagation against a recursion that knows nothing of events.
#include <random>

#include "algorithms/registry.hpp"
#include "base/json.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/reference_case.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

// The gradients are reduced one after the other, each not before backward has produced it:
// start_l = max(ready_l, end_{l+1}).
template <class Cost>
double recursion_s(const ModelShape& model, Cost all_reduce_s, double update_s) {
  double ready = 0, wire = 0;
  for (const ModelShape::Item& tensor : model.tensors) ready += tensor.forward_s;
  for (const TensorId id : model.backward_order) {
    ready += model.tensors[id].backward_s;
    wire =
        std::max(ready, wire) + all_reduce_s(4.0 * static_cast<double>(model.tensors[id].elements));
  }
  return std::max(ready, wire) + update_s;
}

ModelShape random_model(std::mt19937& random) {
  std::uniform_int_distribution<std::int64_t> elements(1, 4'000'000);
  std::uniform_real_distribution<double> seconds(0, 4e-3);
  ModelShape model;
  const int tensors = std::uniform_int_distribution<int>(1, 60)(random);
  for (int i = 0; i < tensors; ++i)
    add_tensor(model, elements(random), seconds(random), seconds(random));
  // Branches yield their gradients out of order.
  if (tensors > 3) std::swap(model.backward_order[1], model.backward_order[2]);
  return model;
}

Schedule s_sgd(const ModelShape& model, const std::string& overlap) {
  const Json options{{"overlap", overlap}};
  ObjectReader reader(options, "options");
  return find_schedule("s-sgd").make(reader, {&model, 0});
}

TEST(WaitFree, EqualsTheRecursionOnRandomModels) {
  std::mt19937 random(20240611);
  for (int trial = 0; trial < 60; ++trial) {
    const std::uint32_t n = std::uniform_int_distribution<std::uint32_t>(2, 40)(random);
    const double bandwidth = std::uniform_real_distribution<double>(1e8, 1e10)(random);
    const double alpha = std::uniform_real_distribution<double>(0, 1e-4)(random);
    JobSpec job = make_job(random_model(random), first_gpus(n), 5, nullptr);
    job.schedule = s_sgd(job.model, "wfbp");
    OperationModel operations = free_operations()->model();
    operations.launch_s = 7e-6;
    operations.memory_bandwidth = 3e11;
    job.costs = std::make_shared<OperationCosts>(operations, "test");
    // Momentum SGD: reads weight, gradient and velocity, writes weight and velocity.
    const double update = 7e-6 + 20.0 * static_cast<double>(job.model.elements) / 3e11;
    const double expected = recursion_s(
        job.model, [&](double bytes) { return 2 * (n - 1) * (alpha + bytes / n / bandwidth); },
        update);
    const SimulationResult result =
        run(build(star_spec(n, bandwidth, alpha)), {job}, Fidelity::closed);
    EXPECT_TRUE(close_to(result.jobs[0].iteration_time_s, expected, 1e-9)) << "trial " << trial;
    EXPECT_EQ(result.jobs[0].simulated_steps, 5);
  }
}

TEST(WaitFree, EqualsTheRecursionAtFlowAndStep) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 6; ++trial) {
    const std::uint32_t n = std::uniform_int_distribution<std::uint32_t>(2, 9)(random);
    JobSpec job = make_job(random_model(random), first_gpus(n), 3, wait_free);
    const double expected = recursion_s(
        job.model, [&](double bytes) { return 2 * (n - 1) * (kAlpha + bytes / n / kBandwidth); },
        0);
    for (const Fidelity fidelity : {Fidelity::flow, Fidelity::step}) {
      const double seconds =
          in_child([&] {
            return std::vector<double>{
                run(build(star_spec(n)), {job}, fidelity).jobs[0].iteration_time_s};
          }).at(0);
      EXPECT_TRUE(close_to(seconds, expected, 1e-6)) << to_string(fidelity) << " trial " << trial;
    }
  }
}

TEST(WaitFree, WithoutOverlapIsComputeAndOneAllReduce) {
  std::mt19937 random(3);
  JobSpec job = make_job(random_model(random), first_gpus(8), 3, nullptr);
  job.schedule = s_sgd(job.model, "none");
  double compute = 0;
  for (const ModelShape::Item& tensor : job.model.tensors)
    compute += tensor.forward_s + tensor.backward_s;
  const double wire =
      14 * (kAlpha + 4.0 * static_cast<double>(job.model.elements) / 8 / kBandwidth);
  const JobResult result = run(build(star_spec(8)), {job}, Fidelity::closed).jobs[0];
  EXPECT_TRUE(close_to(result.iteration_time_s, compute + wire, 1e-9));
  EXPECT_TRUE(close_to(result.per_iteration.compute(), compute, 1e-9));
  EXPECT_TRUE(close_to(result.per_iteration.exposed_wire, wire, 1e-9));
  EXPECT_NEAR(result.per_iteration.waiting, 0, 1e-12);
  // A ring sends 2(N-1)/N of the gradient, in as many messages.
  EXPECT_TRUE(
      close_to(result.sent_bytes, 14.0 / 8 * 4 * static_cast<double>(job.model.elements), 1e-12));
  EXPECT_TRUE(close_to(result.messages, 14, 1e-12));
  EXPECT_TRUE(close_to(result.rounds, 3, 1e-12));
}

// 161 tensors of ResNet-50, one ring each: the figures are those of the closed recursion computed
// outside of this project.
class ReferenceCase : public ::testing::TestWithParam<std::pair<std::size_t, double>> {};

TEST_P(ReferenceCase, ClosedGivesThePublishedFigure) {
  const auto [workers, milliseconds] = GetParam();
  const SimulationResult result =
      run(reference_cluster(workers), {reference_job(workers, 3)}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::closed);
  EXPECT_EQ(result.jobs[0].simulated_steps, 3);
  EXPECT_TRUE(close_to(result.jobs[0].iteration_time_s * 1e3, milliseconds, 5e-8));
  const double n = static_cast<double>(workers);
  EXPECT_TRUE(close_to(result.jobs[0].iteration_time_s,
                       recursion_s(
                           reference_model(),
                           [&](double bytes) {
                             return 2 * (n - 1) * (50e-6 + bytes / (n * 1.25 * 1024 * 1024 * 1024));
                           },
                           0),
                       1e-9));
}

INSTANTIATE_TEST_SUITE_P(Wfbp, ReferenceCase,
                         ::testing::Values(std::pair<std::size_t, double>{16, 419.745045},
                                           std::pair<std::size_t, double>{64, 1199.6856},
                                           std::pair<std::size_t, double>{256, 4292.6707},
                                           std::pair<std::size_t, double>{1024, 16657.917}));

TEST(ReferenceCase16, FlowAndStepGiveTheClosedFigure) {
  for (const Fidelity fidelity : {Fidelity::flow, Fidelity::step}) {
    const double seconds =
        in_child([&] {
          return std::vector<double>{run(reference_cluster(16), {reference_job(16, 1)}, fidelity)
                                         .jobs[0]
                                         .iteration_time_s};
        }).at(0);
    EXPECT_TRUE(close_to(seconds, 0.419745045, 1e-6)) << to_string(fidelity);
  }
}

}  // namespace
}  // namespace paceline
