// What the papers' schedules compute, checked with real values: identities between schedules, and
// their formulas replayed from the recorded weights and gradients.
#include "base/json.hpp"
#include "tests/sim/values/regression.hpp"

namespace paceline {
namespace {

constexpr double kRounding = 2e-6;  // a few roundings of fp32 per step

// The weights of `rank` at the beginning of `step`, and its gradient there.
const std::vector<float>& x(const Trained& t, std::size_t rank, std::size_t step) {
  return t.computed.weights[rank][step];
}
const std::vector<float>& g(const Trained& t, std::size_t rank, std::size_t step) {
  return t.computed.gradient[rank][step];
}
std::vector<double> minus(std::vector<double> a, double factor, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= factor * b[i];
  return a;
}
std::vector<double> wide(const std::vector<float>& a) {
  return {a.begin(), a.end()};
}
double falling_rate(std::int64_t step) {
  return 0.08 / (1 + 0.25 * static_cast<double>(step));
}

// Same losses, same weights in every step on every worker, same model at the end.
void expect_same(const Trained& a, const Trained& b, double tolerance) {
  EXPECT_TRUE(all_near(a.losses(), b.losses(), tolerance));
  EXPECT_TRUE(all_near(a.final_weights(), b.final_weights(), tolerance));
  for (std::size_t rank = 0; rank < a.computed.weights.size(); ++rank)
    for (std::size_t step = 0; step < a.computed.weights[rank].size(); ++step)
      EXPECT_TRUE(all_near(x(a, rank, step),
                           x(b, std::min(rank, b.computed.weights.size() - 1), step), tolerance))
          << "worker " << rank << ", step " << step;
}

// ---- S-SGD

Training varied() {
  Training t;
  t.momentum = 0.9;
  t.weight_decay = 0.01;
  t.rate = [](std::int64_t step) { return 0.2 * falling_rate(step); };
  return t;
}

void expect_one_large_batch(Training many) {
  const Trained parallel = train(many);
  Training one = varied();
  one.batch = many.batch * static_cast<std::int64_t>(many.workers);
  one.workers = 1;
  one.options = {{"overlap", "none"}};
  const Trained single = train(one);
  EXPECT_LT(single.losses().back(), 0.5 * single.losses().front());
  expect_same(parallel, single, kRounding);
}

TEST(ValuesIdentity, SynchronousSgdIsSgdWithOneLargeBatch) {
  for (const char* overlap : {"none", "wfbp", "mg-wfbp", "optimal", "ddp", "horovod"})
    for (const std::size_t workers : {2U, 3U, 8U}) {
      SCOPED_TRACE(std::string(overlap) + " on " + std::to_string(workers));
      Training t = varied();
      t.options = {{"overlap", overlap}};
      if (t.options["overlap"] == "ddp") t.options["bucket"] = t.options["first_bucket"] = "120B";
      if (t.options["overlap"] == "horovod") t.options["fusion"] = "150B";
      t.workers = workers;
      expect_one_large_batch(t);
    }
}

TEST(ValuesIdentity, SynchronousSgdOverServersIsSgdWithOneLargeBatch) {
  for (const std::size_t servers : {1U, 2U, 3U}) {
    SCOPED_TRACE(servers);
    Training t = varied();
    t.schedule = "ps-s-sgd";
    t.servers = servers;
    t.options = {{"split_above", 10}};
    expect_one_large_batch(t);
  }
}

TEST(ValuesIdentity, PrioritiesChangeNoValue) {
  Training t = varied();
  t.schedule = "priority-sgd";
  t.options = {{"slice", "28B"}};
  expect_one_large_batch(t);
}

TEST(ValuesIdentity, WeightsOfWorkersAreSharesOfTheMean) {
  Training t;
  t.workers = 3;
  t.weights = {0.5, 0.3, 0.2};
  t.skew = 1;
  const Trained run = train(t);
  for (std::size_t step = 0; step + 1 < 12; ++step)
    EXPECT_TRUE(all_near(
        x(run, 1, step + 1),
        minus(wide(x(run, 1, step)), 0.05, mean_of(run.computed.gradient, step, t.weights)),
        kRounding));
}

TEST(ValuesIdentity, AccumulationIsALargerBatch) {
  for (const char* overlap : {"none", "wfbp"}) {
    Training accumulated = varied();
    accumulated.options = {{"overlap", overlap}};
    accumulated.workers = 1;
    accumulated.micro_batches = 3;
    Training large = accumulated;
    large.micro_batches = 1;
    large.batch *= 3;
    expect_same(train(accumulated), train(large), kRounding);
  }
}

// ---- local steps

TEST(ValuesIdentity, LocalSgdThatAveragesEveryStepIsSynchronousSgd) {
  // With momentum too: velocities are linear in the gradients, so the mean of the workers' is the
  // velocity of the mean. (A clipped gradient is not linear.)
  for (const double momentum : {0.0, 0.9}) {
    Training local;
    local.momentum = momentum;
    local.rate = [](std::int64_t step) { return 0.2 * falling_rate(step); };
    Training synchronous = local;
    local.schedule = "local-sgd";
    local.options = {{"period", 1}};
    expect_same(train(local), train(synchronous), 3 * kRounding);
  }
}

TEST(ValuesIdentity, LocalSgdStepsAloneAndAveragesEveryPeriod) {
  Training t;
  t.schedule = "local-sgd";
  t.options = {{"period", 5}};
  t.skew = 1;
  const Trained run = train(t);
  for (std::size_t step = 0; step + 1 < 12; ++step)
    for (std::size_t rank = 0; rank < 4; ++rank) {
      std::vector<double> next = minus(wide(x(run, rank, step)), 0.05, wide(g(run, rank, step)));
      if ((step + 1) % 5 == 0)
        next =
            minus(mean_of(run.computed.weights, step), 0.05, mean_of(run.computed.gradient, step));
      EXPECT_TRUE(all_near(x(run, rank, step + 1), next, kRounding)) << rank << ", " << step;
    }
}

// x_i^{t+k} = mean_j x_j^t - eta sum of its own gradients; hence mean_i x^{t+k} = mean_i x^t - eta
// mean_i of the sums.
void expect_cocod(const Training& t, std::size_t period) {
  const Trained run = train(t);
  const auto steps = static_cast<std::size_t>(t.steps);
  double apart = 0;
  for (std::size_t begin = 0; begin + period < steps; begin += period) {
    std::vector<double> mean = mean_of(run.computed.weights, begin, t.weights);
    const std::vector<double> start = mean;
    for (std::size_t rank = 0; rank < t.workers; ++rank) {
      std::vector<double> next = start;
      for (std::size_t step = begin; step < begin + period; ++step)
        next = minus(next, t.rate(0), wide(g(run, rank, step)));
      EXPECT_TRUE(all_near(x(run, rank, begin + period), next, 3 * kRounding));
      apart += std::abs(next[0] - start[0]);
    }
    for (std::size_t step = begin; step < begin + period; ++step)
      mean = minus(mean, t.rate(0), mean_of(run.computed.gradient, step, t.weights));
    EXPECT_TRUE(
        all_near(mean_of(run.computed.weights, begin + period, t.weights), mean, 3 * kRounding));
  }
  EXPECT_GT(apart, 0.01);
}

TEST(ValuesIdentity, CocodMeanEvolves) {
  for (const std::int64_t period : {1, 3, 5}) {
    Training t;
    t.schedule = "cocod-sgd";
    t.options = {{"period", period}};
    t.steps = 17;
    t.skew = 1;
    expect_cocod(t, static_cast<std::size_t>(period));
  }
}

TEST(ValuesIdentity, CocodWeightedMeanEvolves) {
  Training t;
  t.schedule = "cocod-sgd";
  t.options = {{"period", 3}};
  t.steps = 13;
  t.skew = 1;
  t.weights = {0.1, 0.2, 0.3, 0.4};
  expect_cocod(t, 3);
}

TEST(ValuesIdentity, CocodEndsWithTheLastRoundIncluded) {
  Training t;
  t.schedule = "cocod-sgd";
  t.options = {{"period", 3}};
  t.steps = 8;  // the last round has two steps
  t.skew = 1;
  const Trained run = train(t);
  std::vector<double> mean = mean_of(run.computed.weights, 6);
  for (std::size_t step = 6; step < 8; ++step)
    mean = minus(mean, 0.05, mean_of(run.computed.gradient, step));
  EXPECT_TRUE(all_near(run.final_weights(), mean, 3 * kRounding));
}

TEST(ValuesIdentity, DilocoWithAPlainOuterStepIsLocalSgd) {
  Training t;
  t.skew = 1;
  t.schedule = "diloco";
  t.options = {{"period", 3}, {"outer_rate", 1}, {"outer_momentum", 0}};
  Training local = t;
  local.schedule = "local-sgd";
  local.options = {{"period", 3}};
  expect_same(train(t), train(local), kRounding);
  Training stl = local;
  stl.schedule = "stl-sgd";
  expect_same(train(stl), train(local), 0);
}

TEST(ValuesIdentity, DilocoOuterStepIsNesterov) {
  Training t;
  t.skew = 1;
  t.schedule = "diloco";
  t.options = {{"period", 2}, {"outer_rate", 0.5}, {"outer_momentum", 0.8}};
  const Trained run = train(t);
  std::vector<double> anchor = wide(x(run, 0, 0)), velocity(anchor.size());
  for (std::size_t begin = 0; begin + 2 < 12; begin += 2) {
    const std::vector<double> moved = minus(minus(mean_of(run.computed.weights, begin + 1), 0.05,
                                                  mean_of(run.computed.gradient, begin + 1)),
                                            1, anchor);  // -Delta
    for (std::size_t i = 0; i < anchor.size(); ++i) {
      velocity[i] = 0.8 * velocity[i] - moved[i];
      anchor[i] -= 0.5 * (-moved[i] + 0.8 * velocity[i]);
    }
    for (std::size_t rank = 0; rank < 4; ++rank)
      EXPECT_TRUE(all_near(x(run, rank, begin + 2), anchor, 3 * kRounding));
  }
}

// x <- (1-a) x + a z;  v <- b v + (z - x) / eta;  z' <- z - eta v;  z <- mean of z'. The anchor's
// first value is the initial model.
TEST(ValuesIdentity, OverlapLocalSgdFollowsItsAnchor) {
  Training t;
  t.skew = 1;
  t.schedule = "overlap-local-sgd";
  t.options = {{"period", 2}, {"pull", 0.6}, {"momentum", 0.7}};
  const Trained run = train(t);
  const double eta = 0.05;
  const std::size_t n = x(run, 0, 0).size();
  std::vector<double> anchor = wide(x(run, 0, 0));
  std::vector<std::vector<double>> velocity(4, std::vector<double>(n));
  for (std::size_t last = 1; last + 1 < 12; last += 2) {
    std::vector<double> next_anchor(n);
    for (std::size_t rank = 0; rank < 4; ++rank) {
      const std::vector<double> local =
          minus(wide(x(run, rank, last)), eta, wide(g(run, rank, last)));
      std::vector<double> pulled(n);
      for (std::size_t i = 0; i < n; ++i) {
        pulled[i] = 0.4 * local[i] + 0.6 * anchor[i];
        velocity[rank][i] = 0.7 * velocity[rank][i] + (anchor[i] - pulled[i]) / eta;
        next_anchor[i] += (anchor[i] - eta * velocity[rank][i]) / 4;
      }
      EXPECT_TRUE(all_near(x(run, rank, last + 1), pulled, 2e-5)) << rank << ", " << last;
    }
    anchor = next_anchor;
  }
}

// ---- delayed gradients

TEST(ValuesIdentity, PipeSgdUpdatesOneStepLate) {
  Training t;
  t.schedule = "pipe-sgd";
  const Trained run = train(t);
  EXPECT_EQ(x(run, 2, 1), x(run, 2, 0));
  for (std::size_t step = 1; step + 1 < 12; ++step)
    EXPECT_TRUE(all_near(
        x(run, 2, step + 1),
        minus(wide(x(run, 2, step)), 0.05, mean_of(run.computed.gradient, step - 1)), kRounding));
}

// W_{i+1} = W_i - eta mean g_i;  L_{i+1} = W_i - eta_loc [g~ + wd W_i + lambda g~ g~ (W_i -
// W_{i-1})] with g~ = g_i / N, after a warm-up in which L = W.
void expect_od(const Trained& run, std::size_t warm_up, double local_rate, double lambda,
               double decay) {
  std::vector<double> global = wide(x(run, 0, 0)), previous = global;
  for (std::size_t step = 0; step + 1 < 12; ++step) {
    const std::vector<double> next = minus(global, 0.05, mean_of(run.computed.gradient, step));
    for (std::size_t rank = 0; rank < 4; ++rank) {
      std::vector<double> local = next;
      if (step >= warm_up)
        for (std::size_t i = 0; i < local.size(); ++i) {
          const double scaled = static_cast<double>(g(run, rank, step)[i]) / 4;
          local[i] =
              global[i] - local_rate * (scaled + decay * global[i] +
                                        lambda * scaled * scaled * (global[i] - previous[i]));
        }
      EXPECT_TRUE(all_near(x(run, rank, step + 1), local, 3 * kRounding)) << rank << ", " << step;
    }
    previous = global;
    global = next;
  }
  EXPECT_TRUE(all_near(run.final_weights(), minus(global, 0.05, mean_of(run.computed.gradient, 11)),
                       3 * kRounding));
}

TEST(ValuesIdentity, OdSgdFollowsItsFormula) {
  for (const std::size_t servers : {1U, 2U})
    for (const int warm_up : {0, 3}) {
      SCOPED_TRACE(std::to_string(servers) + " servers, warm-up " + std::to_string(warm_up));
      Training t;
      t.schedule = "od-sgd";
      t.servers = servers;
      t.skew = 1;
      t.options = {{"warm_up", warm_up},
                   {"local_rate", 0.1},
                   {"lambda", 0.5},
                   {"weight_decay", 0.01},
                   {"split_above", 10}};
      expect_od(train(t), static_cast<std::size_t>(warm_up), 0.1, 0.5, 0.01);
    }
}

TEST(ValuesIdentity, OdSgdWithoutLocalStepsIsPipeSgd) {
  Training pipe;
  pipe.schedule = "pipe-sgd";
  Training od;
  od.schedule = "od-sgd";
  od.servers = 1;
  od.options = {{"warm_up", 0}, {"local_rate", 0}, {"lambda", 0}};
  const Trained a = train(od), b = train(pipe);
  EXPECT_TRUE(all_near(a.losses(), b.losses(), kRounding));
  for (std::size_t step = 0; step < 12; ++step)
    EXPECT_TRUE(all_near(x(a, 3, step), x(b, 3, step), kRounding)) << step;
}

TEST(ValuesIdentity, CdSgdThatSendsEverythingIsOdSgd) {
  Training cd;
  cd.schedule = "cd-sgd";
  cd.servers = 1;
  cd.options = {{"warm_up", 2}, {"local_rate", 0.1}, {"full_every", 1}};
  Training od = cd;
  od.schedule = "od-sgd";
  od.options = {{"warm_up", 2}, {"local_rate", 0.1}, {"lambda", 0}};
  EXPECT_EQ(train(cd).bits(), train(od).bits());
}

TEST(ValuesIdentity, CdSgdLosesNothingButWhatItsResidualHolds) {
  Training t;
  t.schedule = "cd-sgd";
  t.servers = 1;
  t.steps = 40;
  t.rate = [](std::int64_t) { return 0.01; };
  const double threshold = 8;  // above every gradient: each residual stays below it
  t.options = {{"warm_up", 0}, {"local_rate", 0}, {"threshold", threshold}, {"full_every", 1000}};
  const Trained run = train(t);
  std::vector<double> sent = minus(wide(x(run, 0, 0)), 1, wide(run.final_weights()));
  std::vector<double> sum(sent.size());
  for (std::size_t step = 0; step < 40; ++step)
    sum = minus(sum, -1, mean_of(run.computed.gradient, step));
  double most = 0;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    EXPECT_LE(std::abs(sum[i] - sent[i] / 0.01), threshold * (1 + 1e-5));
    most = std::max(most, std::abs(sum[i]));
  }
  EXPECT_GT(most, threshold);  // else the bound says nothing
}

// ---- asynchronous servers

TEST(ValuesIdentity, AsgdOnOneWorkerIsSgd) {
  for (const char* schedule : {"asgd", "dc-asgd"}) {
    Training t = varied();
    t.schedule = schedule;
    t.workers = 1;
    t.servers = 2;
    t.options = {{"split_above", 10}};
    Training sgd = varied();
    sgd.workers = 1;
    expect_same(train(t), train(sgd), 0);
  }
}

TEST(ValuesIdentity, DelayCompensationOfZeroIsAsgd) {
  Training t;
  t.servers = 1;
  t.skew = 1;
  t.stragglers = {{1, 1.37, 0, kInfinity}, {2, 1.11, 0, kInfinity}};
  t.schedule = "asgd";
  const Trained plain = train(t);
  t.schedule = "dc-asgd";
  t.options = {{"lambda", 0}};
  EXPECT_EQ(train(t).bits(), plain.bits());
  t.options = {{"lambda", 0.5}};
  EXPECT_NE(train(t).bits(), plain.bits());
}

TEST(ValuesIdentity, AsgdAppliesEveryGradientOnce) {
  Training t;
  t.servers = 1;
  t.skew = 1;
  t.stragglers = {{1, 1.37, 0, kInfinity}};
  t.schedule = "asgd";
  const Trained run = train(t);
  std::vector<double> expected = wide(x(run, 0, 0));
  for (std::size_t step = 0; step < 12; ++step)
    expected = minus(expected, 4 * 0.05, mean_of(run.computed.gradient, step));
  EXPECT_TRUE(all_near(run.final_weights(), expected, 3 * kRounding));
}

// ---- sparsification

TEST(ValuesIdentity, EverythingSelectedIsDense) {
  for (const char* schedule : {"slgs-sgd", "lags-sgd", "gtop-k", "dgc"})
    for (const char* feedback : {"scaled", "raw"})
      for (const std::size_t workers : {3U, 4U}) {
        SCOPED_TRACE(std::string(schedule) + ", " + feedback);
        const std::string name = schedule;
        if (name == "dgc" && std::string(feedback) == "raw") continue;
        Training t;
        t.schedule = schedule;
        t.workers = workers;
        t.options = {{"density", 1}};
        if (name == "lags-sgd" || name == "dgc") t.options["grouping"] = "none";
        if (name != "dgc") t.options["error_feedback"] = feedback;
        if (std::string(feedback) == "raw") t.momentum = 0.5;
        t.rate = [](std::int64_t step) { return 0.3 * falling_rate(step); };
        Training dense = t;
        dense.schedule = "s-sgd";
        dense.options = Json::object();
        expect_same(train(t), train(dense), kRounding);
      }
}

TEST(ValuesIdentity, LagsWithOneLayerIsSlgs) {
  for (const char* feedback : {"scaled", "raw"}) {
    Training slgs;
    slgs.schedule = "slgs-sgd";
    slgs.options = {{"density", 0.1}, {"error_feedback", feedback}};
    Training lags = slgs;
    lags.schedule = "lags-sgd";
    lags.options["threshold"] = "1G";
    EXPECT_EQ(train(lags).bits(), train(slgs).bits());
  }
}

TEST(ValuesIdentity, GlobalTopKOfOneWorkerKeepsWhatItSent) {
  Training slgs;
  slgs.schedule = "slgs-sgd";
  slgs.workers = 1;
  slgs.options = {{"density", 0.1}};
  Training gtop_k = slgs;
  gtop_k.schedule = "gtop-k";
  EXPECT_EQ(train(gtop_k).bits(), train(slgs).bits());
}

// W_0 - W_T + mean residual = eta sum of mean gradients: what is not applied is kept. The residuals
// are what a last step of density 1 sends. (Not so gTop-k: its tree may drop one worker's entry
// whose index survives through another.)
TEST(ValuesIdentity, SparsificationLosesNothing) {
  for (const char* schedule : {"slgs-sgd", "lags-sgd"}) {
    SCOPED_TRACE(schedule);
    Training t;
    t.schedule = schedule;
    t.options = {{"density", 1}, {"warm_up", {{"densities", {0.1}}, {"steps", 11}}}};
    if (t.schedule == "lags-sgd") t.options["grouping"] = "none";
    t.skew = 1;
    const Trained run = train(t);
    std::vector<double> expected = wide(x(run, 0, 0));
    for (std::size_t step = 0; step < 12; ++step)
      expected = minus(expected, 0.05, mean_of(run.computed.gradient, step));
    EXPECT_TRUE(all_near(run.final_weights(), expected, 3 * kRounding));
  }
}

struct Looked {
  std::vector<float> accumulated, sent, rest;
};

Program selecting(Worker& w, Selector selector, std::vector<Looked>* looked) {
  Tensor residual = w.zeros(w.model().elements);
  for ([[maybe_unused]] const Step step : w.steps()) {
    w.forward();
    Tensor gradient = co_await w.backward();
    const Tensor accumulated = w.combine(1, residual, 0.3, gradient);
    const Selection selection = w.select(residual, 0.3, gradient, 9, selector);
    const Tensor sent = w.scatter(selection.sent);
    const std::vector<Tensor> reads{accumulated, sent, selection.residual};
    w.op("look", Activity::arithmetic, reads, 1, 0, [looked](auto in, std::span<float>) {
      const auto copy = [](std::span<const float> v) {
        return std::vector<float>(v.begin(), v.end());
      };
      looked->push_back({copy(in[0]), copy(in[1]), copy(in[2])});
    });
    residual = selection.residual;
    co_await w.update(gradient);
  }
}

TEST(ValuesIdentity, SentAndResidualAreTheAccumulatedBitForBit) {
  for (const Selector selector : {Selector::torch_legacy, Selector::sort, Selector::radix_select,
                                  Selector::dgc_sample, Selector::gaussian_k}) {
    std::vector<Looked> looked;
    Training t;
    t.workers = 1;
    t.program = [&](Worker& w) { return selecting(w, selector, &looked); };
    train(t);
    ASSERT_EQ(looked.size(), 12U);
    for (const Looked& l : looked) {
      std::size_t selected = 0;
      float least = 1e30F, most = 0;
      for (std::size_t i = 0; i < l.sent.size(); ++i) {
        EXPECT_TRUE(l.sent[i] == 0 || l.rest[i] == 0);
        EXPECT_EQ(l.sent[i] + l.rest[i], l.accumulated[i]);
        selected += l.sent[i] != 0;
        if (l.sent[i] != 0) least = std::min(least, std::abs(l.sent[i]));
        most = std::max(most, std::abs(l.rest[i]));
      }
      EXPECT_LE(most, least);
      if (selector < Selector::dgc_sample) {
        EXPECT_EQ(selected, 9U);
      }
    }
  }
}

// ---- low rank

TEST(ValuesIdentity, PowerSgdOfFullRankIsDense) {
  // Rank 4 of 4 x 5 would not save anything and is sent whole; rank 2 of it is an approximation.
  Training t;
  t.schedule = "power-sgd";
  t.options = {{"rank", 4}};
  Training dense = t;
  dense.schedule = "s-sgd";
  dense.options = Json::object();
  expect_same(train(t), train(dense), kRounding);
  t.options = {{"rank", 1}};
  EXPECT_FALSE(all_near(train(t).final_weights(), train(dense).final_weights(), 1e-4));
}

}  // namespace
}  // namespace paceline
