// Collectives alone on the network: the three fidelities against the textbook costs, written out
// here once more.
#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "base/error.hpp"
#include "base/json.hpp"
#include "tests/sim/both_networks.hpp"
#include "tests/sim/closed_form.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

constexpr double kSizes[] = {1e3, 40960, 1e6, 1e8};
constexpr double kStepTolerance = 1e-9;

// Patarasuk and Yuan 2009.
double ring_s(double n, double bytes, double alpha, double bandwidth) {
  return 2 * (n - 1) * (alpha + bytes / (n * bandwidth));
}

// Rabenseifner 2004: 2 log2 p messages, sizes S/2, S/4, ... twice; two whole ones if N is no power
// of two.
double halving_doubling_s(std::uint32_t n, double bytes, double alpha, double bandwidth) {
  double seconds = 0;
  std::uint32_t p = 1;
  for (double size = bytes / 2; 2 * p <= n; p *= 2, size /= 2)
    seconds += 2 * (alpha + size / bandwidth);
  return p == n ? seconds : seconds + 2 * (alpha + bytes / bandwidth);
}

// What no all-reduce can beat with one port per rank: every rank needs the data of all others.
double least_s(double n, double bytes, double alpha, double bandwidth) {
  return std::max(std::ceil(std::log2(n)) * alpha, 2 * (n - 1) / n * bytes / bandwidth);
}

std::vector<Timed> on_star(const Cluster& cluster, const AllReduceOptions& options,
                           const std::vector<std::uint32_t>& counts) {
  std::vector<Timed> list;
  for (const std::uint32_t n : counts) {
    const std::vector<Endpoint> members = first_gpus(n);
    for (const double bytes : kSizes)
      list.push_back({plan_all_reduce(options, nodes_of(cluster, members)), members, bytes});
  }
  return list;
}

void all_fidelities_agree(const AllReduceOptions& options,
                          const std::function<double(std::uint32_t, double)>& oracle,
                          const std::vector<std::uint32_t>& counts = {2, 3, 6, 16, 64}) {
  const auto cluster = build(star_spec(counts.back()));
  const std::vector<Timed> list = on_star(*cluster, options, counts);
  const std::vector<double> closed = collective_times(*cluster, Fidelity::closed, list);
  const std::vector<double> flow =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::flow, list); });
  const std::vector<double> step =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::step, list); });
  ASSERT_EQ(flow.size(), list.size());
  ASSERT_EQ(step.size(), list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto n = static_cast<std::uint32_t>(list[i].members.size());
    const double expected = oracle(n, list[i].bytes);
    SCOPED_TRACE(std::to_string(n) + " ranks, " + std::to_string(list[i].bytes) + " bytes");
    EXPECT_TRUE(close_to(closed[i], expected, 1e-9));
    EXPECT_TRUE(
        close_to(closed_form_s(options, n, list[i].bytes, {kAlpha, kBandwidth}), expected, 1e-9));
    EXPECT_TRUE(close_to(flow[i], expected, 1e-6));
    EXPECT_TRUE(close_to(step[i], expected, 1e-6));
  }
}

TEST(Star, RingEqualsItsClosedFormAtEveryFidelity) {
  all_fidelities_agree({AllReduce::ring, 8},
                       [](double n, double s) { return ring_s(n, s, kAlpha, kBandwidth); });
}

TEST(Star, HalvingDoublingEqualsItsClosedFormAtEveryFidelity) {
  all_fidelities_agree({AllReduce::halving_doubling, 8}, [](std::uint32_t n, double s) {
    return halving_doubling_s(n, s, kAlpha, kBandwidth);
  });
}

TEST(Star, HierarchicalWithOneGpuPerNodeIsTheRing) {
  all_fidelities_agree({AllReduce::hierarchical, 8},
                       [](double n, double s) { return ring_s(n, s, kAlpha, kBandwidth); });
}

