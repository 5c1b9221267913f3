#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TrainingCli : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "paceline-training-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  int paceline(const std::string& arguments, const std::string& out = "out") {
    const std::string line = "cd '" + folder_.string() + "' && '" PACELINE_BINARY "' " + arguments +
                             " >" + out + " 2>err </dev/null";
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string read(const std::string& name) {
    std::ifstream stream(folder_ / name);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  void refuses(const std::string& arguments, const std::string& expected) {
    EXPECT_EQ(paceline(arguments), 2) << arguments;
    EXPECT_THAT(read("err"), HasSubstr(expected)) << arguments;
    EXPECT_EQ(read("out"), "") << arguments;
  }

  const std::string base_ =
      "run -m lenet5 -b 16 -c 16x1-1080ti-1gbe --gpus 0-3 --steps 20 --numerics ";
  fs::path folder_;
};

// Its curves are those of the whole training, as far as they go.
TEST_F(TrainingCli, EndsWithTheAccuracyThatIsWanted) {
  for (const std::string schedule : {"s-sgd", "cocod-sgd:period=3", "asgd"}) {
    const std::string run =
        "run -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-2 --steps 200 --numerics --lr 0.02 "
        "--evaluate-every 10 --json -s " +
        schedule;
    ASSERT_EQ(paceline(run, "all"), 0) << read("err");
    ASSERT_EQ(paceline(run + " --until accuracy=0.46 --threads 1", "one"), 0) << read("err");
    ASSERT_EQ(paceline(run + " --until accuracy=0.46 --threads 2", "two"), 0) << read("err");
    EXPECT_EQ(read("one"), read("two")) << schedule;
    const Json whole = Json::parse(read("all")), ended = Json::parse(read("one"));
    const Json &all = whole.at("training"), &some = ended.at("training");
    const Json& evaluations = some.at("evaluations");
    ASSERT_LT(evaluations.size(), all.at("evaluations").size()) << schedule;
    for (std::size_t i = 0; i < evaluations.size(); ++i) {
      EXPECT_EQ(evaluations[i], all.at("evaluations")[i]) << schedule;
      EXPECT_EQ(evaluations[i].at("accuracy").get<double>() >= 0.46, i + 1 == evaluations.size());
    }
    for (std::size_t i = 0; i < some.at("steps").size(); ++i)
      ASSERT_EQ(some.at("steps")[i], all.at("steps")[i]) << schedule;
    EXPECT_EQ(some.at("steps_to_target"), evaluations.back().at("step"));
    EXPECT_EQ(ended.at("steps"), some.at("steps").size());
    if (schedule == "asgd") continue;  // its pace is that of the time in which all work
    const double own = ended.at("iteration_time_s"), full = whole.at("iteration_time_s");
    EXPECT_NEAR(own / full, 1, 1e-3) << schedule;
  }
  refuses(base_ + "--until 0.9", "--until '0.9': expected accuracy=");
  refuses(base_ + "--until accuracy=2", "--until 'accuracy=2': expected accuracy=");
}

TEST_F(TrainingCli, ProgressWithoutATerminalIsAskedFor) {
  const std::string run = "run -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 60 --numerics ";
  ASSERT_EQ(paceline(run), 0);
  EXPECT_EQ(read("err"), "");
  ASSERT_EQ(paceline(run + "--progress"), 0);
  EXPECT_THAT(read("err"), HasSubstr("paceline: this machine will take about "));
  EXPECT_THAT(read("err"), HasSubstr("paceline: [....................] step 1 of 60"));
}

