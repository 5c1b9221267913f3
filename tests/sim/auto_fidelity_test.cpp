// `auto` leaves closed form when, and only when, transfers would share a link.
#include "algorithms/server.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

Program one_all_reduce(Worker& w) {
  for ([[maybe_unused]] const Step step : w.steps())
    co_await w.all_reduce_mean(w.zeros(w.model().elements));
}

JobSpec all_reduce_job(std::vector<Endpoint> gpus, AllReduce algorithm = AllReduce::ring) {
  JobSpec job = make_job(uniform_model(1, 25'000'000, 0, 0), std::move(gpus), 3, one_all_reduce);
  job.all_reduce.algorithm = algorithm;
  return job;
}

TEST(Auto, StaysClosedForAJobAlone) {
  for (const AllReduce algorithm : {AllReduce::ring, AllReduce::double_binary_tree,
                                    AllReduce::halving_doubling, AllReduce::hierarchical}) {
    const SimulationResult result =
        run(build(star_spec(16)), {all_reduce_job(first_gpus(16), algorithm)}, Fidelity::automatic);
    EXPECT_EQ(result.fidelity, Fidelity::closed) << to_string(algorithm);
    EXPECT_EQ(result.fidelity_reason, "no two transfers shared a link");
    EXPECT_EQ(result.flow_error_bound, 0);
  }
}