// Every message is S/(2 chunks).
TEST(Star, DoubleBinaryTreeEqualsItsScheduleAtEveryFidelity) {
  for (const std::int64_t chunks : {1, 8, 32}) {
    SCOPED_TRACE(std::to_string(chunks) + " chunks");
    all_fidelities_agree({AllReduce::double_binary_tree, chunks},
                         [chunks](std::uint32_t n, double s) {
                           return buffered_s(plan_double_binary_tree(n, chunks), kAlpha,
                                             s / (2.0 * static_cast<double>(chunks) * kBandwidth));
                         },
                         {2, 3, 6, 16, 64, 255});
  }
}

TEST(Star, NoAlgorithmBeatsTheLowerBounds) {
  const auto cluster = build(star_spec(64));
  for (const AllReduce algorithm :
       {AllReduce::ring, AllReduce::double_binary_tree, AllReduce::halving_doubling}) {
    const std::vector<Timed> list =
        on_star(*cluster, {algorithm, 8}, {2, 3, 4, 5, 6, 7, 16, 33, 64});
    const std::vector<double> closed = collective_times(*cluster, Fidelity::closed, list);
    for (std::size_t i = 0; i < list.size(); ++i)
      EXPECT_GE(closed[i] * (1 + 1e-12), least_s(static_cast<double>(list[i].members.size()),
                                                 list[i].bytes, kAlpha, kBandwidth))
          << to_string(algorithm) << " N=" << list[i].members.size() << " " << list[i].bytes;
  }
}

// Sanders, Speck, Traeff 2009: the start-ups grow with log N where the ring's grow with N, and with
// many chunks the data cost 2 S/B, every port carrying them twice without a pause. A round carries
// S/(2 chunks), so 2 S/B are 4 chunks rounds.
TEST(Star, DoubleBinaryTreeHasLogarithmicStartUpsAndFullBandwidth) {
  for (const std::uint32_t n : {2U, 3U, 6U, 16U, 64U, 255U}) {
    const double height = std::ceil(std::log2(n));
    for (const std::int64_t chunks : {1, 4, 16, 64, 256}) {
      const double rounds = buffered_s(plan_double_binary_tree(n, chunks), 0, 1);
      const auto per_direction = 2.0 * static_cast<double>(chunks);
      EXPECT_GE(rounds, 2 * (n - 1.0) / n * per_direction) << n << " ranks, " << chunks;
      EXPECT_GE(rounds, 2 * (height - 1)) << n << " ranks, " << chunks;
      EXPECT_LE(rounds, 2 * per_direction + 4 * height) << n << " ranks, " << chunks;
    }
  }
}

TEST(Star, ClosedFormsHoldUpTo4096Ranks) {
  const auto cluster = build(star_spec(4096));
  for (const std::uint32_t n : {256U, 1000U, 1024U, 4096U})
    for (const double bytes : kSizes) {
      const std::vector<Endpoint> members = first_gpus(n);
      const auto seconds = [&](const Plan& plan) {
        return PreparedPlan(plan, *cluster, members).closed_s(bytes);
      };
      EXPECT_TRUE(close_to(seconds(plan_ring(n)), ring_s(n, bytes, kAlpha, kBandwidth), 1e-9));
      EXPECT_TRUE(close_to(seconds(plan_halving_doubling(n)),
                           halving_doubling_s(n, bytes, kAlpha, kBandwidth), 1e-9));
      EXPECT_TRUE(
          close_to(seconds(plan_hierarchical(n, 1)), ring_s(n, bytes, kAlpha, kBandwidth), 1e-9));
    }
}

TEST(Star, ClosedDoubleBinaryTreeHoldsUpTo4096Ranks) {
  const auto cluster = build(star_spec(4096));
  for (const std::uint32_t n : {256U, 1000U, 4096U}) {
    const Plan plan = plan_double_binary_tree(n, 8);
    PreparedPlan prepared(plan, *cluster, first_gpus(n));
    for (const double bytes : kSizes)
      EXPECT_TRUE(close_to(prepared.closed_s(bytes),
                           buffered_s(plan, kAlpha, bytes / (16 * kBandwidth)), 1e-9));
  }
}

