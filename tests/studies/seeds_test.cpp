#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "base/json.hpp"
#include "studies/findings.hpp"
#include "studies/interval.hpp"
#include "studies/query.hpp"
#include "studies/sweep.hpp"
#include "tests/base/temporary_folder.hpp"
#include "tests/experiments/small.hpp"

namespace paceline {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Table of Student (1908) as of any textbook: two-sided 95 %.
TEST(Interval, IsStudents) {
  for (const auto& [count, t] :
       {std::pair(2, 12.706), std::pair(3, 4.303), std::pair(5, 2.776), std::pair(10, 2.262),
        std::pair(30, 2.045), std::pair(1001, 1.962)})
    EXPECT_NEAR(student95(static_cast<std::size_t>(count)) * std::sqrt(count), t, 6e-4) << count;
  EXPECT_EQ(student95(1), 0);
  RunningMean mean;
  for (const double value : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) mean.add(value);
  EXPECT_DOUBLE_EQ(mean.mean(), 5);
  EXPECT_NEAR(mean.half95(), 2.3646 * std::sqrt(32.0 / 7 / 8), 1e-3);
}

class Seeds : public ::testing::Test {
 protected:
  static Study study_of(const Study::Options& options) {
    Json base = small();
    base["jitter"] = {{"distribution", "lognormal"}, {"cv", 0.3}};
    base["steps"] = 12;
    Study study = Study::read(base, "test.json");
    study.add(options);
    study.finish();
    study.name = "test";
    return study;
  }
  std::vector<std::vector<SqlValue>> rows(Store& store, const Question& question) {
    std::vector<std::vector<SqlValue>> found;
    ask(store, question,
        {[](const std::vector<std::string>&) {},
         [&](const std::vector<SqlValue>& row) { found.push_back(row); }});
    return found;
  }

  const TemporaryFolder folder_;
};

TEST_F(Seeds, AreAnAxis) {
  const Study study = study_of({.vary = {"batch=16,32"}, .seeds = 4});
  EXPECT_THAT(study.axes(), ElementsAre("batch", "seed"));
  EXPECT_EQ(study.points(), 8U);
  EXPECT_THAT(study.labels(5), ElementsAre("32", "2"));
  EXPECT_THAT([] { study_of({.vary = {"seed=1,2"}, .seeds = 4}); },
              ThrowsMessage<InputError>(HasSubstr("two axes are called 'seed'")));
}

TEST_F(Seeds, AreOneRowWithItsInterval) {
  Store store((folder_ / "store.db").string(), Database::Mode::write);
  const Study study = study_of({.vary = {"schedule=s-sgd,local-sgd:period=3"}, .seeds = 5});
  (void)sweep(study, store, {.parallel = 2});
  const auto all = rows(store, {.columns = {"iteration_time_s", "speedup_over_one_gpu"}});
  const auto means =
      rows(store,
           {.columns = {"schedule", "seeds", "iteration_time_s", "iteration_time_s_ci95", "number"},
            .over_seeds = true});
  ASSERT_EQ(all.size(), 10U);
  ASSERT_EQ(means.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    double sum = 0, squares = 0;
    for (std::size_t seed = 0; seed < 5; ++seed) sum += std::get<double>(all[5 * i + seed][0]);
    for (std::size_t seed = 0; seed < 5; ++seed)
      squares += std::pow(std::get<double>(all[5 * i + seed][0]) - sum / 5, 2);
    EXPECT_EQ(std::get<std::int64_t>(means[i][1]), 5);
    EXPECT_NEAR(std::get<double>(means[i][2]), sum / 5, 1e-12 * sum);
    const double half = 2.77645 * std::sqrt(squares / 4 / 5);
    EXPECT_GT(half, 0);
    EXPECT_NEAR(std::get<double>(means[i][3]), half, 1e-5 * half);
    EXPECT_EQ(std::get<std::int64_t>(means[i][4]), static_cast<std::int64_t>(5 * i));
  }
  // A filter, and SQL.
  EXPECT_EQ(rows(store, {.where = {"schedule=s-sgd"}, .over_seeds = true}).size(), 1U);
  EXPECT_EQ(to_text(rows(store, {.sql = "SELECT sum(seeds) FROM over_seeds"})[0][0]), "10");
}

TEST_F(Seeds, AreTheBandsOfAReport) {
  Store store((folder_ / "store.db").string(), Database::Mode::write);
  const Study study =
      study_of({.vary = {"network.bandwidth=10Gbps,40Gbps", "schedule=s-sgd,s-sgd:overlap=ddp"},
                .seeds = 3});
  (void)sweep(study, store, {.parallel = 2});
  const Findings found(store, store.study("test"));
  EXPECT_EQ(found.seeds(), 3U);
  ASSERT_EQ(found.points().size(), 4U);
  const auto halves = rows(store, {.columns = {"speedup_over_one_gpu", "speedup_over_one_gpu_ci95",
                                               "iteration_time_s_ci95"},
                                   .over_seeds = true});
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_THAT(found.points()[i].speedup, DoubleNear(std::get<double>(halves[i][0]), 1e-9));
    EXPECT_THAT(found.points()[i].speedup_half, DoubleNear(std::get<double>(halves[i][1]), 1e-9));
    EXPECT_THAT(found.points()[i].time_half_s, DoubleNear(std::get<double>(halves[i][2]), 1e-12));
    EXPECT_GT(found.points()[i].log_error, 0);
  }
}

}  // namespace
}  // namespace paceline
