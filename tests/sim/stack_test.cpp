// What a software stack adds to a run, each mechanism against a calculation by hand.
#include "platforms/stack.hpp"

#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

constexpr std::size_t kWorkers = 4;
constexpr std::int64_t kElements = 1'000'000;  // of each of two tensors
constexpr double kForward = 1e-3;              // of a tensor
// An all-reduce of one tensor: 2(N-1) hops of alpha and a quarter of 4 MB.
constexpr double kAllReduce = 6 * (kAlpha + kElements / kBandwidth);

StackConstant constant(double value) {
  return {value, "test", 0};
}

// The wait-free step of two tensors whose backward passes take `backward_s` each.
JobResult step_under(const Stack& stack, double backward_s, Fidelity fidelity = Fidelity::closed) {
  JobSpec job = make_job(uniform_model(2, kElements, kForward, backward_s), first_gpus(kWorkers), 1,
                         wait_free);
  job.stack = stack;
  return run(build(cluster_under(stack, star_spec(kWorkers))), {job}, fidelity).jobs[0];
}

void expect_step(const Stack& stack, double backward_s, double expected) {
  EXPECT_TRUE(close_to(step_under(stack, backward_s).iteration_time_s, expected, 1e-12));
}

TEST(Stack, NoneAddsNothing) {
  expect_step({}, 10e-3, 2 * kForward + 20e-3 + kAllReduce);
}

TEST(Stack, HostTimeHoldsUpTheComputation) {
  Stack stack;
  stack.compute_per_tensor = constant(500e-6);
  stack.compute_per_collective = constant(200e-6);
  const JobResult result = step_under(stack, 10e-3);
  EXPECT_TRUE(
      close_to(result.iteration_time_s, 2 * kForward + 20e-3 + 2 * 700e-6 + kAllReduce, 1e-12));
  EXPECT_TRUE(
      close_to(result.per_iteration.busy[static_cast<int>(Activity::software)], 2 * 700e-6, 1e-12));
}

TEST(Stack, HostTimeDoesNotScaleWithTheGpu) {
  Stack stack;
  stack.compute_per_collective = constant(200e-6);
  ClusterSpec spec = star_spec(kWorkers);
  spec.nodes[0].speed = 0.5;
  JobSpec job =
      make_job(uniform_model(2, kElements, kForward, 10e-3), first_gpus(kWorkers), 1, wait_free);
  job.stack = stack;
  EXPECT_TRUE(close_to(run(build(spec), {job}, Fidelity::closed).jobs[0].iteration_time_s,
                       2 * (2 * kForward + 20e-3) + 2 * 200e-6 + kAllReduce, 1e-12));
}

TEST(Stack, StartUpOverlapsTheComputation) {
  Stack stack;
  stack.channel_per_tensor = constant(100e-6);
  stack.channel_per_collective = constant(30e-6);
  stack.negotiation_per_worker = constant(5e-6);
  const double start_up = 100e-6 + 30e-6 + kWorkers * 5e-6;
  expect_step(stack, 10e-3, 2 * kForward + 20e-3 + start_up + kAllReduce);
  // Where the channel is the bottleneck it counts each time.
  expect_step(stack, 1e-3, 2 * kForward + 1e-3 + 2 * (start_up + kAllReduce));
}

TEST(Stack, CollectivesStartAtMultiplesOfTheCycle) {
  Stack stack;
  stack.negotiation_cycle = constant(7e-3);
  expect_step(stack, 10e-3, 28e-3 + kAllReduce);  // ready at 22 ms
}

TEST(Stack, BuffersAreCopiedInAndOut) {
  Stack stack;
  stack.fusion_copy_bandwidth = constant(8e9);
  expect_step(stack, 10e-3, 2 * kForward + 20e-3 + kAllReduce + 2 * 4.0 * kElements / 8e9);
}

TEST(Stack, StagingCountsParameters) {
  Stack stack;
  stack.staging_per_parameter = constant(11e-9);
  // 11 ms for each of the two tensors, whose backward passes take 10: the channel is the bottleneck.
  expect_step(stack, 10e-3, 2 * kForward + 10e-3 + 2 * (kAllReduce + 11e-9 * kElements));
}

