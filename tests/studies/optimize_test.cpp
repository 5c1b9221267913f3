#include "studies/optimize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "experiments/axis_values.hpp"
#include "experiments/run.hpp"
#include "studies/query.hpp"
#include "studies/sweep.hpp"
#include "tests/base/temporary_folder.hpp"
#include "tests/experiments/small.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class Optimize : public ::testing::Test {
 protected:
  static Study study_of(const std::vector<std::string>& vary, StudyUse use = StudyUse::search,
                        const Json& base = small()) {
    Study study = Study::read(base, "test.json", use);
    study.add({.vary = vary});
    study.finish();
    study.name = "test";
    return study;
  }
  Optimization run(const Study& study, const OptimizeSettings& settings,
                   const std::string& file = "store.db") {
    Store store((folder_.path() / file).string(), Database::Mode::write);
    Optimization plan = planned(study, settings);
    plan.study = "test-optimum";
    return optimize(study, store, plan, settings);
  }
  std::string rows(const std::string& file, const std::string& sql) {
    Store store((folder_.path() / file).string(), Database::Mode::read);
    std::string text;
    ask(store, {.study = store.studies().front().name, .sql = sql},
        {[](const std::vector<std::string>&) {},
         [&](const std::vector<SqlValue>& row) {
           for (const SqlValue& value : row) text += to_text(value) + "|";
         }});
    return text;
  }
  static JobOutcome outcome(const Study& study, const Rows& rows) {
    return run_alone(read_experiment(study.point(rows).experiment, "test.json")).job;
  }

  const TemporaryFolder folder_;
  const std::vector<std::string> grid_{"schedule=cocod-sgd,local-sgd,s-sgd:overlap=ddp",
                                       "batch=4..64:4", "nodes[0].count=2..16"};
};

TEST_F(Optimize, FindsWhatASweepOfTheWholeGridFinds) {
  {
    Store store((folder_ / "grid.db").string(), Database::Mode::write);
    (void)sweep(study_of(grid_, StudyUse::sweep), store, {.parallel = 2});
  }
  for (const auto& [objective, constraint, best] :
       {std::tuple("samples_per_s", "efficiency>=0.9",
                   "SELECT max(samples_per_s) FROM points WHERE scaling_efficiency >= 0.9"),
        std::tuple("samples_per_s", "memory<=2GiB",
                   "SELECT max(samples_per_s) FROM points WHERE memory_bytes <= 2147483648"),
        std::tuple("speedup", "time<=100ms",
                   "SELECT max(speedup_over_one_gpu) FROM points WHERE iteration_time_s <= 0.1")}) {
    const Optimization found =
        run(study_of(grid_), {.maximize = objective, .subject_to = {constraint}, .parallel = 2},
            fs::path(constraint).string().substr(0, 3) + ".db");
    ASSERT_EQ(found.optima.size(), 1U);
    EXPECT_LE(found.optima[0].settings, 200U);  // of 720
    EXPECT_FALSE(found.optima[0].all);
    EXPECT_EQ(to_text(*found.optima[0].value) + "|", rows("grid.db", best)) << constraint;
  }
}

// S-SGD without overlap takes a + b / B. So the least B for a time is b / (time - a).
TEST_F(Optimize, FindsTheNarrowestNetworkOfAClosedForm) {
  const Study study = study_of({"network.bandwidth=1Gbps..100Gbps:log"});
  const std::size_t last = study.dimensions()[0].rows.size() - 1;
  const double slow = outcome(study, {0}).iteration_time_s,
               fast = outcome(study, {last}).iteration_time_s;
  const double b = (slow - fast) / (1 / 1e9 - 1 / 100e9), a = fast - b / 100e9;
  const double limit = 0.4;
  ASSERT_LT(fast, limit);
  const Optimization found = run(study, {.minimize = "bandwidth", .subject_to = {"time<=400ms"}});
  const Optimum& best = found.optima.at(0);
  const double bits = *number_of_label(best.labels[0]) * 8;
  EXPECT_NEAR(bits, b / (limit - a), 1e-3 * bits);
  EXPECT_LE(*best.bounded[0], limit);
  EXPECT_TRUE(best.no_neighbour);
}