TEST_F(TrainingCli, LossFallsAndThreadsChangeNothing) {
  for (const std::string schedule : {"s-sgd", "cocod-sgd:period=5"}) {
    const std::string run = base_ + "--lr 0.02 --evaluate-every 10 --json -s " + schedule;
    ASSERT_EQ(paceline(run + " --threads 1 --metrics m.csv", "one"), 0) << read("err");
    ASSERT_EQ(paceline(run + " --threads 2", "two"), 0) << read("err");
    EXPECT_EQ(read("one"), read("two")) << schedule;
    const Json training = Json::parse(read("one")).at("training");
    const Json& steps = training.at("steps");
    ASSERT_EQ(steps.size(), 20U);
    double early = 0, late = 0;
    for (std::size_t i = 0; i < 5; ++i) {
      early += steps[i].at("loss").get<double>();
      late += steps[19 - i].at("loss").get<double>();
    }
    EXPECT_LT(late, early) << schedule;
    for (std::size_t i = 1; i < 20; ++i)
      EXPECT_GT(steps[i].at("time_s").get<double>(), steps[i - 1].at("time_s").get<double>());
    EXPECT_EQ(training.at("evaluations").back().at("step"), 20);
    EXPECT_EQ(training.at("weights"), "mean of the workers");
    const std::string metrics = read("m.csv");
    EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 21);
    ASSERT_EQ(paceline("plot one --out plot.svg --y accuracy"), 0) << read("err");
    EXPECT_THAT(read("plot.svg"), HasSubstr("<polyline"));
    EXPECT_THAT(read("plot.svg"), HasSubstr("simulated cluster time (s)"));
    if (std::system("command -v xmllint >/dev/null") == 0) {
      const std::string check = "xmllint --noout '" + (folder_ / "plot.svg").string() + "'";
      EXPECT_EQ(std::system(check.c_str()), 0);
    }
  }
}

TEST_F(TrainingCli, SeedsBecomeOneLineAndATable) {
  const std::string compare =
      "compare -m mlp -b 4 -c 16x1-1080ti-10gbe --gpus 0-1 --steps 4 --numerics --target 0.01 "
      "--vary schedule=s-sgd,lags-sgd:density=0.1 --vary seed=1,2 --runs runs";
  ASSERT_EQ(paceline(compare), 0) << read("err");
  EXPECT_EQ(read("err"), "");  // no progress in a pipe
  EXPECT_THAT(read("out"), HasSubstr("over seeds: mean [least, most]"));
  ASSERT_EQ(paceline(compare + " --json", "all"), 0) << read("err");
  ASSERT_EQ(paceline("plot all --y accuracy --log --out all.svg"), 0) << read("err");
  const std::string svg = read("all.svg");
  EXPECT_THAT(svg, HasSubstr(">lags-sgd:density=0.1</text>"));
  EXPECT_THAT(svg, HasSubstr("<polygon"));
  EXPECT_THAT(svg, ::testing::Not(HasSubstr("s-sgd, 2")));
  ASSERT_EQ(paceline("plot all --only schedule=s-sgd --out one.svg"), 0) << read("err");
  EXPECT_THAT(read("one.svg"), ::testing::Not(HasSubstr("lags")));
  EXPECT_THAT(read("out"), HasSubstr("written one.svg"));
  ASSERT_EQ(paceline("plot all --only schedule=s-sgd --only schedule=lags-sgd:density=0.1 "
                     "--y accuracy --y-from 5 --out two.svg"),
            0)
      << read("err");
  EXPECT_THAT(read("two.svg"), HasSubstr("lags"));
  EXPECT_THAT(read("two.svg"), HasSubstr("clip-path"));
  ASSERT_EQ(paceline("plot all --only seed=1 --target 0.01 --out one.svg"), 0) << read("err");
  EXPECT_THAT(read("out"), HasSubstr("to target s"));
  ASSERT_EQ(paceline(compare + " --csv"), 0) << read("err");
  EXPECT_THAT(read("out"), HasSubstr("final_accuracy,target,time_to_target_s"));
  // One of two seeds that misses the target makes no claim.
  Json edited = Json::parse(read("all"));
  for (Json& point : edited.at("rows").back().at("result").at("training").at("evaluations"))
    point["accuracy"] = 0.0;
  std::ofstream(folder_ / "edited") << edited.dump();
  ASSERT_EQ(paceline("plot edited --target 0.01 --out one.svg"), 0) << read("err");
  EXPECT_THAT(read("out"), HasSubstr("(1 of 2)"));
  EXPECT_THAT(read("out"), HasSubstr("not in every run"));
  refuses("plot all --only schedul=s-sgd --out one.svg", "schedule");
  refuses("plot all --only schedule=s-sgdd --out one.svg", "s-sgd");
  if (std::system("command -v rsvg-convert >/dev/null") == 0) {
    ASSERT_EQ(paceline("plot all --out all.png"), 0) << read("err");
    EXPECT_EQ(read("all.png").substr(1, 3), "PNG");
  }
}

