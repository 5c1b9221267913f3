// What slows a run down besides the network: interference, stragglers, slower devices, jitter.
#include <random>

#include "sim/time/jitter.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

// ---- CoCoD's "a %": compute runs at rate 1 - a while sending

Program computes_while_sending(Worker& w, double seconds) {
  for ([[maybe_unused]] const Step step : w.steps()) {
    const Pending<Tensor> mean = w.all_reduce_mean(w.zeros(w.model().elements));
    const Tensor work = w.op("work", Activity::forward, {}, 1, seconds, {});
    co_await mean;
    co_await w.finished(work);
  }
}

TEST(Interference, ComputeRunsAtOneMinusAWhileSending) {
  const double m = 6 * (kAlpha + 2.5e7 / kBandwidth);  // 100 MB over 4 workers
  for (const double a : {0.0, 0.05, 0.3, 0.9})
    for (const double c : {0.2 * m, 0.9 * m, m, 1.5 * m, 4 * m}) {
      JobSpec job = make_job(uniform_model(1, 25'000'000, 0, 0), first_gpus(4), 3,
                             [c](Worker& w) { return computes_while_sending(w, c); });
      job.slow_while_sending = a;
      const JobResult result = run(build(star_spec(4)), {job}, Fidelity::closed).jobs[0];
      // Done within m at the lower rate, or m (1-a) done by then and the rest at full rate.
      const double expected = c <= (1 - a) * m ? m : c + a * m;
      EXPECT_TRUE(close_to(result.iteration_time_s, expected, 1e-9)) << "a=" << a << " c=" << c;
    }
}

// ---- stragglers

TEST(Stragglers, WaitingIsBookedOnTheOthers) {
  ClusterSpec spec = star_spec(4);
  spec.stragglers = {{1, 3.0, 0, kInfinity}};
  JobSpec job = make_job(uniform_model(1, 1'000'000, 0.04, 0.06), first_gpus(4), 5, wait_free);
  const JobResult result = run(build(spec), {job}, Fidelity::closed).jobs[0];
  const double m = 6 * (kAlpha + 1e6 / kBandwidth);
  EXPECT_TRUE(close_to(result.iteration_time_s, 0.3 + m, 1e-9));
  EXPECT_TRUE(close_to(result.fastest_compute_s, 0.1, 1e-9));
  EXPECT_TRUE(close_to(result.slowest_compute_s, 0.3, 1e-9));
  EXPECT_TRUE(close_to(result.per_iteration.waiting, 3 * 0.2 / 4, 1e-9));
  EXPECT_TRUE(close_to(result.per_iteration.exposed_wire, m, 1e-9));
}

TEST(Devices, ASlowerGpuTakesLongerAndASmallerBatchShareLess) {
  ClusterSpec spec = star_spec(4);
  spec.nodes = {node_group(3), node_group(1)};
  spec.nodes[1].name = "old";
  spec.nodes[1].speed = 0.5;
  JobSpec job = make_job(uniform_model(1, 1'000'000, 0.04, 0.06), first_gpus(4), 5, wait_free);
  const double m = 6 * (kAlpha + 1e6 / kBandwidth);
  EXPECT_TRUE(
      close_to(run(build(spec), {job}, Fidelity::closed).jobs[0].iteration_time_s, 0.2 + m, 1e-9));
  // Shares in proportion to speed: everybody is ready at the same date.
  job.batch_share = {8.0 / 7, 8.0 / 7, 8.0 / 7, 4.0 / 7};
  const JobResult even = run(build(spec), {job}, Fidelity::closed).jobs[0];
  EXPECT_TRUE(close_to(even.iteration_time_s, 0.8 / 7 + m, 1e-9));
  EXPECT_NEAR(even.per_iteration.waiting, 0, 1e-12);
}

// ---- bandwidths that change

// 100 MB over 4 workers, again and again; the first of four steps is not measured.
SimulationResult with_changes(std::vector<LinkEvent> events) {
  ClusterSpec spec = star_spec(4);
  spec.link_events = std::move(events);
  JobSpec job = make_job(uniform_model(1, 25'000'000, 0, 0), first_gpus(4), 4, wait_free);
  job.schedule.warm_up = 1;
  return run(build(spec), {job}, Fidelity::flow);
}
constexpr double kRing = 6 * (kAlpha + 2.5e7 / kBandwidth);

TEST(LinkUse, HasTheLargestBandwidthOfTheMeasuredIterations) {
  for (const LinkUse& use : with_changes({{"*", 1.5 * kRing, 2}, {"*", 1.8 * kRing, 0.5}}).links) {
    EXPECT_EQ(use.bandwidth, 2 * kBandwidth) << use.name;
    EXPECT_LT(use.utilisation, 1);
  }
}

TEST(LinkUse, ForgetsWhatWasBeforeAndAfterTheMeasuredIterations) {
  const SimulationResult result = with_changes({{"*", 0, 3}, {"*", 0.2 * kRing, 0.5}});
  ASSERT_FALSE(result.links.empty());
  for (const LinkUse& use : result.links) {
    EXPECT_EQ(use.bandwidth, kBandwidth / 2) << use.name;
    EXPECT_GT(use.utilisation, 0.99);
    EXPECT_LE(use.utilisation, 1);
  }
}

