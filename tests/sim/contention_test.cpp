// Transfers that share links, against fluid answers worked out by hand (max-min fair shares).
#include <random>

#include "tests/sim/both_networks.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

constexpr double kBytes = 1e8;
constexpr double kRing16 = 30 * (kAlpha + kBytes / 16 / kBandwidth);

std::vector<double> at_both(const std::function<std::vector<double>(Fidelity)>& work) {
  std::vector<double> both;
  for (const Fidelity fidelity : {Fidelity::flow, Fidelity::step}) {
    const std::vector<double> one = on_both_networks([&] { return work(fidelity); });
    both.insert(both.end(), one.begin(), one.end());
  }
  return both;
}

Program one_all_reduce(Worker& w) {
  for ([[maybe_unused]] const Step step : w.steps())
    co_await w.all_reduce_mean(w.zeros(w.model().elements));
}

TEST(Contention, TwoRingsOnTheSamePortsTakeTwiceTheTransferAndOnceTheLatency) {
  // Both at flow and at step fidelity: with equal rings the fluid answer is exact.
  for (const double seconds : at_both([](Fidelity fidelity) {
         const auto cluster = build(star_spec(16));
         Wire wire(*cluster, fidelity);
         PreparedPlan one(plan_ring(16), *cluster, first_gpus(16));
         PreparedPlan two(plan_ring(16), *cluster, first_gpus(16));
         const double* first = wire.collective(one, kBytes);
         const double* second = wire.collective(two, kBytes);
         wire.run();
         return std::vector<double>{*first, *second};
       }))
    EXPECT_TRUE(close_to(seconds, 30 * (kAlpha + 2 * kBytes / 16 / kBandwidth), 1e-6));
}

TEST(Contention, TwoJobsOnTheSameGpusSlowEachOtherDown) {
  for (const double seconds : at_both([](Fidelity fidelity) {
         const JobSpec job =
             make_job(uniform_model(1, 25'000'000, 0, 0), first_gpus(16), 3, one_all_reduce);
         const SimulationResult result = run(build(star_spec(16)), {job, job}, fidelity);
         return std::vector<double>{result.jobs[0].iteration_time_s};
       }))
    EXPECT_TRUE(close_to(seconds, 30 * (kAlpha + 2 * kBytes / 16 / kBandwidth), 1e-6));
}

// Ring flow 0 -> 1 and one message 0 -> 1 share two ports. The message starts alone, then both get
// half; when it has gone the ring has the port to itself.
TEST(Contention, RingBesideOneMessage) {
  const double ring_starts = 30 * kAlpha, ring_bytes = 30 * kBytes / 16;
  const double alone = (ring_starts - kAlpha) * kBandwidth;
  const double message = ring_starts + (kBytes - alone) / (kBandwidth / 2);
  const double ring_left = ring_bytes - (message - ring_starts) * kBandwidth / 2;
  const double ring = message + ring_left / kBandwidth;
  EXPECT_NEAR(message, 0.1597, 1e-4);
  EXPECT_NEAR(ring, 0.2300, 1e-4);
  const std::vector<double> both = at_both([](Fidelity fidelity) {
    const auto cluster = build(star_spec(16));
    Wire wire(*cluster, fidelity);
    PreparedPlan plan(plan_ring(16), *cluster, first_gpus(16));
    const double* r = wire.collective(plan, kBytes);
    const double* m = wire.send(0, 1, kBytes);
    wire.run();
    return std::vector<double>{*r, *m, wire.transport.flow_error_bound()};
  });
  EXPECT_TRUE(close_to(both[0], ring, 1e-6));
  EXPECT_TRUE(close_to(both[1], message, 1e-6));
  const double bound = both[2];
  EXPECT_TRUE(close_to(bound, 30 * kAlpha / kRing16, 1e-9));
  // Message by message the ring leaves gaps of one latency each: within flow's own bound.
  EXPECT_TRUE(close_to(both[3], both[0], bound));
  EXPECT_TRUE(close_to(both[4], both[1], bound));
}

TEST(Contention, OneSlowPortSetsThePaceOfTheRing) {
  ClusterSpec spec = star_spec(16);
  spec.nodes = {node_group(15), node_group(1)};
  spec.nodes[1].name = "slow";
  spec.nodes[1].nic = kBandwidth / 2;
  for (const double seconds : at_both([&](Fidelity fidelity) {
         return collective_times(*build(spec), fidelity, {{plan_ring(16), first_gpus(16), kBytes}});
       }))
    EXPECT_TRUE(close_to(seconds, 30 * (kAlpha + kBytes / 16 / (kBandwidth / 2)), 1e-6));
}

