#include "calibrate/profile/profile.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <random>

#include "base/error.hpp"

namespace paceline {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::ThrowsMessage;

const char* const kGood = R"({
  "format": "paceline-profile-1", "source": "measured", "uncertainty": 0.02, "device": "T4", "model": "m",
  "batches": [
    {"batch": 8, "layers": [
      {"name": "a", "forward": "1ms", "backward_data": "0s",
       "backward_weight": {"median": "2ms", "p25": "1.5ms", "p75": "3ms"}},
      {"name": "b", "forward": "1us", "backward": "2us"}]},
    {"batch": 16, "layers": [{"name": "a", "forward": "2ms", "backward": "4ms"},
                             {"name": "b", "forward": "2us", "backward": "4us"}]}
  ]})";

Profile read(const Json& json) {
  return read_profile(json, "p.json");
}

// The message of the refusal after one change of the good profile.
std::string refusal(const std::function<void(Json&)>& change) {
  Json json = parse_json(kGood, "good");
  change(json);
  try {
    read(json);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Profile, ReadsTimings) {
  const Profile profile = read(parse_json(kGood, "good"));
  EXPECT_EQ(profile.source, ProfileSource::measured);
  ASSERT_EQ(profile.batches.size(), 2);
  EXPECT_EQ(profile.batches[1].batch, 16);
  const LayerTimes& layer = profile.batches[0].layers[0];
  EXPECT_DOUBLE_EQ(layer.forward.median_s, 1e-3);
  EXPECT_FALSE(layer.forward.p25_s);
  EXPECT_DOUBLE_EQ(*layer.backward_weight.p75_s, 3e-3);
  EXPECT_DOUBLE_EQ(profile.batches[0].layers[1].backward_data.median_s, 2e-6);
}

Profile random_profile(unsigned seed) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> seconds(-8, 4);
  const auto timing = [&]() -> Timing {
    const double median = random() % 8 == 0 ? 0 : seconds(random);
    if (random() % 2 == 0) return {median, {}, {}};
    return {median, median * 0.9, median * (1 + 1e-15 * static_cast<double>(random() % 100))};
  };
  Profile profile;
  profile.source = ProfileSource::transferred;
  profile.parent = "5e884898da28";
  profile.uncertainty = 0.1234567890123456;
  profile.device = "V100";
  profile.model = "model \"x\"";
  profile.description = "é";
  profile.software = {{"cuDNN", "9.19.0"}, {"CUDA", "13.0"}};
  profile.host_overhead_per_op_s = seconds(random);
  profile.ceilings = {seconds(random) * 1e15, seconds(random) * 1e13, {}};
  profile.operations.launch_s = seconds(random);
  profile.operations.torch_legacy_s = 2.18896957e-10;
  profile.operations.kernels["sort"] = {seconds(random), 1.2345678901234567e-12, 0, 0.0123};
  profile.operations.kernels["scatter_add"] = {seconds(random), 0, 3e-11, 0};
  profile.operations.host_to_device_pageable = CopyCost{seconds(random), seconds(random) * 1e12};
  profile.operations.top_k = Selector::gaussian_k;
  (*profile.metadata)["clocks"] = {{"sm", {1980, 1965}}, {"locked", false}};
  for (const std::int64_t batch : {1, 32, 64}) {
    BatchTimes times;
    times.batch = batch;
    if (batch == 64)
      times.whole_net = WholeNetTimes{{}, timing(), timing(), {}, Spread::analytic};
    else
      for (int i = 0; i < 20; ++i)
        times.layers.push_back({"layer" + std::to_string(i), timing(), timing(), timing()});
    times.iteration = timing();
    times.closure_ratio = 0.97;
    times.input_pipeline_s = seconds(random);
    profile.batches.push_back(times);
  }
  return profile;
}

TEST(Profile, WritingAndReadingIsExact) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Profile profile = random_profile(seed);
    EXPECT_EQ(read(parse_json(profile_json(profile).dump(2), "text")), profile) << seed;
  }
}

TEST(Profile, SaveAndLoadAFile) {
  const auto file = std::filesystem::temp_directory_path() / "paceline_profile_test.json";
  const Profile profile = random_profile(99);
  save_profile(file, profile);
  EXPECT_EQ(load_profile(file.string()), profile);
  std::filesystem::remove(file);
}

