#include "experiments/run_store.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "experiments/compare.hpp"
#include "experiments/run.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

Json training() {
  return {{"format", "paceline-experiment-1"},
          {"name", "first"},
          {"model", "mlp"},
          {"batch", 4},
          {"cluster", "16x1-1080ti-10gbe"},
          {"gpus", "0-1"},
          {"steps", 4},
          {"training", {{"data", {{"name", "digits"}, {"train", 64}, {"test", 20}}}}}};
}

class Runs : public ::testing::Test {
 protected:
  Runs() {
    fs::remove_all(folder_);
    settings_.runs = folder_;
    settings_.progress = [this](const CompareProgress& progress) { last_ = progress; };
  }
  ~Runs() override { fs::remove_all(folder_); }

  Comparison compared(const std::string& axis, const Json& json = training()) {
    return compare(json, "test.json", {axis_from_option(axis)}, settings_);
  }
  std::vector<fs::path> files() const {
    return {fs::directory_iterator(folder_), fs::directory_iterator()};
  }

  fs::path folder_ =
      fs::path(::testing::TempDir()) / ("paceline-run-store-" + std::to_string(::getpid()));
  CompareSettings settings_;
  CompareProgress last_;
};

TEST_F(Runs, OnlyWhatIsMissingIsMade) {
  const Json first = to_json(compared("seed=1,2"));
  EXPECT_EQ(last_.all, 2U);  // S-SGD is its own baseline
  EXPECT_EQ(last_.stored, 0U);
  EXPECT_EQ(files().size(), 2U);
  EXPECT_EQ(to_json(compared("seed=1,2")), first);
  EXPECT_EQ(last_.stored, 2U);
  (void)compared("seed=1,2,3");
  EXPECT_EQ(last_.stored, 2U);
  EXPECT_EQ(last_.done, 3U);
  EXPECT_EQ(files().size(), 3U);
}

TEST_F(Runs, AreFoundUnderAnotherNameButNotForAnotherTraining) {
  (void)compared("seed=1");
  Json json = training();
  json["name"] = "second";
  EXPECT_EQ(compared("seed=1", json).rows[0].result.name, "second");
  EXPECT_EQ(last_.stored, 1U);
  json["training"]["target"] = 0.0;  // at the first evaluation
  const TrainingOutcome found = *compared("seed=1", json).rows[0].result.job.training;
  EXPECT_EQ(last_.stored, 1U);
  EXPECT_EQ(found.time_to_target_s, found.evaluations.front().time_s);
  json["training"]["learning_rate"] = 0.01;
  (void)compared("seed=1", json);
  EXPECT_EQ(last_.stored, 0U);
  EXPECT_EQ(files().size(), 2U);
}

TEST_F(Runs, DamagedOnesAreMadeAgain) {
  const Json first = to_json(compared("seed=1"));
  const fs::path file = files().front();
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_EQ(to_json(compared("seed=1")), first);
  EXPECT_EQ(last_.stored, 0U);
  // What is stored is what is shown: nobody ran it again.
  Json stored = load_json(file);
  stored["total_time_s"] = 1234.5;
  save_json(file, stored);
  EXPECT_EQ(compared("seed=1").rows[0].result.job.total_time_s, 1234.5);
}

TEST_F(Runs, OfOthersAreKeptWhenOneIsWrong) {
  EXPECT_THROW((void)compared("schedule=s-sgd,od-sgd:warm_up=-1"), InputError);
  EXPECT_EQ(files().size(), 2U);  // S-SGD trained, and as the baseline of time
}

TEST_F(Runs, FolderThatCannotBe) {
  const fs::path file =
      fs::path(::testing::TempDir()) / ("paceline-run-store-file-" + std::to_string(::getpid()));
  std::ofstream(file) << "x";
  EXPECT_THROW(RunStore(file / "below"), InputError);
  EXPECT_THROW(RunStore{file}, InputError);
  fs::remove(file);
}

TEST(Training, TooBigForTheMachineIsRefusedBeforeItStarts) {
  Json json = training();
  json["model"] = "vgg16-cifar";
  json["gpus"] = "0-15";
  json["batch"] = 1'000'000;
  json["training"]["data"] = {{"name", "textures"}, {"train", 50'000'000}, {"test", 10}};
  try {
    (void)run_alone(read_experiment(json, "test.json"));
    FAIL();
  } catch (const InputError& error) {
    // Weights, gradient and velocity, and the activations of a million samples of each of 16.
    EXPECT_THAT(error.what(), ::testing::HasSubstr("16 workers x "));
    EXPECT_THAT(error.what(), ::testing::ContainsRegex("needs at least [0-9.]+ TB"));
    EXPECT_THAT(error.what(), ::testing::ContainsRegex("[0-9.]+ [MGT]B are available"));
  }
}

TEST(Training, EveryShardingIsReadAsWritten) {
  for (const char* kind : {"iid", "dirichlet", "by_label"}) {
    Json json = training();
    json["training"]["sharding"] = kind;
    const Experiment experiment = read_experiment(json, "test.json");
    const Json written = write_experiment(experiment);
    EXPECT_EQ(written["jobs"][0]["training"]["sharding"]["kind"], kind);
    EXPECT_EQ(write_experiment(read_experiment(written, "test.json")), written);
  }
}

TEST(Axes, TrainingIsMerged) {
  const std::vector<Axis> axes{axis_from_option("training.learning_rate.base=0.1,0.2"),
                               axis_from_option("training.sharding=iid,by_label")};
  Json json = training();
  json["training"]["learning_rate"] = {{"base", 0.5}, {"decay", "cosine"}};
  const std::vector<Point> all = points(json, axes);
  ASSERT_EQ(all.size(), 4U);
  const Json& last = all[3].json["training"];
  EXPECT_EQ(last["learning_rate"], (Json{{"base", 0.2}, {"decay", "cosine"}}));
  EXPECT_EQ(last["sharding"], "by_label");
  EXPECT_EQ(last["data"]["train"], 64);
}

}  // namespace
}  // namespace paceline