TEST(Star, GathersTreesAndBarriersEqualTheirClosedForms) {
  const auto cluster = build(star_spec(64));
  std::vector<Timed> list;
  std::vector<double> expected;
  for (const std::uint32_t n : {2U, 3U, 6U, 16U, 64U}) {
    const std::vector<Endpoint> members = first_gpus(n);
    const double levels = std::ceil(std::log2(n));
    for (const double bytes : kSizes) {
      list.push_back({plan_all_gather(n), members, bytes});
      expected.push_back((n - 1) * (kAlpha + bytes / (n * kBandwidth)));
      list.push_back({plan_bruck_all_gather(n), members, bytes});
      expected.push_back(levels * kAlpha + (n - 1) * bytes / (n * kBandwidth));
      if (n % 2 == 0) {
        list.push_back({plan_neighbour_all_gather(n), members, bytes});
        expected.push_back(n / 2 * kAlpha + (n - 1) * bytes / (n * kBandwidth));
      }
      list.push_back({plan_gtop_k(n), members, bytes});
      // The textbook's 2 log2 N messages, less the latencies that leaves hide where N is no power
      // of two: they send before their partner has come to the round.
      expected.push_back(buffered_s(plan_gtop_k(n), kAlpha, bytes / kBandwidth));
      if (std::has_single_bit(n)) {
        EXPECT_TRUE(close_to(expected.back(), 2 * levels * (kAlpha + bytes / kBandwidth), 1e-12));
      }
    }
    list.push_back({plan_barrier(n), members, 0});
    expected.push_back(levels * kAlpha);
  }
  const std::vector<double> closed = collective_times(*cluster, Fidelity::closed, list);
  const std::vector<double> flow =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::flow, list); });
  const std::vector<double> step =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::step, list); });
  for (std::size_t i = 0; i < list.size(); ++i) {
    SCOPED_TRACE(list[i].plan.name + " of " + std::to_string(list[i].members.size()));
    EXPECT_TRUE(close_to(closed[i], expected[i], 1e-9));
    EXPECT_TRUE(close_to(flow[i], expected[i], 1e-6));
    EXPECT_TRUE(close_to(step[i], expected[i], 1e-6));
  }
}

// ---- rings of unequal hops: the heaviest walk

double walk_of(const Cluster& cluster, const std::vector<Endpoint>& members, double bytes) {
  const std::size_t n = members.size();
  std::vector<double> alpha, wire;
  for (std::size_t r = 0; r < n; ++r) {
    Route route;
    cluster.route(members[r], members[(r + 1) % n], route);
    alpha.push_back(route.latency);
    wire.push_back(bytes / (static_cast<double>(n) * cluster.bandwidth(route)));
  }
  return heaviest_walk_s(alpha, wire, 2 * (n - 1));
}

void ring_is_its_heaviest_walk(const ClusterSpec& spec) {
  const auto cluster = build(spec);
  const std::vector<Endpoint> members = first_gpus(cluster->gpus());
  std::vector<Timed> list;
  for (const double bytes : kSizes)
    list.push_back({plan_ring(static_cast<std::uint32_t>(members.size())), members, bytes});
  const std::vector<double> closed = collective_times(*cluster, Fidelity::closed, list);
  const std::vector<double> flow =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::flow, list); });
  const std::vector<double> step =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::step, list); });
  for (std::size_t i = 0; i < list.size(); ++i) {
    const double expected = walk_of(*cluster, members, list[i].bytes);
    SCOPED_TRACE(std::to_string(list[i].bytes) + " bytes");
    EXPECT_TRUE(close_to(closed[i], expected, 1e-9));
    EXPECT_TRUE(close_to(flow[i], expected, 1e-6));
    EXPECT_TRUE(close_to(step[i], expected, 1e-6));
  }
}

TEST(Ring, IsItsHeaviestWalkOnATorus) {
  ClusterSpec spec = star_spec(16);
  spec.network.switch_latency = 3e-6;
  const Json topology{{"kind", "torus"}, {"dimensions", {4, 4}}, {"link_bandwidth", "0.8GB/s"}};
  spec.network.topology = read_topology(ObjectReader(topology, "test"));
  ring_is_its_heaviest_walk(spec);
}

