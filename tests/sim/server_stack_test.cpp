// What a software stack does to parameter servers, against calculations by hand.
#include "algorithms/registry.hpp"
#include "platforms/stack.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

constexpr std::int64_t kElements = 10'000'000;
constexpr double kBytes = 4.0 * kElements;
constexpr double kForward = 20e-3, kBackward = 40e-3;
constexpr double kMessage = kAlpha + kBytes / kBandwidth;
// Push, acknowledgement, request, and the weights' way back.
constexpr double kExchange = 2 * kMessage + 2 * kAlpha;

StackConstant constant(double value) {
  return {value, "test", 0};
}

// Bulk-synchronous steps of the GPUs of one node, one tensor, and a server on a node of its own.
JobResult steps_of(std::size_t gpus, const Stack& stack, const std::string& overlap = "none",
                   std::size_t tensors = 1) {
  ClusterSpec spec = star_spec(2);
  spec.nodes = {node_group(1, gpus), node_group(1, 0)};
  spec.nodes[1].name = "server";
  const auto cluster = build(cluster_under(stack, spec));
  const auto count = static_cast<double>(tensors);
  JobSpec job = make_job(uniform_model(tensors, kElements, kForward / count, kBackward / count),
                         first_gpus(gpus), 8, nullptr);
  const Json options{{"overlap", overlap}, {"split_above", 2 * kElements}};
  ObjectReader reader(options, "options");
  job.schedule = find_schedule("ps-s-sgd").make(reader, {&job.model, 1});
  job.stack = stack;
  job.servers = {cluster->host_of(1)};
  return run(cluster, {job}, Fidelity::closed).jobs[0];
}

TEST(ServerStack, BulkSynchronousStepsAreOneAfterTheOther) {
  EXPECT_TRUE(close_to(steps_of(1, {}).iteration_time_s, kForward + kBackward + kExchange, 1e-9));
  EXPECT_TRUE(close_to(steps_of(1, {}).sent_bytes, kBytes, 1e-12));
}

// With one tensor there is nothing to overlap.
TEST(ServerStack, WithOneTensorOverlapChangesNothing) {
  EXPECT_EQ(steps_of(1, {}).iteration_time_s, steps_of(1, {}, "wfbp").iteration_time_s);
  EXPECT_TRUE(close_to(steps_of(1, {}, "in_step").iteration_time_s,
                       kForward + kBackward + kExchange, 1e-9));
}

// The second weights are home one message after the first, which forward begins with; the first
// gradient leaves half way through backward; weights are asked for when the last push is applied.
TEST(ServerStack, PullsOfAStepWaitForAllItsPushes) {
  static_assert(kMessage > kBackward / 2 && kMessage > kForward / 2);
  EXPECT_TRUE(close_to(steps_of(1, {}, "in_step", 2).iteration_time_s,
                       kForward / 2 + kBackward / 2 + 2 * kMessage + kExchange, 1e-9));
}

TEST(ServerStack, PortsOfNodesGetNoMoreThanTheStackSays) {
  Stack stack;
  stack.port_bandwidth = constant(0.5e9);
  EXPECT_TRUE(close_to(steps_of(1, stack).iteration_time_s,
                       kForward + kBackward + 4 * kAlpha + 2 * kBytes / 0.5e9, 1e-9));
  stack.port_bandwidth = constant(500e9);
  EXPECT_EQ(steps_of(1, stack).iteration_time_s, steps_of(1, {}).iteration_time_s);
}

TEST(ServerStack, ServersSumAtTheirRate) {
  Stack stack;
  stack.summation_bandwidth = constant(2e9);
  EXPECT_TRUE(close_to(steps_of(1, stack).iteration_time_s,
                       kForward + kBackward + kExchange + kBytes / 2e9, 1e-9));
}

// Four GPUs send one sum and take one answer; the server takes one push into its sum.
TEST(ServerStack, TheGpusOfANodeReduceFirst) {
  Stack stack;
  stack.local_reduction_bandwidth = constant(5e9);
  stack.summation_bandwidth = constant(2e9);
  const JobResult result = steps_of(4, stack);
  EXPECT_TRUE(close_to(result.iteration_time_s,
                       kForward + kBackward + 3 * kBytes / 5e9 + kExchange + kBytes / 2e9, 1e-9));
  EXPECT_TRUE(close_to(result.sent_bytes, kBytes / 4, 1e-12));
}

TEST(ServerStack, ReducingFirstChangesNothingForOneGpu) {
  Stack stack;
  stack.local_reduction_bandwidth = constant(5e9);
  EXPECT_EQ(steps_of(1, stack).iteration_time_s, steps_of(1, {}).iteration_time_s);
}

TEST(ServerStack, TheHostsWorkForAPushHoldsUpTheComputation) {
  Stack stack;
  stack.compute_per_tensor = constant(3e-3);
  const JobResult result = steps_of(1, stack);
  EXPECT_TRUE(close_to(result.iteration_time_s, kForward + kBackward + kExchange, 1e-9));
  EXPECT_TRUE(
      close_to(result.per_iteration.busy[static_cast<int>(Activity::software)], 3e-3, 1e-9));
}

TEST(ServerStack, AServerOnTheOwnHostIsFreeUnlessTheStackSaysOtherwise) {
  Stack stack;
  stack.own_server_over_port = constant(1);
  const ClusterSpec spec = star_spec(2);
  const Cluster free = make_cluster(spec), port = make_cluster(cluster_under(stack, spec));
  Route route;
  free.route(free.host_of(0), free.host_of(0), route);
  EXPECT_TRUE(route.links.empty());
  const auto dates = in_child([&] {
    Wire wire(port, Fidelity::flow);
    const Endpoint own = port.host_of(0), other = port.host_of(1);
    const double *home = wire.send(own, own, 1e6), *away = wire.send(own, other, 1e6);
    wire.run();
    return std::vector{*home, *away};
  });
  for (const double date : dates)  // both out of one port
    EXPECT_TRUE(close_to(date, kAlpha + 2e6 / kBandwidth, 1e-6));
}

}  // namespace
}  // namespace paceline