TEST(Stack, StagingCountsTheSelectedEntriesOfAllWorkers) {
  constexpr double kSelected = 1000;
  const auto gathers = [](Worker& w) -> Program {
    for ([[maybe_unused]] const Step step : w.steps()) {
      const Tensor gradient = co_await w.backward();
      const Selection selection =
          w.select(w.zeros(gradient.elements()), 1, gradient, kSelected, Selector::radix_select);
      const Gathered blocks = co_await w.all_gather(selection.sent);
      co_await w.finished(w.scatter_mean(blocks));
    }
  };
  JobSpec job = make_job(uniform_model(1, kElements, 0, 10e-3), first_gpus(kWorkers), 1, gathers);
  const double gather = 3 * (kAlpha + 8 * kSelected / kBandwidth);
  const auto seconds = [&] {
    return run(build(star_spec(kWorkers)), {job}, Fidelity::closed).jobs[0].iteration_time_s;
  };
  EXPECT_TRUE(close_to(seconds(), 10e-3 + gather, 1e-9));
  job.stack.staging_per_selected = constant(2e-6);
  job.stack.staging_per_parameter = constant(58e-9);
  EXPECT_TRUE(
      close_to(seconds(), 10e-3 + gather + 58e-9 * kElements + 2e-6 * kWorkers * kSelected, 1e-9));
}

TEST(Stack, HiddenCommunicationIsStretched) {
  Stack stack;
  stack.hidden_communication_stretch = constant(0.5);
  // The first all-reduce is beside the second backward pass for all of its time.
  const double ready = 2 * kForward + 6e-3;
  const double first_ends = ready + 1.5 * kAllReduce;
  ASSERT_GT(first_ends, ready + 6e-3);
  ASSERT_LT(ready + kAllReduce, ready + 6e-3);
  expect_step(stack, 6e-3, first_ends + kAllReduce);
}

TEST(Stack, PortsAreLessEfficient) {
  Stack stack;
  stack.port_efficiency = constant(0.8);
  expect_step(stack, 10e-3, 2 * kForward + 20e-3 + 6 * (kAlpha + kElements / (0.8 * kBandwidth)));
}

// One message gets no more than that, whatever carries it; two share the port.
TEST(Stack, AFlowIsCapped) {
  Stack stack;
  stack.flow_bandwidth = constant(0.3 * kBandwidth);
  const double all_reduce = 6 * (kAlpha + kElements / (0.3 * kBandwidth));
  for (const Fidelity fidelity : {Fidelity::closed, Fidelity::flow, Fidelity::step}) {
    const double seconds =
        in_child([&] {
          return std::vector{step_under(stack, 20e-3, fidelity).iteration_time_s};
        }).front();
    EXPECT_TRUE(close_to(seconds, 2 * kForward + 40e-3 + all_reduce, 1e-6)) << to_string(fidelity);
  }
}

TEST(Stack, FlowsBelowThePortDoNotDisturbOneAnother) {
  Stack stack;
  stack.flow_bandwidth = constant(0.5 * kBandwidth);
  const auto dates = in_child([&] {
    const Cluster cluster = make_cluster(cluster_under(stack, star_spec(4)));
    Wire wire(cluster, Fidelity::flow);
    const double *one = wire.send(1, 0, 1e6), *two = wire.send(2, 0, 1e6);
    wire.run();
    return std::vector{*one, *two};
  });
  for (const double date : dates)
    EXPECT_TRUE(close_to(date, kAlpha + 1e6 / (0.5 * kBandwidth), 1e-6));
}

// Inside a node nothing is capped.
TEST(Stack, TheCapIsBetweenNodes) {
  ClusterSpec spec = star_spec(2);
  spec.nodes[0].gpus = 2;
  spec.nodes[0].pcie.bandwidth = 8e9;
  spec.network.flow_bandwidth = 1e9;
  const Cluster cluster = make_cluster(spec);
  Route route;
  cluster.route(0, 1, route);
  EXPECT_EQ(cluster.bandwidth(route), 8e9);
  cluster.route(0, 2, route);
  EXPECT_EQ(cluster.bandwidth(route), 1e9);
}

}  // namespace
}  // namespace paceline