TEST(Auto, StaysClosedForBackToBackCollectives) {
  JobSpec job = make_job(uniform_model(40, 100'003, 1e-3, 1.7e-4), first_gpus(7), 50, wait_free);
  EXPECT_EQ(run(build(star_spec(7)), {job}, Fidelity::automatic).fidelity, Fidelity::closed);
}

TEST(Auto, StaysClosedForHierarchicalWhichSharesPortsByDesign) {
  ClusterSpec spec = star_spec(4);
  spec.nodes = {node_group(4, 4, 12e9)};
  const SimulationResult result = run(
      build(spec), {all_reduce_job(first_gpus(16), AllReduce::hierarchical)}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::closed) << result.fidelity_reason;
}

TEST(Auto, StaysClosedForASlowNodeBecauseTheRingStaysExact) {
  ClusterSpec spec = star_spec(16);
  spec.nodes = {node_group(15), node_group(1)};
  spec.nodes[1].name = "slow";
  spec.nodes[1].nic = kBandwidth / 2;
  const SimulationResult result =
      run(build(spec), {all_reduce_job(first_gpus(16))}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::closed) << result.fidelity_reason;
  // Of 30 messages the slow port carries 29, one of its neighbour's before them: two latencies.
  EXPECT_TRUE(close_to(result.jobs[0].iteration_time_s,
                       2 * kAlpha + 30 * (1e8 / 16 / (kBandwidth / 2)), 1e-9));
}

TEST(Auto, StaysClosedForSlowComputers) {
  ClusterSpec spec = star_spec(4);
  spec.nodes = {node_group(3), node_group(1)};
  spec.nodes[1].name = "old";
  spec.nodes[1].speed = 0.25;
  spec.stragglers = {{1, 3, 0.01, 0.5}};
  JobSpec job = make_job(uniform_model(5, 1'000'000, 1e-3, 2e-3), first_gpus(4), 6, wait_free);
  job.jitter = {Jitter::Distribution::gamma, 0.1};
  EXPECT_EQ(run(build(spec), {job}, Fidelity::automatic).fidelity, Fidelity::closed);
}

TEST(Auto, StaysClosedForTwoJobsOnDifferentPorts) {
  const SimulationResult result =
      run(build(star_spec(8)), {all_reduce_job(first_gpus(4)), all_reduce_job(first_gpus(4, 4))},
          Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::closed) << result.fidelity_reason;
}

TEST(Auto, LeavesForTwoJobsOnTheSamePorts) {
  const SimulationResult result =
      run(build(star_spec(4)), {all_reduce_job(first_gpus(4)), all_reduce_job(first_gpus(4))},
          Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::flow);
  EXPECT_NE(result.fidelity_reason.find("two transfers at once on link"), std::string::npos)
      << result.fidelity_reason;
  EXPECT_TRUE(
      close_to(result.jobs[0].iteration_time_s, 6 * (kAlpha + 2 * 2.5e7 / kBandwidth), 1e-6));
  EXPECT_GT(result.flow_error_bound, 0);
}

// Nothing meets the ring, whatever share of it is latency: its flows are exact, and say so.
TEST(Flow, IsExactWhereNobodyMeets) {
  ClusterSpec spec = star_spec(4);
  spec.network.latency = 0.2;
  const auto cluster = build(spec);
  const SimulationResult flow = run(cluster, {all_reduce_job(first_gpus(4))}, Fidelity::flow);
  const SimulationResult step = run(cluster, {all_reduce_job(first_gpus(4))}, Fidelity::step);
  EXPECT_TRUE(close_to(flow.jobs[0].iteration_time_s, step.jobs[0].iteration_time_s, 1e-9));
  EXPECT_GT(flow.jobs[0].iteration_time_s, 6 * 0.2);
  EXPECT_EQ(flow.flow_error_bound, 0);
  // Beside another job it may not be.
  EXPECT_GT(
      run(cluster, {all_reduce_job(first_gpus(4)), all_reduce_job(first_gpus(4))}, Fidelity::flow)
          .flow_error_bound,
      0.9);
}

TEST(Auto, LeavesForHalvingDoublingAcrossAThinTree) {
  const SimulationResult result =
      run(build(fat_tree_spec(16, 4, 4)),
          {all_reduce_job(first_gpus(16), AllReduce::halving_doubling)}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::flow);
  EXPECT_NE(result.fidelity_reason.find("two hops of one collective on link"), std::string::npos)
      << result.fidelity_reason;
}

TEST(Auto, StaysClosedForARingAcrossAThinTree) {
  const SimulationResult result =
      run(build(fat_tree_spec(16, 4, 4)), {all_reduce_job(first_gpus(16))}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::closed) << result.fidelity_reason;
}

TEST(Auto, LeavesForALinkEvent) {
  ClusterSpec spec = star_spec(4);
  const double all_reduce = 6 * (kAlpha + 2.5e7 / kBandwidth);
  spec.link_events = {{"*node2*", 1.5 * all_reduce, 0.5}};
  const SimulationResult result =
      run(build(spec), {all_reduce_job(first_gpus(4))}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::flow) << result.fidelity_reason;
  // The first all-reduce passes, half of the second's time is left when the port slows down.
  const double ring_bytes = 6 * 2.5e7;
  const double fast = (0.5 * all_reduce - 6 * kAlpha) * kBandwidth;
  const double second = 0.5 * all_reduce + (ring_bytes - fast) / (kBandwidth / 2);
  const double third = 6 * kAlpha + ring_bytes / (kBandwidth / 2);
  EXPECT_TRUE(close_to(result.jobs[0].total_time_s, all_reduce + second + third, 1e-6));
}

// No later collective starts on the slower link.
TEST(Auto, LeavesForALinkEventDuringTheLastAllReduce) {
  ClusterSpec spec = star_spec(4);
  const double all_reduce = 6 * (kAlpha + 2.5e7 / kBandwidth);
  spec.link_events = {{"*node2*", 2.5 * all_reduce, 0.5}};
  const SimulationResult result =
      run(build(spec), {all_reduce_job(first_gpus(4))}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::flow) << result.fidelity_reason;
  EXPECT_NE(result.fidelity_reason.find("a changed bandwidth on link node2"), std::string::npos)
      << result.fidelity_reason;
  const double fast = (0.5 * all_reduce - 6 * kAlpha) * kBandwidth;
  const double last = 0.5 * all_reduce + (6 * 2.5e7 - fast) / (kBandwidth / 2);
  EXPECT_TRUE(close_to(result.jobs[0].total_time_s, 2 * all_reduce + last, 1e-6));
}

TEST(Auto, NamesTheChangedLinkOfALaterCollective) {
  ClusterSpec spec = star_spec(4);
  spec.link_events = {{"node3-*", 1e-3, 2}};
  JobSpec job = make_job(uniform_model(1, 1'000'000, 0.04, 0.06), first_gpus(4), 3, wait_free);
  const SimulationResult result = run(build(spec), {job}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::flow);
  EXPECT_NE(result.fidelity_reason.find("a changed bandwidth on link node3"), std::string::npos)
      << result.fidelity_reason;
}

TEST(Auto, StaysClosedForALinkEventElsewhereOrUndone) {
  ClusterSpec spec = star_spec(6);
  spec.link_events = {{"node5-*", 0.01, 0.5}, {"node2-*", 0, 0.5}, {"node2-*", 1e-3, 1}};
  JobSpec job = make_job(uniform_model(1, 1'000'000, 0.04, 0.06), first_gpus(4), 3, wait_free);
  const SimulationResult result = run(build(spec), {job}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::closed) << result.fidelity_reason;
}

TEST(Auto, ForcedClosedCountsALinkEventUnderWay) {
  ClusterSpec spec = star_spec(4);
  spec.link_events = {{"node2-*", 2.5 * 6 * (kAlpha + 2.5e7 / kBandwidth), 0.5}};
  const SimulationResult result =
      run(build(spec), {all_reduce_job(first_gpus(4))}, Fidelity::closed);
  EXPECT_GT(result.ignored_conflicts, 0U);
}

TEST(Auto, StaysClosedForALinkEventAfterTheEnd) {
  ClusterSpec spec = star_spec(4);
  spec.link_events = {{"*node2*", 1000.0, 0.5}};
  EXPECT_EQ(run(build(spec), {all_reduce_job(first_gpus(4))}, Fidelity::automatic).fidelity,
            Fidelity::closed);
}

TEST(Auto, LeavesForBackgroundTraffic) {
  ClusterSpec spec = star_spec(4);
  spec.background = {{0, 1, kBandwidth / 4, 0, kInfinity}};
  const SimulationResult result =
      run(build(spec), {all_reduce_job(first_gpus(4))}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::flow) << result.fidelity_reason;
  EXPECT_TRUE(
      close_to(result.jobs[0].iteration_time_s, 6 * (kAlpha + 2.5e7 / (0.75 * kBandwidth)), 1e-6));
}

// ---- messages outside of collectives

std::string contention_of(const std::function<void(Wire&)>& use) {
  const auto cluster = build(star_spec(4));
  Wire wire(*cluster, Fidelity::automatic);
  use(wire);
  wire.run();
  return wire.transport.contention();
}

TEST(Auto, LeavesForIncast) {
  const std::string reason = contention_of([](Wire& wire) {
    for (const Endpoint worker : {1U, 2U, 3U}) wire.send(worker, 0, 1e6);
  });
  EXPECT_NE(reason.find("two transfers at once on link"), std::string::npos) << reason;
}

TEST(Auto, StaysForMessagesOfDifferentPortsAndBothDirections) {
  EXPECT_EQ(contention_of([](Wire& wire) {
              wire.send(0, 1, 1e6);
              wire.send(1, 0, 1e6);
              wire.send(2, 3, 1e6);
            }),
            "");
}

TEST(Auto, StaysForMessagesOneAfterTheOther) {
  const double one = kAlpha + 1e6 / kBandwidth;
  EXPECT_EQ(contention_of([&](Wire& wire) {
              wire.send(0, 1, 1e6);
              wire.at(one, [&] { wire.send(0, 1, 1e6); });
              wire.at(2 * one, [&] { wire.send(2, 1, 1e6); });
            }),
            "");
  EXPECT_NE(contention_of([&](Wire& wire) {
              wire.send(0, 1, 1e6);
              wire.at(one * 0.999, [&] { wire.send(0, 1, 1e6); });
            }),
            "");
}

TEST(Auto, LeavesForALinkEventDuringAMessage) {
  const double one = kAlpha + 1e6 / kBandwidth;
  const auto change_at = [&](double date) {
    const auto cluster = build(star_spec(4));
    const LinkId link = cluster->links_matching("node1-*").front();
    Wire wire(*cluster, Fidelity::automatic);
    wire.send(0, 1, 1e6);
    wire.send(1, 0, 1e6);
    wire.at(date, [&] { wire.transport.scale_link(link, 0.5); });
    wire.run();
    return wire.transport.contention();
  };
  EXPECT_NE(change_at(0.5 * one).find("a changed bandwidth on link node1"), std::string::npos);
  EXPECT_EQ(change_at(one), "");
}

// The worker waits for its gradient to arrive when the port of its node slows down.
Program one_push(Worker& w) {
  for ([[maybe_unused]] const Step step : w.steps()) {
    const Tensor gradient = w.zeros(w.model().elements);
    const Shard whole{0, 0, 0, w.model().elements};
    co_await w.push(whole, gradient);
  }
}
Program acknowledges(Server& s) {
  for (;;) {
    const Request request = co_await s.receive();
    s.acknowledge(request);
  }
}

TEST(Auto, LeavesForALinkEventDuringAPush) {
  ClusterSpec spec = star_spec(2);
  const double push = kAlpha + 1e8 / kBandwidth;
  spec.link_events = {{"*node0*", 0.5 * push, 0.5}};
  const auto cluster = build(spec);
  JobSpec job = make_job(uniform_model(1, 25'000'000, 0, 0), first_gpus(1), 1, one_push);
  job.schedule.server = acknowledges;
  job.servers = {cluster->host_of(1)};
  const SimulationResult result = run(cluster, {job}, Fidelity::automatic);
  EXPECT_EQ(result.fidelity, Fidelity::flow) << result.fidelity_reason;
  EXPECT_NE(result.fidelity_reason.find("a changed bandwidth on link node0"), std::string::npos)
      << result.fidelity_reason;
  const double left = 1e8 - (0.5 * push - kAlpha) * kBandwidth;
  EXPECT_TRUE(
      close_to(result.jobs[0].total_time_s, 0.5 * push + left / (kBandwidth / 2) + kAlpha, 1e-6));
}

TEST(Auto, StaysForEmptyMessages) {
  EXPECT_EQ(contention_of([](Wire& wire) {
              wire.send(0, 1, 0);
              wire.send(0, 1, 0);
            }),
            "");
}

TEST(Auto, ForcedClosedCountsWhatItIsBlindTo) {
  const SimulationResult result =
      run(build(star_spec(4)), {all_reduce_job(first_gpus(4)), all_reduce_job(first_gpus(4))},
          Fidelity::closed);
  EXPECT_EQ(result.fidelity, Fidelity::closed);
  EXPECT_GT(result.ignored_conflicts, 0U);
}

TEST(Auto, ASecondEngineInOneProcessIsRefusedWithAReason) {
  const JobSpec job = all_reduce_job(first_gpus(4));
  const auto on = [&](NetworkEngine network) {
    return run(build(star_spec(4)), {job}, Fidelity::flow, false, network).network;
  };
  EXPECT_EQ(on(NetworkEngine::simgrid), "simgrid");
  EXPECT_THROW(on(NetworkEngine::simgrid), std::logic_error);
  EXPECT_EQ(on(NetworkEngine::automatic), "flat");  // of which there may be many
  EXPECT_EQ(on(NetworkEngine::flat), "flat");
}

}  // namespace
}  // namespace paceline
