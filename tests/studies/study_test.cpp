#include "studies/study.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "experiments/axis_values.hpp"
#include "experiments/experiment.hpp"
#include "studies/shipped.hpp"
#include "tests/experiments/small.hpp"

namespace paceline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Study study_of(const std::vector<Json>& axes, const Json& more = Json::object()) {
  Json json{{"format", "paceline-study-1"}, {"experiment", small()}, {"axes", axes}};
  json.update(more);
  Study study = Study::read(json, "test.json");
  study.finish();
  return study;
}

const Json kBandwidth{{"axis", "network.bandwidth"}, {"values", "1Gbps,10Gbps"}},
    kCount{{"axis", "nodes"}, {"field", "nodes[0].count"}, {"values", "4..16:x2"}};

TEST(Study, HasEveryCombinationTheLastAxisFastest) {
  const Study study = study_of({kBandwidth, kCount});
  EXPECT_EQ(study.points(), 6U);
  EXPECT_THAT(study.axes(), ElementsAre("network.bandwidth", "nodes"));
  EXPECT_THAT(study.labels(0), ElementsAre("1Gbps", "4"));
  EXPECT_THAT(study.labels(4), ElementsAre("10Gbps", "8"));
  const Experiment experiment = read_experiment(study.point(4).experiment, "test.json");
  EXPECT_EQ(experiment.cluster.gpu_count(), 8U);
  EXPECT_DOUBLE_EQ(experiment.cluster.network.bandwidth, 1.25e9);
}

TEST(Study, ZipsAxesValueByValue) {
  const Study study =
      study_of({Json{{"zip", {kBandwidth, {{"axis", "batch"}, {"values", {8, 64}}}}}}, kCount});
  EXPECT_EQ(study.points(), 6U);
  EXPECT_THAT(study.labels(3), ElementsAre("10Gbps", "64", "4"));
  EXPECT_THAT(
      [] {
        study_of({Json{{"zip", {kBandwidth, kCount}}}});
      },
      ThrowsMessage<InputError>(HasSubstr("equally many values")));
}

TEST(Study, SamplesEveryStratumOnce) {
  const Json sample{{"sample", 20},
                    {"seed", 7},
                    {"axes",
                     {{{"axis", "network.bandwidth"}, {"values", "1Gbps..100Gbps:log"}},
                      {{"axis", "batch"}, {"values", "1..20"}},
                      {{"axis", "schedule"}, {"values", "s-sgd,lags-sgd"}}}}};
  const Study study = study_of({sample});
  ASSERT_EQ(study.points(), 20U);
  std::multiset<int> bandwidths;
  std::set<std::string> batches;
  std::multiset<std::string> schedules;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const std::vector<std::string> labels = study.labels(i);
    bandwidths.insert(
        static_cast<int>(std::log(*number_of_label(labels[0]) / 0.125e9) / std::log(100) * 20));
    batches.insert(labels[1]);
    schedules.insert(labels[2]);
  }
  for (int stratum = 0; stratum < 20; ++stratum)
    EXPECT_EQ(bandwidths.count(stratum), 1U) << stratum;
  EXPECT_EQ(batches.size(), 20U);
  EXPECT_EQ(schedules.count("s-sgd"), 10U);
  EXPECT_EQ(study_of({sample}).labels(3), study.labels(3));
}

TEST(Study, LeavesOutWhatFiltersSay) {
  const Json skip{{"skip", {{{"network.bandwidth", "1Gbps"}, {"nodes", "8..16"}}}}};
  const Study study = study_of({kBandwidth, kCount}, skip);
  EXPECT_EQ(study.combinations(), 6U);
  EXPECT_EQ(study.points(), 4U);
  EXPECT_FALSE(study.skipped(0));
  EXPECT_TRUE(study.skipped(1));
  EXPECT_EQ(study_of({kBandwidth, kCount}, {{"only", {{{"nodes", {"4", "16"}}}}}}).points(), 4U);
  EXPECT_EQ(
      study_of({kBandwidth, kCount}, {{"only", {{{"network.bandwidth", "500Mbps..2000Mbps"}}}}})
          .points(),
      3U);
}