TEST(Profile, RefusesBadInputByPath) {
  const auto layer = [](Json& j) -> Json& { return j["batches"][0]["layers"][0]; };
  EXPECT_THAT(refusal([](Json& j) { j["format"] = "paceline-profile-2"; }),
              HasSubstr("p.json: $.format"));
  EXPECT_THAT(refusal([](Json& j) { j["source"] = "mesured"; }), HasSubstr("measured"));
  EXPECT_THAT(refusal([](Json& j) { j["source"] = "interpolated"; }), HasSubstr("$.source"));
  EXPECT_THAT(refusal([](Json& j) { j["source"] = "transferred"; }), HasSubstr("'parent'"));
  EXPECT_THAT(refusal([](Json& j) { j.erase("uncertainty"); }), HasSubstr("uncertainty"));
  EXPECT_THAT(refusal([](Json& j) { j["uncertanty"] = 1; }), HasSubstr("uncertanty"));
  EXPECT_THAT(refusal([](Json& j) { j["batches"] = Json::array(); }), HasSubstr("no batches"));
  EXPECT_THAT(refusal([](Json& j) { j["batches"][1]["batch"] = 8; }),
              AllOf(HasSubstr("$.batches[1]"), HasSubstr("ascend")));
  EXPECT_THAT(refusal([](Json& j) { j["batches"][1].erase("batch"); }),
              HasSubstr("must state 'batch'"));
  EXPECT_THAT(refusal([](Json& j) { j["batches"][0]["batch"] = 0; }),
              HasSubstr("$.batches[0].batch"));
  EXPECT_THAT(refusal([&](Json& j) { layer(j)["forward"] = "-1ms"; }),
              AllOf(HasSubstr("$.batches[0].layers[0].forward"), HasSubstr("zero or more")));
  EXPECT_THAT(refusal([&](Json& j) { layer(j)["forward"] = "nan"; }),
              HasSubstr("layers[0].forward"));
  EXPECT_THAT(refusal([&](Json& j) { layer(j)["forward"] = "inf"; }), HasSubstr("finite"));
  EXPECT_THAT(refusal([&](Json& j) { layer(j)["forward"] = 0.001; }), HasSubstr("unit"));
  EXPECT_THAT(refusal([&](Json& j) { layer(j)["backward_weight"]["p25"] = "2.5ms"; }),
              HasSubstr("p25 <= median <= p75"));
  EXPECT_THAT(refusal([&](Json& j) { layer(j)["backward"] = "1ms"; }),
              HasSubstr("give either 'backward'"));
  EXPECT_THAT(refusal([&](Json& j) { layer(j)["name"] = "b"; }), HasSubstr("'b' appears twice"));
  EXPECT_THAT(refusal([](Json& j) {
                j["operations"] = {{"top_k", "sorted"}};
              }),
              AllOf(HasSubstr("$.operations.top_k"), HasSubstr("sort")));
  EXPECT_THAT(refusal([](Json& j) {
                j["operations"]["kernels"]["sortt"] = {{"fixed", "1us"}};
              }),
              AllOf(HasSubstr("$.operations.kernels"), HasSubstr("'sort'")));
  EXPECT_THAT(refusal([](Json& j) { j["metadata"] = "none"; }),
              AllOf(HasSubstr("$.metadata"), HasSubstr("object")));
}

TEST(Profile, ABackwardPassThatWasTimedAsOneIsWrittenAsOne) {
  const Json batches = profile_json(read(parse_json(kGood, "good"))).at("batches");
  EXPECT_TRUE(batches.at(0).at("layers").at(0).contains("backward_weight"));
  const Json& whole = batches.at(0).at("layers").at(1);
  EXPECT_EQ(whole.at("backward"), "2us");
  EXPECT_FALSE(whole.contains("backward_data") || whole.contains("backward_weight"));
}

TEST(Profile, WhatCouldNotBeReadAgainIsNotWritten) {
  const auto file = std::filesystem::temp_directory_path() / "paceline_profile_refused.json";
  Profile profile = random_profile(7);
  save_profile(file, profile);
  const Profile good = profile;
  profile.uncertainty = 999;
  EXPECT_THROW(save_profile(file, profile), InputError);
  profile = good;
  profile.batches[0].layers[0].forward.median_s = std::nan("");
  EXPECT_THROW(save_profile(file, profile), InputError);
  EXPECT_EQ(load_profile(file.string()), good);
  std::filesystem::remove(file);
}

TEST(Profile, WholeNetworkFormsExcludeEachOther) {
  const auto with = [](const Json& whole) {
    return refusal([&](Json& j) { j["batches"] = {{{"whole_net", whole}}}; });
  };
  EXPECT_EQ(with({{"step", "3s"}, {"spread", "uniform"}}), "accepted");
  EXPECT_EQ(with({{"forward", "1s"}, {"backward", "2s"}, {"spread", "analytic"}}), "accepted");
  EXPECT_EQ(with({{"forward", "1s"}, {"backward_per_tensor", "1ms"}, {"spread", "uniform"}}),
            "accepted");
  EXPECT_THAT(with({{"forward", "1s"}, {"backward_per_tensor", "1ms"}, {"spread", "analytic"}}),
              HasSubstr("spread"));
  EXPECT_THAT(with({{"forward", "1s"}, {"spread", "uniform"}}), HasSubstr("give either"));
  EXPECT_THAT(with({{"step", "1s"}, {"forward", "1s"}, {"spread", "uniform"}}),
              HasSubstr("give either"));
  EXPECT_THAT(with({{"forward", "1s"}, {"backward", "2s"}}), HasSubstr("spread"));
  EXPECT_THAT(refusal([](Json& j) { j["batches"][0]["whole_net"] = Json::object(); }),
              HasSubstr("either 'layers' or 'whole_net'"));
}

