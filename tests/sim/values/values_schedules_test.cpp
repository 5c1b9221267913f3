// Every schedule of the registry with real values: it learns, takes the same simulated time as
// without, and gives the same bits whatever the host's threads, the fidelity and the algorithm.
#include <cstring>

#include "base/error.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/values/cases.hpp"

namespace paceline {
namespace {

void expect_equal_bits(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(double)), 0);
}

TEST(ValuesSchedules, CasesNameEverySchedule) {
  for (const ScheduleEntry& entry : schedules()) {
    bool named = false;
    for (const Case& c : cases()) named = named || c.name == entry.name;
    EXPECT_TRUE(named) << entry.name;
  }
}

TEST(ValuesSchedules, EveryOneLearns) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(label(c));
    Training t = training_of(c);
    t.steps = 80;
    const Trained run = train(t);
    EXPECT_EQ(run.job.training.steps.size(), 80U);
    EXPECT_LT(run.job.training.steps.back().loss, 0.3 * run.job.training.steps.front().loss);
    EXPECT_EQ(run.job.training.diverged_step, -1);
    Training start = t;
    start.steps = 1;
    start.rate = [](std::int64_t) { return 1e-6; };
    EXPECT_LT(run.job.training.evaluations.back().loss,
              0.3 * train(start).job.training.evaluations.back().loss);
  }
}

TEST(ValuesSchedules, EveryOneGivesTheSameBitsOnAnyNumberOfThreads) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(label(c));
    Training t = training_of(c);
    t.evaluate_every = 5;
    const Trained first = train(t);
    for (const std::size_t threads : {0U, 1U, 2U, 8U}) {
      t.threads = threads;
      const Trained again = train(t);
      expect_equal_bits(again.bits(), first.bits());
      EXPECT_EQ(again.computed.evaluated, first.computed.evaluated) << threads << " threads";
      for (std::size_t i = 0; i < first.job.training.evaluations.size(); ++i) {
        EXPECT_EQ(again.job.training.evaluations[i].loss, first.job.training.evaluations[i].loss);
        EXPECT_EQ(again.job.training.evaluations[i].spread,
                  first.job.training.evaluations[i].spread);
      }
    }
  }
}

TEST(ValuesSchedules, SynchronousOnesGiveTheSameBitsAtAnyFidelityAndWithAnyAllReduce) {
  for (const Case& c : cases()) {
    if (c.asynchronous) continue;
    SCOPED_TRACE(label(c));
    Training t = training_of(c);
    t.threads = 2;
    const std::vector<double> first = train(t).bits();
    for (const Fidelity fidelity : {Fidelity::flow, Fidelity::step}) {
      t.fidelity = fidelity;
      expect_equal_bits(in_child([&] { return train(t).bits(); }), first);
    }
    t.fidelity = Fidelity::closed;
    for (const AllReduce algorithm : {AllReduce::double_binary_tree, AllReduce::halving_doubling}) {
      t.algorithm = algorithm;
      t.latency = 1e-5;
      expect_equal_bits(train(t).bits(), first);
    }
    t.stragglers = {{2, 1.7, 0.01, 0.06}};
    expect_equal_bits(train(t).bits(), first);
  }
}

TEST(ValuesSchedules, AsynchronousOnesGiveTheSameBitsWhenArrivalsAgree) {
  for (const Case& c : cases()) {
    if (!c.asynchronous) continue;
    SCOPED_TRACE(label(c));
    Training t = training_of(c);
    // One worker four times as fast as the next: the order of arrivals is the same on any network.
    t.workers = 2;
    t.stragglers = {{1, 4.3, 0, kInfinity}};
    t.latency = 1e-6;
    t.bandwidth = 1e9;
    const std::vector<double> first = train(t).bits();
    for (const Fidelity fidelity : {Fidelity::flow, Fidelity::step}) {
      t.fidelity = fidelity;
      expect_equal_bits(in_child([&] { return train(t).bits(); }), first);
    }
  }
}

std::vector<double> times(const Trained& run) {
  std::vector<double> all{run.simulation.end_date_s,
                          run.job.iteration_time_s,
                          run.job.median_s,
                          run.job.p25_s,
                          run.job.p75_s,
                          run.job.total_time_s,
                          run.job.sent_bytes,
                          run.job.messages,
                          run.job.rounds,
                          run.job.per_iteration.exposed_wire,
                          run.job.per_iteration.waiting};
  all.insert(all.end(), std::begin(run.job.per_iteration.busy),
             std::end(run.job.per_iteration.busy));
  return all;
}