// 30 messages walk past leaf borders with two further switches, 10 us + 2 x 2 us, and the others.
TEST(Ring, IsItsHeaviestWalkOnAFatTree) {
  ring_is_its_heaviest_walk(fat_tree_spec(16, 4, 1));
  const auto cluster = build(fat_tree_spec(16, 4, 1));
  EXPECT_TRUE(close_to(walk_of(*cluster, first_gpus(16), 1e8),
                       30 * (10e-6 + 1e8 / 16 / 1.25e9) + 8 * 4e-6, 1e-12));
}

// The worst latency and the worst bandwidth stand on different hops.
TEST(Ring, IsItsHeaviestWalkWithUnequalLinks) {
  ClusterSpec spec = star_spec(6);
  spec.nodes = {node_group(3), node_group(1), node_group(2)};
  spec.nodes[1].name = "slow";
  spec.nodes[1].nic = 0.3e9;
  spec.nodes[1].pcie = {6e9, 1e-6, 0, 1};
  spec.nodes[2].name = "far";
  spec.nodes[2].pcie = {12e9, 2e-4, 0, 1};
  ring_is_its_heaviest_walk(spec);
}

// Three of four hops are inside a node: their latency is not the wire's.
TEST(Ring, IsItsHeaviestWalkThroughNodesOfFourGpus) {
  ClusterSpec spec = star_spec(8);
  spec.nodes = {node_group(8, 4, 12e9)};
  spec.nodes[0].pcie.latency = 1.5e-6;
  ring_is_its_heaviest_walk(spec);
}

// Nodes whose ports and latencies are drawn: the walk against closed form and every message.
TEST(Ring, IsItsHeaviestWalkOnRandomHops) {
  std::mt19937 random(20270110);
  std::uniform_real_distribution<double> log_bandwidth(std::log(1e8), std::log(1e10)),
      log_latency(std::log(1e-6), std::log(1e-3)), log_bytes(std::log(1e3), std::log(1e8));
  for (std::uint32_t n = 2; n <= 64; n += n < 12 ? 1 : 13) {
    ClusterSpec spec = star_spec(n);
    spec.nodes.clear();
    for (std::uint32_t i = 0; i < n; ++i) {
      NodeGroup node = node_group(1);
      node.name = "node" + std::to_string(i);
      node.nic = std::exp(log_bandwidth(random));
      node.pcie = {kInfinity, std::exp(log_latency(random)), 0, 1};
      spec.nodes.push_back(node);
    }
    const auto cluster = build(spec);
    const std::vector<Endpoint> members = first_gpus(n);
    std::vector<Timed> list;
    for (int i = 0; i < 4; ++i)
      list.push_back({plan_ring(n), members, std::exp(log_bytes(random))});
    const std::vector<double> closed = collective_times(*cluster, Fidelity::closed, list);
    const std::vector<double> step =
        in_child([&] { return collective_times(*cluster, Fidelity::step, list); });
    for (std::size_t i = 0; i < list.size(); ++i) {
      const double expected = walk_of(*cluster, members, list[i].bytes);
      EXPECT_TRUE(close_to(closed[i], expected, 1e-9)) << n;
      EXPECT_TRUE(close_to(step[i], expected, kStepTolerance)) << n;
    }
  }
}

// Between two sizes with the same heaviest walk the end is on its line.
TEST(Ring, OfManyRanksIsEvaluatedAtFewSizes) {
  ClusterSpec spec = star_spec(256);
  spec.nodes = {node_group(64, 4, 12e9)};
  spec.nodes[0].pcie.latency = 1.5e-6;
  const auto cluster = build(spec);
  const std::vector<Endpoint> members = first_gpus(256);
  PreparedPlan plan(plan_ring(256), *cluster, members);
  for (double bytes = 1e3; bytes < 1e9; bytes *= 7) (void)plan.closed_s(bytes);
  for (double bytes = 3e3; bytes < 1e8; bytes *= 3)
    EXPECT_TRUE(close_to(plan.closed_s(bytes), walk_of(*cluster, members, bytes), 1e-9)) << bytes;
}

// ---- hierarchical inside and between nodes