TEST_F(TrainingCli, MetricsOfLagsPerLayer) {
  ASSERT_EQ(paceline(base_ + "-s lags-sgd:density=0.05 --evaluate-every 10 --metrics m.csv"), 0)
      << read("err");
  EXPECT_THAT(read("out"), HasSubstr("delta at most"));
  const std::string metrics = read("m.csv");
  EXPECT_THAT(metrics.substr(0, metrics.find('\n')),
              HasSubstr("residual_norm,compression_error,delta "));
}

TEST_F(TrainingCli, ProgressOnATerminal) {
  if (std::system("command -v script >/dev/null") != 0) GTEST_SKIP() << "no script(1)";
  const std::string line = "cd '" + folder_.string() + "' && script -qec \"'" PACELINE_BINARY "' " +
                           base_ + "\" typescript >/dev/null </dev/null";
  ASSERT_EQ(std::system(line.c_str()), 0);
  const std::string seen = read("typescript");
  for (const char* part : {"[####################] step 20 of 20", "loss ", "samples/s", " left"})
    EXPECT_THAT(seen, HasSubstr(part));
}

TEST_F(TrainingCli, DivergenceIsReported) {
  ASSERT_EQ(paceline("run -m mlp -b 16 -c 16x1-1080ti-1gbe --gpus 0-3 --steps 20 --lr 1e6 --json"),
            0)
      << read("err");
  const Json training = Json::parse(read("out")).at("training");
  ASSERT_TRUE(training.contains("diverged_step")) << training.dump();
  EXPECT_GE(training.at("diverged_worker"), 0);
  EXPECT_FALSE(training.contains("final_accuracy"));
}

TEST_F(TrainingCli, SaysWhichPartsOfTheOptimiserDoNotAct) {
  const std::string run = "run -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 2 --numerics -s ";
  const std::string idle = "the optimiser's momentum 0.9 does not act";
  for (const char* schedule : {"slgs-sgd", "lags-sgd", "gtop-k", "dgc"}) {
    ASSERT_EQ(paceline(run + schedule), 0) << read("err");
    EXPECT_THAT(read("out"), HasSubstr(idle)) << schedule;
  }
  for (const char* schedule : {"s-sgd", "slgs-sgd:error_feedback=raw", "slgs-sgd --momentum 0"}) {
    ASSERT_EQ(paceline(run + schedule), 0) << read("err");
    EXPECT_THAT(read("out"), Not(HasSubstr("not act"))) << schedule;
  }
}

TEST_F(TrainingCli, RefusesWhatCannotBe) {
  refuses(base_ + "--data digit", "digits");
  refuses(base_ + "--sharding dirichle", "dirichlet");
  refuses(base_ + "--backend onednm", "onednn");
  refuses(base_ + "--optimizer sgd --momentum 0.9", "momentum");
  refuses(base_ + "--data textures", "lenet5");
  refuses(base_ + "--threads 0", "threads");
  refuses(base_ + "--target 90", "target");
  refuses("run -m lenet5 -b 16 -c 16x1-1080ti-1gbe --metrics m.csv", "--numerics");
  refuses(
      "run -m lstm-ptb -b 20 -c 16x1-1080ti-1gbe --set 'nodes[0].count=1024' --numerics "
      "--data grammar",
      "of this machine's memory");
  ASSERT_EQ(paceline("run -m lenet5 -b 16 -c 16x1-1080ti-1gbe --json", "plain"), 0);
  refuses("plot plain --out p.svg", "--numerics");
  EXPECT_FALSE(fs::exists(folder_ / "p.svg"));
}

}  // namespace
}  // namespace paceline