TEST(ValuesSchedules, ValuesAndEvaluationsTakeNoSimulatedTime) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(label(c));
    Training t = training_of(c);
    t.evaluate_every = 1;
    t.threads = 1;
    const std::vector<double> with = times(train(t));
    t.values = false;
    const std::vector<double> without = times(train(t));
    expect_equal_bits(with, without);
  }
}

// ---- evaluations

TEST(ValuesEvaluation, IsDatedAndOfTheMeanOfTheWorkers) {
  Training t;
  t.schedule = "local-sgd";
  t.options = {{"period", 4}};
  t.evaluate_every = 3;
  t.steps = 11;
  t.skew = 1;
  const Trained run = train(t);
  const TrainingLog& log = run.job.training;
  EXPECT_EQ(log.weights, "mean of the workers");
  ASSERT_EQ(log.evaluations.size(), 4U);  // 3, 6, 9 and the end
  for (std::size_t e = 0; e < 3; ++e) {
    const std::size_t step = 3 * (e + 1);
    EXPECT_EQ(log.evaluations[e].step, static_cast<std::int64_t>(step));
    EXPECT_EQ(log.evaluations[e].time_s, log.steps[step - 1].time_s);
    std::vector<float> weights = run.computed.evaluated[e];
    weights.pop_back();
    EXPECT_TRUE(all_near(weights, mean_of(run.computed.weights, step), 1e-6));
  }
  EXPECT_EQ(log.evaluations[3].step, 11);
}

// Its weights are set by an operation that takes a second.
Program sets_weights_slowly(Worker& w) {
  for ([[maybe_unused]] const Step step : w.steps()) {
    w.forward();
    co_await w.backward();
    const Tensor weights = w.parameters();
    const Tensor next = w.op(
        "slow", Activity::arithmetic, std::span(&weights, 1), weights.elements(), 1.0,
        [](auto in, std::span<float> out) { std::copy(in[0].begin(), in[0].end(), out.begin()); });
    w.set_parameters(next);
  }
}

// The run is over with the first job, when weights of the second are still to be computed.
TEST(ValuesEvaluation, IsNotInvented) {
  Training t;
  t.program = sets_weights_slowly;
  t.evaluate_every = 1;
  t.steps = 5;
  SimulationSpec simulation;
  simulation.cluster = build(star_spec(2 * t.workers));
  JobSpec first = make_job(uniform_model(1, 1000, 0.5, 1.0), first_gpus(4, 4), 1, wait_free);
  simulation.jobs = {first, job_of(t)};
  simulation.fidelity = Fidelity::closed;
  const TrainingLog log = simulate(simulation).jobs[1].training;
  ASSERT_EQ(log.steps.size(), 2U);  // passed at 9 ms and a second later
  ASSERT_EQ(log.evaluations.size(), 1U);
  EXPECT_EQ(log.evaluations[0].step, 1);
  EXPECT_GT(log.evaluations[0].loss, 0);
}

TEST(ValuesSizes, OfMessagesAreCountedWhereThereAreValues) {
  Training t;
  t.steps = 3;
  const auto sizes = [&](const char* schedule, const char* selector, bool values) {
    t.schedule = schedule;
    t.options = {{"density", 0.1}, {"selector", selector}};
    t.values = values;
    return train(t).job.message_sizes;
  };
  EXPECT_EQ(sizes("slgs-sgd", "sort", true), MessageSizes::fixed);
  EXPECT_EQ(sizes("slgs-sgd", "gaussian_k", true), MessageSizes::actual);
  EXPECT_EQ(sizes("slgs-sgd", "gaussian_k", false), MessageSizes::expected);
  EXPECT_EQ(sizes("gtop-k", "sort", true), MessageSizes::fixed);
  EXPECT_EQ(sizes("gtop-k", "dgc_sample", true), MessageSizes::expected);
}