TEST(Hierarchical, EqualsItsClosedFormOnFourByFourOverPcie) {
  ClusterSpec spec = star_spec(4);
  constexpr double kPcie = 12e9, kPcieAlpha = 1.5e-6;
  spec.nodes = {node_group(4, 4, kPcie)};
  spec.nodes[0].pcie.latency = kPcieAlpha;
  const auto cluster = build(spec);
  const std::vector<Endpoint> members = first_gpus(16);
  Route inside, between;
  cluster->route(0, 1, inside);
  cluster->route(0, 4, between);
  std::vector<Timed> list;
  for (const double bytes : kSizes)
    list.push_back({plan_all_reduce({AllReduce::hierarchical, 8}, nodes_of(*cluster, members)),
                    members, bytes});
  const std::vector<double> closed = collective_times(*cluster, Fidelity::closed, list);
  const std::vector<double> flow =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::flow, list); });
  const std::vector<double> step =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::step, list); });
  for (std::size_t i = 0; i < list.size(); ++i) {
    const double s = list[i].bytes;
    // Reduce-scatter and all-gather over four GPUs; four rings of S/4 share one port.
    const double expected = 2 * 3 * (inside.latency + s / 4 / kPcie) +
                            2 * 3 * (between.latency + 4 * (s / 16) / kBandwidth);
    SCOPED_TRACE(std::to_string(s) + " bytes");
    EXPECT_TRUE(close_to(closed[i], expected, 1e-9));
    EXPECT_TRUE(close_to(closed_form_s({AllReduce::hierarchical, 8}, 16, s,
                                       {between.latency, kBandwidth}, 4, {inside.latency, kPcie}),
                         expected, 1e-9));
    EXPECT_TRUE(close_to(flow[i], expected, 1e-6));
    EXPECT_TRUE(close_to(step[i], expected, 1e-6));
  }
}

// Those of a node need not follow one another, nor be as many as on the others.
TEST(Hierarchical, NodesAreFoundWhereverTheirRanksAre) {
  const AllReduceOptions options{AllReduce::hierarchical, 8};
  const Plan in_order = plan_all_reduce(options, {0, 0, 1, 1});
  const Plan mixed = plan_all_reduce(options, {0, 1, 0, 1});
  ASSERT_EQ(in_order.rounds.size(), mixed.rounds.size());
  const std::uint32_t place[] = {0, 2, 1, 3};  // of the ranks in order
  for (std::size_t r = 0; r < mixed.rounds.size(); ++r)
    for (std::size_t m = 0; m < mixed.rounds[r].messages.size(); ++m) {
      const PlanMessage &a = in_order.rounds[r].messages[m], &b = mixed.rounds[r].messages[m];
      EXPECT_EQ(place[a.from], b.from);
      EXPECT_EQ(place[a.to], b.to);
      EXPECT_EQ(a.share, b.share);
    }
}

// ---- an algorithm that contends with itself

TEST(FatTree, HalvingDoublingAtFlowStaysWithinItsOwnBoundOfStep) {
  const auto cluster = build(fat_tree_spec(16, 4, 4));
  for (const double bytes : kSizes) {
    const std::vector<Timed> list{{plan_halving_doubling(16), first_gpus(16), bytes}};
    const std::vector<double> flow = on_both_networks([&] {
      Wire wire(*cluster, Fidelity::flow);
      PreparedPlan plan(list[0].plan, *cluster, list[0].members);
      const double* end = wire.collective(plan, bytes);
      wire.run();
      return std::vector<double>{*end, wire.transport.flow_error_bound()};
    });
    const double step =
        on_both_networks([&] { return collective_times(*cluster, Fidelity::step, list); }).at(0);
    EXPECT_LE(std::abs(flow.at(0) / step - 1), flow.at(1) + 1e-6) << bytes;
    EXPECT_LT(flow.at(1), 1);
    // The far exchanges cross the 4:1 tree: slower than on a star.
    EXPECT_GT(step, halving_doubling_s(16, bytes, kAlpha, kBandwidth));
  }
}

}  // namespace
}  // namespace paceline