// 16 workers push 100 MB each, in equal shards to S servers: the servers' ports carry 16 x 100 MB.
TEST(Contention, IncastToOneTwoThreeAndFourServers) {
  for (const std::size_t servers : {1U, 2U, 3U, 4U}) {
    const double expected = 16 * kBytes / static_cast<double>(servers) / kBandwidth + kAlpha;
    for (const double seconds : at_both([&](Fidelity fidelity) {
           ClusterSpec spec = star_spec(16);
           spec.nodes.push_back(node_group(servers, 0));
           spec.nodes[1].name = "server";
           spec.nodes[1].gpu.clear();
           const auto cluster = build(spec);
           Wire wire(*cluster, fidelity);
           std::vector<const double*> arrivals;
           for (Endpoint worker = 0; worker < 16; ++worker)
             for (std::size_t s = 0; s < servers; ++s)
               arrivals.push_back(wire.send(worker, cluster->host_of(16 + s),
                                            kBytes / static_cast<double>(servers)));
           wire.run();
           std::vector<double> dates;
           for (const double* date : arrivals) dates.push_back(*date);
           return dates;
         }))
      EXPECT_TRUE(close_to(seconds, expected, 1e-6)) << servers << " servers";
  }
}

TEST(Contention, PushesAndPullsUseTheTwoDirectionsOfAPort) {
  for (const double seconds : at_both([](Fidelity fidelity) {
         const auto cluster = build(star_spec(5));
         Wire wire(*cluster, fidelity);
         std::vector<const double*> arrivals;
         for (Endpoint worker = 1; worker < 5; ++worker) {
           arrivals.push_back(wire.send(worker, 0, kBytes));
           arrivals.push_back(wire.send(0, worker, kBytes));
         }
         wire.run();
         std::vector<double> dates;
         for (const double* date : arrivals) dates.push_back(*date);
         return dates;
       }))
    EXPECT_TRUE(close_to(seconds, kAlpha + 4 * kBytes / kBandwidth, 1e-6));
}

// A port is never idle while somebody has data for it: however the pushes are staggered (as long as
// they overlap), the last one ends when all bytes are through.
TEST(Contention, StaggeredIncastIsWorkConserving) {
  for (const double seconds : at_both([](Fidelity fidelity) {
         const auto cluster = build(star_spec(17));
         Wire wire(*cluster, fidelity);
         std::vector<const double*> arrivals(16);
         for (Endpoint worker = 1; worker <= 16; ++worker)
           wire.at(0.03 * (worker - 1), [&wire, &arrivals, worker] {
             arrivals[worker - 1] = wire.send(worker, 0, kBytes);
           });
         wire.run();
         double last = 0;
         for (const double* date : arrivals) last = std::max(last, *date);
         return std::vector<double>{last};
       }))
    EXPECT_TRUE(close_to(seconds, kAlpha + 16 * kBytes / kBandwidth, 1e-6));
}

// Progressive filling by hand: two messages into port 1, one of them from a port with two senders.
TEST(Contention, SharesAreMaxMinFair) {
  // a: 0 -> 1, b: 0 -> 2, c: 3 -> 2, with 3's port at a fifth. c gets 0.2 B, b and a 0.5 B each;
  // nobody waits for what c leaves over at port 2.
  ClusterSpec spec = star_spec(4);
  spec.nodes = {node_group(3), node_group(1)};
  spec.nodes[1].name = "slow";
  spec.nodes[1].nic = kBandwidth / 5;
  for (const Fidelity fidelity : {Fidelity::flow, Fidelity::step}) {
    const std::vector<double> dates = on_both_networks([&] {
      const auto cluster = build(spec);
      Wire wire(*cluster, fidelity);
      const double* a = wire.send(0, 1, kBytes);
      const double* b = wire.send(0, 2, kBytes / 2);
      const double* c = wire.send(3, 2, kBytes);
      wire.run();
      return std::vector<double>{*a, *b, *c};
    });
    const double b_ends = kAlpha + kBytes / 2 / (kBandwidth / 2);
    EXPECT_TRUE(close_to(dates[1], b_ends, 1e-6));
    EXPECT_TRUE(close_to(dates[0], b_ends + (kBytes / 2) / kBandwidth, 1e-6));
    EXPECT_TRUE(close_to(dates[2], kAlpha + kBytes / (kBandwidth / 5), 1e-6));
  }
}

// Latency must not weight the shares (SimGrid's own latency would): two messages into one port, one
// of them from ten times as far away.
TEST(Contention, DistanceDoesNotChangeTheShare) {
  ClusterSpec spec = star_spec(3);
  spec.nodes = {node_group(2), node_group(1)};
  spec.nodes[1].name = "far";
  spec.nodes[1].pcie = {100e9, 9 * kAlpha, 0, 1};
  const std::vector<double> dates = on_both_networks([&] {
    const auto cluster = build(spec);
    Route far;
    cluster->route(2, 0, far);
    Wire wire(*cluster, Fidelity::flow);
    const double* near = wire.send(1, 0, kBytes);
    const double* distant = wire.send(2, 0, kBytes);
    wire.run();
    return std::vector<double>{*near, *distant, far.latency};
  });
  const double head_start = (dates[2] - kAlpha) * kBandwidth;
  const double near_ends = dates[2] + (kBytes - head_start) / (kBandwidth / 2);
  EXPECT_TRUE(close_to(dates[0], near_ends, 1e-6));
  EXPECT_TRUE(close_to(dates[1], kAlpha + 2 * kBytes / kBandwidth, 1e-6));
}