TEST(Study, ThatIsWrongIsRefusedBeforeAnythingRuns) {
  const auto refused = [](const std::vector<Json>& axes, const char* why,
                          const Json& more = Json::object()) {
    EXPECT_THAT([&] { study_of(axes, more).check_values(); },
                ThrowsMessage<InputError>(HasSubstr(why)))
        << Json(axes);
  };
  refused({}, "nothing varies");
  refused({Json{{"axis", "bandwith"}, {"values", "1"}}}, "unknown key 'bandwith'");
  refused({Json{{"axis", "network.bandwith"}, {"values", "1Gbps,2Gbps"}}},
          "none of 2 points was run");
  refused({Json{{"axis", "network.bandwidth"}, {"values", "9Gbps..1Gbps:log4"}}},
          "empty range, 0 values");
  refused({Json{{"axis", "network.bandwidth"}, {"values", Json::array()}}}, "0 values");
  refused({kBandwidth, kBandwidth}, "two axes are called");
  refused(
      {kBandwidth, Json{{"axis", "again"}, {"field", "network.bandwidth"}, {"values", "3Gbps"}}},
      "both say");
  refused({Json{{"axis", "seed"}, {"values", "1..1000"}},
           Json{{"axis", "batch"}, {"values", "1..1000"}},
           Json{{"axis", "steps"}, {"values", "1..1000"}}},
          "make 1000000000 points (1000 x 1000 x 1000); at most 1000000 are run");
  refused({kBandwidth}, "unknown axis 'nodes'", {{"skip", {{{"nodes", "4"}}}}});
  refused({kBandwidth}, "unknown value of 'network.bandwidth' '2Gbps'",
          {{"only", {{{"network.bandwidth", "2Gbps"}}}}});
  refused({kBandwidth}, "leave 0 of 2 points", {{"skip", {{{"network.bandwidth", "*Gbps"}}}}});
  refused({kBandwidth}, "unknown key 'axis'", {{"axis", 1}});
}

// An axis of an option goes into the schedules that the axis before it says.
TEST(Study, MayVaryAnOptionOfSchedulesThatVary) {
  const Json schedules{{"axis", "schedule"}, {"values", "cocod-sgd,local-sgd"}},
      periods{{"axis", "schedule.period"}, {"values", "2,5"}};
  const Study study = study_of({schedules, periods});
  EXPECT_EQ(study.point(3).experiment["schedule"], Json({{"name", "local-sgd"}, {"period", 5}}));
  EXPECT_THAT(
      [&] {
        study_of({periods, schedules});
      },
      ThrowsMessage<InputError>(HasSubstr("put that first")));
  EXPECT_THAT(
      [&] {
        study_of({Json{{"axis", "schedule"}, {"values", "cocod-sgd:period=3"}}, periods});
      },
      ThrowsMessage<InputError>(HasSubstr("both say 'schedule.period'")));
}

// A value that does not fit the first of the others is no mistake if it fits their last.
TEST(Study, MayHaveValuesThatFitSomeOfTheOthersOnly) {
  Study study = study_of({kCount, Json{{"axis", "gpus"}, {"values", "0-3,0-7"}}});
  study.check_values();
  EXPECT_EQ(study.points(), 6U);
}

TEST(Study, IsWhatTheCommandLineMakesOfIt) {
  Study study = Study::read(small(), "command line");
  study.add({.vary = {"network.bandwidth=1Gbps,10Gbps", "nodes[0].count=4..16:x2"},
             .skip = {"nodes[0].count=8"}});
  study.finish();
  EXPECT_EQ(study.points(), 4U);
  Study sampled = Study::read(small(), "command line");
  sampled.add({.vary = {"network.bandwidth=1Gbps..9Gbps", "batch=1..64"}, .sample = 10});
  sampled.finish();
  EXPECT_EQ(sampled.points(), 10U);
}

TEST(Study, ShippedOnesCanBeRead) {
  for (const auto& [name, text] : shipped_studies()) {
    const ExperimentText found = load_study(name);
    Study study = Study::read(found.json, found.file);
    study.finish();
    EXPECT_NO_THROW(study.check_values()) << name;
    EXPECT_EQ(study.name, name);
    EXPECT_FALSE(study.description.empty()) << name;
  }
}

}  // namespace
}  // namespace paceline
