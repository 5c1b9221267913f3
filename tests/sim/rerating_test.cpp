// Operations whose rate changes while they run.
#include <random>

#include "sim/time/operation.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

struct Silent final : StreamListener {
  void operation_started(Stream&, TimedOperation&) override {}
  void operation_finished(Stream& stream, TimedOperation&) override {
    if (stream.idle()) idle = true;
  }
  bool idle = false;
};

// A finish event made obsolete by a faster rate must not end the operation
// behind.
TEST(Rerating, KeepsTheWorkOfAWholeQueue) {
  std::mt19937 random(4);
  for (int trial = 0; trial < 200; ++trial) {
    Clock clock;
    OperationPool pool;
    Silent listener;
    Stream stream(clock, listener, 0);
    double left = 0;
    for (int i = 0; i < 6; ++i) {
      const auto operation = pool.make();
      operation->work = std::uniform_real_distribution<double>(0.1, 1)(random);
      left += operation->work;
      stream.enqueue(operation);
    }
    double date = 0, rate = 1;
    for (int i = 0; i < 20 && left > 0; ++i) {
      const double span = std::uniform_real_distribution<double>(0, 0.5)(random);
      if (span * rate >= left) break;
      left -= span * rate;
      date += span;
      rate = std::uniform_real_distribution<double>(0.2, 3)(random);
      clock.advance_to(date);
      ASSERT_FALSE(stream.idle()) << "trial " << trial << ": ended with work left " << left;
      stream.set_rate(rate);
    }
    clock.advance_to(date + left / rate * (1 - 1e-9));
    EXPECT_FALSE(stream.idle()) << "trial " << trial;
    clock.run();
    EXPECT_TRUE(close_to(clock.now(), date + left / rate, 1e-9) || clock.now() > date)
        << "trial " << trial;
    EXPECT_TRUE(stream.idle());
  }
}

struct Borders {
  std::vector<double> dates;  // at which worker 0 began each step, and ended the last
};

Program one_local_step_and_all_reduce(Worker& w, Borders* borders) {
  for (const Step step : w.steps()) {
    if (w.rank() == 0 && step.index == 0) borders->dates.push_back(w.now());
    w.forward();
    co_await w.backward();
    co_await w.all_reduce_mean(w.zeros(w.model().elements));
    if (w.rank() == 0) borders->dates.push_back(w.now());
  }
}

TEST(Stragglers, SlowTheIterationsInTheirWindowAndNoOthers) {
  const double c = 0.1, m = 6 * (kAlpha + 1e6 / kBandwidth);
  Borders borders;
  JobSpec job = make_job(uniform_model(1, 1'000'000, 0.04, 0.06), first_gpus(4), 8,
                         [&](Worker& w) { return one_local_step_and_all_reduce(w, &borders); });
  ClusterSpec spec = star_spec(4);
  // Twice as slow from the middle of step 2's compute to the middle of step
  // 4's.
  const double from = 2 * (c + m) + c / 2;
  const double step2 = c / 2 + 2 * (c / 2) + m, step3 = 2 * c + m;
  const double until = from + c + m + step3 + 0.5 * c;  // a quarter of step 4's work is done then
  const double step4 = 0.5 * c + 0.75 * c + m;
  spec.stragglers = {{2, 2.0, from, until}};
  run(build(spec), {job}, Fidelity::closed);
  ASSERT_EQ(borders.dates.size(), 9U);
  const double expected[] = {c + m, c + m, step2, step3, step4, c + m, c + m, c + m};
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_TRUE(close_to(borders.dates[i + 1] - borders.dates[i], expected[i], 1e-9)) << i;
}

}  // namespace
}  // namespace paceline