// ---- jitter

double factor(const Jitter& jitter, std::uint64_t seed, std::uint64_t worker, std::uint64_t step) {
  return jitter_factor(jitter, 1, 1, seed, worker, step);
}

TEST(JitterFactor, IsAPureFunctionOfSeedWorkerAndStep) {
  for (const auto distribution : {Jitter::Distribution::normal, Jitter::Distribution::lognormal,
                                  Jitter::Distribution::gamma}) {
    const Jitter jitter{distribution, 0.2};
    std::vector<double> forwards, backwards;
    for (std::uint64_t i = 0; i < 64; ++i) forwards.push_back(factor(jitter, 5, i % 8, i / 8));
    for (std::uint64_t i = 64; i-- > 0;) backwards.push_back(factor(jitter, 5, i % 8, i / 8));
    std::reverse(backwards.begin(), backwards.end());
    EXPECT_EQ(forwards, backwards);
    std::sort(forwards.begin(), forwards.end());
    EXPECT_EQ(std::unique(forwards.begin(), forwards.end()), forwards.end()) << "values repeat";
    EXPECT_NE(factor(jitter, 5, 1, 2), factor(jitter, 6, 1, 2));
    EXPECT_NE(factor(jitter, 5, 1, 2), factor(jitter, 5, 2, 1));
  }
}

TEST(JitterFactor, HasMeanOneAndTheGivenSpread) {
  for (const auto distribution :
       {Jitter::Distribution::normal, Jitter::Distribution::lognormal, Jitter::Distribution::gamma})
    for (const double cv : {0.05, 0.25}) {
      const Jitter jitter{distribution, cv};
      constexpr int kSamples = 20'000;
      double sum = 0, squares = 0;
      for (int i = 0; i < kSamples; ++i) {
        const double x = factor(jitter, 42, static_cast<std::uint64_t>(i % 16),
                                static_cast<std::uint64_t>(i / 16));
        EXPECT_GT(x, 0);
        sum += x;
        squares += x * x;
      }
      const double mean = sum / kSamples;
      const double deviation = std::sqrt(squares / kSamples - mean * mean);
      // Four standard errors of the mean; five of the deviation (0.7 % of it for a normal).
      EXPECT_NEAR(mean, 1, 4 * cv / std::sqrt(kSamples)) << static_cast<int>(distribution);
      EXPECT_NEAR(deviation, cv, 0.05 * cv) << static_cast<int>(distribution);
    }
}

TEST(JitterFactor, FollowsTheQuartilesOfTheProfile) {
  const Jitter jitter{Jitter::Distribution::profile, 0};
  std::vector<double> samples;
  for (std::uint64_t i = 0; i < 20'000; ++i)
    samples.push_back(jitter_factor(jitter, 1 / 1.1, 1.1, 1, i % 16, i / 16));
  std::sort(samples.begin(), samples.end());
  EXPECT_NEAR(samples[5'000], 1 / 1.1, 5e-3);
  EXPECT_NEAR(samples[10'000], 1, 5e-3);
  EXPECT_NEAR(samples[15'000], 1.1, 5e-3);
}

TEST(JitterFactor, NoneAndZeroSpreadAreExactlyOne) {
  EXPECT_EQ(factor({Jitter::Distribution::none, 0.3}, 1, 2, 3), 1);
  EXPECT_EQ(factor({Jitter::Distribution::gamma, 0}, 1, 2, 3), 1);
  EXPECT_NEAR(factor({Jitter::Distribution::lognormal, 0}, 1, 2, 3), 1, 1e-15);
  EXPECT_NEAR(factor({Jitter::Distribution::normal, 0}, 1, 2, 3), 1, 1e-15);
}

TEST(JitteredRun, HasQuartilesAroundItsMedianAndDependsOnTheSeedOnly) {
  JobSpec job = make_job(uniform_model(2, 100'000, 2e-3, 3e-3), first_gpus(4), 200, wait_free);
  job.jitter = {Jitter::Distribution::gamma, 0.1};
  const JobResult first = run(build(star_spec(4)), {job}, Fidelity::closed, true).jobs[0];
  EXPECT_EQ(first.simulated_steps, 200);  // never extrapolated
  EXPECT_LT(first.p25_s, first.median_s);
  EXPECT_LT(first.median_s, first.p75_s);
  // The slowest of four decides: later than the undisturbed step.
  EXPECT_GT(first.median_s, 10e-3);
  job.seed = 2;
  EXPECT_NE(run(build(star_spec(4)), {job}, Fidelity::closed).jobs[0].total_time_s,
            first.total_time_s);
  job.seed = 1;
  EXPECT_EQ(run(build(star_spec(4)), {job}, Fidelity::closed).jobs[0].total_time_s,
            first.total_time_s);
}

}  // namespace
}  // namespace paceline