// CoCoD hides a round behind `period` steps: the least period that hides all of it is its time over a step's.
TEST_F(Optimize, FindsTheLeastPeriodThatHidesARound) {
  const std::vector<std::string> axes{"network.bandwidth=1Gbps,2Gbps,4Gbps", "schedule=cocod-sgd",
                                      "schedule.period=1..64"};
  const Study study = study_of(axes);
  const Optimization found = run(study, {.minimize = "period",
                                         .subject_to = {"exposed<=1us"},
                                         .each = {"network.bandwidth"},
                                         .evaluations = 40});
  ASSERT_EQ(found.optima.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const JobOutcome one = outcome(study, {i, 0, 0});
    ASSERT_GT(one.time.exposed_communication_s, 0);
    EXPECT_THAT(found.optima[i].each, ElementsAre(found.optima[i].labels[0]));
    EXPECT_DOUBLE_EQ(*found.optima[i].value, std::ceil(one.overlap->communication_s /
                                                       (one.time.compute_s() + one.time.update_s)))
        << found.optima[i].labels[0];
  }
}

TEST_F(Optimize, BrokenOffItGoesOnToTheSameEnd) {
  const OptimizeSettings settings{.maximize = "throughput", .subject_to = {"memory<=4GiB"}};
  const Optimization whole = run(study_of(grid_), settings, "whole.db");
  OptimizeSettings broken = settings;
  broken.parallel = 3;
  for (int times = 1; times <= 3; ++times) {
    broken.progress = [left = 2 * times](const OptimizeProgress&) mutable {
      if (--left < 0) throw std::runtime_error("killed");
    };
    EXPECT_THROW((void)run(study_of(grid_), broken, "broken.db"), std::runtime_error);
  }
  broken.progress = {};
  const Optimization again = run(study_of(grid_), broken, "broken.db");
  EXPECT_GT(again.found, 0U);
  EXPECT_EQ(again.simulations + again.found, whole.simulations + whole.found);
  EXPECT_EQ(again.optima[0].labels, whole.optima[0].labels);
  EXPECT_EQ(again.optima[0].value, whole.optima[0].value);
  EXPECT_EQ(rows("broken.db", "SELECT * FROM points"), rows("whole.db", "SELECT * FROM points"));
  EXPECT_EQ(run(study_of(grid_), settings, "whole.db").simulations, 0U);
}

TEST_F(Optimize, SharesResultsWithSweeps) {
  Store store((folder_ / "store.db").string(), Database::Mode::write);
  const std::vector<std::string> axes{"network.bandwidth=1Gbps..16Gbps:x2", "batch=8,16,32"};
  (void)sweep(study_of(axes, StudyUse::sweep), store, {.parallel = 2});
  const Optimization found = run(study_of(axes), {.minimize = "time"});
  EXPECT_EQ(found.simulations, 0U);
  EXPECT_EQ(found.found, 15U);
  EXPECT_TRUE(found.optima[0].all);
  EXPECT_THAT(found.optima[0].labels, ElementsAre("16Gbps", "8"));
}

TEST_F(Optimize, RefusesWhatItCannotAsk) {
  const Study study = study_of({"batch=8,16", "schedule=s-sgd,lags-sgd"});
  const auto refuses = [&](const OptimizeSettings& settings, const std::string& why) {
    EXPECT_THAT([&] { (void)planned(study, settings); }, ThrowsMessage<InputError>(HasSubstr(why)));
  };
  refuses({}, "expected one of --minimize");
  refuses({.minimize = "tiem"}, "unknown column 'tiem'; did you mean 'time'?");
  refuses({.minimize = "schedule"}, "unknown column 'schedule'");  // has no numbers
  refuses({.minimize = "time", .subject_to = {"memory"}}, "expected COLUMN<=VALUE");
  refuses({.minimize = "time", .subject_to = {"memory<11GiB"}}, "expected COLUMN<=VALUE");
  refuses({.minimize = "time", .subject_to = {"memory<=much"}}, "'much' is no number");
  refuses({.minimize = "time", .subject_to = {"memry<=1"}}, "unknown column 'memry'");
  refuses({.minimize = "time", .each = {"bach"}}, "did you mean 'batch'?");
  refuses({.minimize = "time", .each = {"batch", "schedule"}}, "no axis is left");
  EXPECT_THAT(
      [&] {
        (void)planned(study_of({"batch=8,16", "seed=1..4"}), {.minimize = "time"});
      },
      ThrowsMessage<InputError>(HasSubstr("the best 'seed' is luck")));
  EXPECT_THAT([&] { (void)run(study, {.minimize = "cost"}); },
              ThrowsMessage<InputError>(HasSubstr("no result has 'dollars_per_iteration'")));
}

}  // namespace
}  // namespace paceline