// SimGrid bounds a flow by what its links had when it began, unless told otherwise.
TEST(Contention, AMessageUnderWayGetsWhatItsLinkRegains) {
  const std::vector<double> dates = on_both_networks([] {
    const auto cluster = build(star_spec(2));
    Wire wire(*cluster, Fidelity::flow);
    Route route;
    cluster->route(0, 1, route);
    wire.transport.scale_link(route.links[0], 0.5);
    const double* arrived = wire.send(0, 1, kBytes);
    wire.at(kAlpha + 0.04, [&] { wire.transport.scale_link(route.links[0], 1); });
    wire.run();
    return std::vector<double>{*arrived};
  });
  const double sent = 0.04 * kBandwidth / 2;
  EXPECT_TRUE(close_to(dates.at(0), kAlpha + 0.04 + (kBytes - sent) / kBandwidth, 1e-6));
}

// ---- rank skew

Program skewed(Worker& w, std::vector<double> late, std::vector<double>* ends) {
  co_await w.delay(late[w.rank()]);
  co_await w.all_reduce_mean(w.zeros(w.model().elements));
  (*ends)[w.rank()] = w.now();
}

TEST(Skew, ACollectiveEndsOneCollectiveAfterTheLastRankCame) {
  std::mt19937 random(11);
  for (const std::size_t n : {2U, 16U, 33U}) {
    std::vector<double> late(n);
    for (double& seconds : late) seconds = std::uniform_real_distribution<double>(0, 0.2)(random);
    const double all_reduce =
        2 * (static_cast<double>(n) - 1) * (kAlpha + kBytes / static_cast<double>(n) / kBandwidth);
    const double expected = *std::max_element(late.begin(), late.end()) + all_reduce;
    for (const Fidelity fidelity : {Fidelity::closed, Fidelity::flow, Fidelity::step}) {
      const std::vector<double> ends = in_child([&] {
        std::vector<double> dates(n, 0);
        run(build(star_spec(n)),
            {make_job(uniform_model(1, 25'000'000, 0, 0), first_gpus(n), 1,
                      [&](Worker& w) { return skewed(w, late, &dates); })},
            fidelity);
        return dates;
      });
      for (const double end : ends)
        EXPECT_TRUE(close_to(end, expected, 1e-6)) << to_string(fidelity) << " N=" << n;
    }
  }
}

// The law behind it, without our runtime's shortcut: every rank enters the ring's rounds when it
// comes, and the last one still sets the end.
TEST(Skew, HoldsForARingReplayedMessageByMessage) {
  std::mt19937 random(5);
  const std::size_t n = 16;
  const double message = kAlpha + kBytes / 16 / kBandwidth;
  std::vector<double> date(n);
  for (double& seconds : date) seconds = std::uniform_real_distribution<double>(0, 0.2)(random);
  const double last = *std::max_element(date.begin(), date.end());
  for (std::size_t k = 0; k < 2 * (n - 1); ++k) {
    std::vector<double> next(n, 0);
    for (std::size_t r = 0; r < n; ++r) {
      const double end = std::max(date[r], date[(r + 1) % n]) + message;
      next[r] = std::max(next[r], end);
      next[(r + 1) % n] = std::max(next[(r + 1) % n], end);
    }
    date = next;
  }
  EXPECT_TRUE(close_to(*std::max_element(date.begin(), date.end()), last + kRing16, 1e-12));
}

TEST(Skew, WithJitterTheSlowestWorkerOfEachStepSetsItsEnd) {
  std::vector<double> slowest(12, 0);
  JobSpec job = make_job(uniform_model(3, 1'000'000, 2e-3, 3e-3), first_gpus(8), 12, nullptr);
  job.jitter = {Jitter::Distribution::lognormal, 0.2};
  job.schedule.worker = [&](Worker& w) -> Program {
    return [](Worker& worker, std::vector<double>* most) -> Program {
      for (const Step step : worker.steps()) {
        const double start = worker.now();
        worker.forward();
        co_await worker.backward();
        double& longest = (*most)[static_cast<std::size_t>(step.index)];
        longest = std::max(longest, worker.now() - start);
        co_await worker.all_reduce_mean(worker.zeros(worker.model().elements));
      }
    }(w, &slowest);
  };
  const SimulationResult result = run(build(star_spec(8)), {job}, Fidelity::closed);
  const double all_reduce = 14 * (kAlpha + 12e6 / 8 / kBandwidth);
  double expected = 0;
  for (const double seconds : slowest) expected += seconds + all_reduce;
  EXPECT_TRUE(close_to(result.jobs[0].total_time_s, expected, 1e-9));
  EXPECT_GT(slowest[0], 15e-3);
  EXPECT_NE(slowest[0], slowest[1]);
}

}  // namespace
}  // namespace paceline