TEST(Profile, ShippedOnesAreAllReadable) {
  const std::vector<std::string> names = shipped_profiles();
  EXPECT_THAT(names, Contains("reference-wfbp"));
  EXPECT_THAT(names, Contains("lags-resnet50"));
  for (const std::string& name : names) {
    const Profile profile = load_profile(name);
    EXPECT_FALSE(profile.description.empty()) << name;
    EXPECT_NE(profile.source, ProfileSource::interpolated) << name;
  }
  const Profile lags = load_profile("lags-resnet50");
  EXPECT_EQ(lags.operations.top_k, Selector::torch_legacy);
  EXPECT_DOUBLE_EQ(*lags.operations.torch_legacy_s, 2.18896957e-10);
}

Json published(const char* file) {
  return load_json(std::string(PACELINE_SOURCE_DIR "/calibrate/data/published/") + file);
}

TEST(Profile, ShippedLagsTimesAreThePapers) {
  const std::map<std::string, std::string> names{{"ResNet-50", "lags-resnet50"},
                                                 {"Inception-v4", "lags-inception-v4"},
                                                 {"LSTM-PTB", "lags-lstm-ptb"}};
  const Json rows = published("lags-2020.json")["rows"];
  for (const Json& row : rows) {
    const BatchTimes times = load_profile(names.at(row["model"])).batches.at(0);
    EXPECT_FALSE(times.batch);
    EXPECT_NEAR(times.whole_net->forward->median_s, row["forward"].get<double>(), 1e-12);
    EXPECT_NEAR(times.whole_net->backward->median_s, row["backward"].get<double>(), 1e-12);
  }
}

TEST(Profile, ShippedGTopKTimesAreThePapers) {
  const std::map<std::string, std::string> names{{"VGG-16", "gtopk-vgg16-cifar"},
                                                 {"ResNet-20", "gtopk-resnet20"},
                                                 {"ResNet-50", "gtopk-resnet50"}};
  const Json rows = published("gtopk-2019.json")["rows"];
  for (const auto& [model, name] : names) {
    const BatchTimes times = load_profile(name).batches.at(0);
    const double rate = static_cast<double>(*times.batch) / times.whole_net->step->median_s;
    EXPECT_NEAR(rate / rows[model]["Dense"][0].get<double>(), 1, 1e-5) << name;
  }
}

TEST(Profile, ShippedMgWfbpTimesAreThePapers) {
  const Json rows = published("mgwfbp-2021.json")["rows"];
  for (const Json& row : rows) {
    const std::string name =
        row["model"] == "ResNet-152" ? "mgwfbp-resnet152" : "mgwfbp-inception-v4";
    for (const auto& [key, suffix] : {std::pair{"fp32", ""}, std::pair{"fp16", "-fp16"}}) {
      const Profile profile = load_profile(name + suffix);
      EXPECT_EQ(profile.precision, key);
      EXPECT_EQ(profile.batches.at(0).batch, row["batch_per_gpu"].get<std::int64_t>());
      EXPECT_NEAR(profile.batches.at(0).whole_net->step->median_s,
                  row[key]["compute"].get<double>(), 1e-12);
    }
  }
}

TEST(Profile, ReferenceOperationsAreFreeAndSurviveWriting) {
  const Profile profile = load_profile("reference-wfbp");
  const OperationCosts costs = operation_costs(profile);
  EXPECT_EQ(costs.optimizer_update(25e6), 0);
  EXPECT_EQ(costs.top_k(1e6, 1000, costs.default_top_k()), 0);
  EXPECT_EQ(costs.copy_h2d(1e9), 0);
  EXPECT_EQ(costs.host_update(1e9, std::numeric_limits<double>::infinity()), 0);
  EXPECT_EQ(read(parse_json(profile_json(profile).dump(), "text")), profile);
}

TEST(Profile, UnknownNameSuggestsAndAFileWins) {
  EXPECT_THAT([] { load_profile("lags-resnet5O"); },
              ThrowsMessage<InputError>(HasSubstr("lags-resnet50")));
  EXPECT_THAT([] { load_profile("none/x.json"); },
              ThrowsMessage<InputError>(HasSubstr("no such profile file")));
}

}  // namespace
}  // namespace paceline