TEST(ValuesEvaluation, SpreadIsTheDistanceFromTheMean) {
  Training t;
  t.skew = 1;
  t.evaluate_every = 1;
  for (const std::size_t workers : {3U, 4U}) {
    t.workers = workers;
    const Trained run = train(t);
    for (const EvaluationPoint& e : run.job.training.evaluations) EXPECT_LT(e.spread, 1e-13);
  }
  t.schedule = "local-sgd";
  t.options = {{"period", 4}};
  const Trained run = train(t);
  for (std::size_t step = 1; step < 12; ++step) {
    const std::vector<double> mean = mean_of(run.computed.weights, step);
    double distance = 0, norm = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) {
      norm += mean[i] * mean[i];
      for (std::size_t rank = 0; rank < 4; ++rank) {
        const double d = static_cast<double>(run.computed.weights[rank][step][i]) - mean[i];
        distance += d * d / 4;
      }
    }
    const double spread = run.job.training.evaluations[step - 1].spread;
    if (step % 4 == 0)
      EXPECT_LT(spread, 1e-13);
    else
      EXPECT_TRUE(close_to(spread, distance / norm, 1e-4)) << step;
  }
}

TEST(ValuesEvaluation, OfServersTakesTheirWeights) {
  Training t;
  t.schedule = "od-sgd";
  t.servers = 2;
  t.options = {{"warm_up", 0}, {"local_rate", 0.5}};
  const Trained run = train(t);
  EXPECT_EQ(run.job.training.weights, "the servers'");
  EXPECT_FALSE(all_near(run.final_weights(), mean_of(run.computed.weights, 11), 1e-4));
}

// ---- divergence and failures

TEST(ValuesFailure, DivergenceIsReportedWithItsFirstStepAndWorker) {
  for (const char* schedule : {"s-sgd", "local-sgd", "lags-sgd", "gtop-k", "dgc"}) {
    Training t;
    t.schedule = schedule;
    t.failing_rank = 2;
    t.failing_step = 5;
    t.threads = 2;
    const Trained run = train(t);
    EXPECT_EQ(run.job.training.diverged_step, 6) << "1: the first";
    EXPECT_EQ(run.job.training.diverged_worker, 2);
    EXPECT_TRUE(std::isfinite(run.job.training.steps[4].loss));
    EXPECT_FALSE(std::isfinite(run.job.training.steps[5].loss));
    EXPECT_FALSE(std::isfinite(run.job.training.evaluations.back().loss));
  }
}

TEST(ValuesFailure, ExplodingWeightsAreDivergence) {
  Training t;
  t.rate = [](std::int64_t) { return 30.0; };
  t.steps = 60;
  const Trained run = train(t);
  const TrainingLog& log = run.job.training;
  ASSERT_GT(log.diverged_step, 1);
  EXPECT_GE(log.diverged_worker, 0);
  for (std::int64_t step = 1; step <= 60; ++step)
    EXPECT_EQ(std::isfinite(log.steps[static_cast<std::size_t>(step - 1)].loss),
              step < log.diverged_step);
}

TEST(ValuesFailure, AnExceptionOfTheEngineEndsTheRun) {
  for (const Fidelity fidelity : {Fidelity::closed, Fidelity::flow})
    for (const std::size_t threads : {0U, 1U, 4U}) {
      Training t;
      t.failing_rank = 1;
      t.failing_step = 3;
      t.throws = true;
      t.steps = 40;
      t.threads = threads;
      t.fidelity = fidelity;
      std::string message = "nothing";
      try {
        in_child([&] {
          train(t);
          return std::vector<double>{};
        });
      } catch (const std::exception& error) {
        message = error.what();
      }
      EXPECT_EQ(message, "the engine failed") << to_string(fidelity) << ", " << threads;
    }
}

Program adds_unequal(Worker& w) {
  co_await w.finished(w.zeros(10) + w.zeros(9));
}
Program has_no_function(Worker& w) {
  const std::span<const Tensor> nothing;
  const ValueFunction none;
  const Tensor own = w.op("own", Activity::arithmetic, nothing, 4, 0, none);
  co_await w.finished(own);
}
Program reads_nothing(Worker& w) {
  const Tensor nothing(&w, 4);
  co_await w.finished(2 * nothing);
}
Program residual_of_another_size(Worker& w) {
  w.forward();
  Tensor gradient = co_await w.backward();
  co_await w.finished(w.select(w.zeros(3), 1, gradient, 2, w.selector()).residual);
}

TEST(ValuesFailure, WrongTensorsAreRefused) {
  Training t;
  for (Program (*program)(Worker&) :
       {adds_unequal, has_no_function, reads_nothing, residual_of_another_size}) {
    t.program = program;
    EXPECT_THROW(train(t), std::logic_error);
  }
}

}  // namespace
}  // namespace paceline
