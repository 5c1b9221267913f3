// Real ranks on this machine, more of them than it has cores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>

#include "base/json.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Ranks : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "paceline-ranks-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  int shell(const std::string& command) {
    const std::string line =
        "cd '" + folder_.string() + "' && { " + command + "; } >out 2>err </dev/null";
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // Shared memory alone: one machine, without single-copy calls that containers forbid. A timeout
  // that is not in the foreground passes a signal on twice, and at the second mpirun forgets what
  // the ranks have said.
  static std::string mpirun(int ranks) {
    return "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout --foreground "
           "120 " MPIRUN " -n " +
           std::to_string(ranks) +
           " --oversubscribe --bind-to none --mca btl self,vader --mca "
           "btl_vader_single_copy_mechanism none "
           "--mca mpi_yield_when_idle 1 ";
  }
  std::string read(const std::string& name) {
    std::ifstream stream(folder_ / name);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  static std::string workers(int ranks) { return " --gpus 0-" + std::to_string(ranks - 1) + " "; }
  Json simulated(const std::string& arguments) {
    EXPECT_EQ(shell(PACELINE_BINARY " run --json --baseline none " + arguments), 0) << read("err");
    return Json::parse(read("out"));
  }
  Json measured(int ranks, const std::string& arguments) {
    EXPECT_EQ(shell(mpirun(ranks) + PACELINE_MPI_BINARY " run --json --timeout 30s " + arguments),
              0)
        << read("err") << read("out");
    return Json::parse(read("out"));
  }
  // Losses of all steps, and the model's at the end.
  static std::vector<double> losses(const Json& result) {
    std::vector<double> all;
    for (const Json& step : result.at("training").at("steps")) all.push_back(step.at("loss"));
    const Json& last = result.at("training").at("evaluations").back();
    all.push_back(last.at("loss"));
    all.push_back(last.at("accuracy"));
    return all;
  }

  const std::string training_ =
      "-m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 12 --evaluate-every 12 --threads 1 --lr 0.05 ";
  /// Of a shell, beside ranks that run with --progress: waits until the first step is done.
  const std::string running_ =
      "n=0; until grep -q \"step [1-9]\" err || [ $n = 600 ]; do sleep 0.1; n=$((n + 1)); done; ";
  fs::path folder_;
};

TEST_F(Ranks, ValuesOfSynchronousSchedulesAreTheSimulatorsToTheBit) {
  for (const std::string schedule :
       {"s-sgd:overlap=none", "s-sgd:overlap=wfbp", "s-sgd:overlap=mg-wfbp", "local-sgd:period=4",
        "cocod-sgd:period=4", "slgs-sgd:density=0.05", "lags-sgd:density=0.05",
        "gtop-k:density=0.05", "diloco:period=4"}) {
    const std::string run = training_ + workers(3) + "-s " + schedule;
    const std::vector<double> real = losses(measured(3, run));
    EXPECT_EQ(real.size(), 14U) << schedule;
    EXPECT_EQ(real, losses(simulated(run))) << schedule;
  }
}

TEST_F(Ranks, ParameterServersAreRanksBehindTheWorkers) {
  for (const std::string schedule : {"ps-s-sgd:overlap=none", "ps-s-sgd:overlap=wfbp"}) {
    const std::string run = training_ + workers(2) + "--servers 2 -s " + schedule;
    EXPECT_EQ(losses(measured(4, run)), losses(simulated(run))) << schedule;
  }
}

// In which order gradients come decides what is learnt: nothing is asked of the values but that
// they are those of a training.
TEST_F(Ranks, AsynchronousSchedulesLearn) {
  for (const std::string schedule : {"asgd", "dc-asgd", "od-sgd:warm_up=4"}) {
    const std::string run =
        "-m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 60 --evaluate-every 60 --threads 1 --lr 0.01 "
        "--servers 1 -s " +
        schedule + workers(3);
    const Json result = measured(4, run);
    const std::vector<double> found = losses(result);
    ASSERT_EQ(found.size(), 62U) << schedule;
    const auto mean = [&](std::size_t from) {
      return std::accumulate(&found[from], &found[from] + 20, 0.0) / 20;
    };
    EXPECT_LT(mean(40), mean(0)) << schedule;
    const double bytes = simulated(run).at("total_bytes");
    EXPECT_NEAR(result.at("total_bytes").get<double>(), bytes, 0.02 * bytes) << schedule;
  }
}

TEST_F(Ranks, OtherSumsAreTheSimulatorsToRounding) {
  const std::string run = training_ + workers(4) + "-s s-sgd:overlap=wfbp ";
  const std::vector<double> expected = losses(simulated(run));
  for (const std::string by : {"ring", "library"}) {
    const std::vector<double> found = losses(measured(4, run + "--all-reduce-by " + by));
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_NEAR(found[i], expected[i], 1e-3 * std::abs(expected[i])) << by << ", step " << i;
  }
}

TEST_F(Ranks, ComputeMayBeReal) {
  const std::string run = training_ + workers(2) + "-s s-sgd:overlap=wfbp ";
  const Json result = measured(2, run + "--compute real");
  EXPECT_EQ(losses(result), losses(simulated(run)));
  EXPECT_GT(result.at("iteration_time_s").get<double>(), 0);
}

TEST_F(Ranks, ReplayedComputeTakesItsTime) {
  const std::string run =
      "-m resnet50 -b 32 -c 16x1-1080ti-10gbe --steps 6 -s local-sgd:period=3" + workers(2);
  const Json result = measured(2, run), expected = simulated(run);
  EXPECT_EQ(result.at("fidelity"), "measured");
  double computed = 0;
  for (const char* part : {"forward_s", "backward_s", "update_s"}) {
    const double seconds = expected.at("time").at(part);
    EXPECT_NEAR(result.at("time").at(part).get<double>(), seconds, 1e-9) << part;
    computed += seconds;
  }
  // How much longer it took is the machine's matter, which others use too.
  EXPECT_GE(result.at("iteration_time_s").get<double>(), computed);
  EXPECT_NEAR(result.at("sent_bytes").get<double>(), expected.at("sent_bytes").get<double>(), 16);
}

TEST_F(Ranks, EveryAlgorithmOfTheSimulatorRuns) {
  for (const std::string algorithm : {"ring", "double_binary_tree", "halving_doubling"}) {
    const std::string run =
        "-m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 4 -s s-sgd:overlap=none --all-reduce " +
        algorithm + workers(3);
    EXPECT_NEAR(measured(3, run).at("sent_bytes").get<double>(),
                simulated(run).at("sent_bytes").get<double>(), 64)
        << algorithm;
  }
}

TEST_F(Ranks, ARankThatDiesEndsTheRunByItsName) {
  const std::string run = mpirun(2) + "sh -c 'if [ $OMPI_COMM_WORLD_RANK = 1 ]; then (" + running_ +
                          "kill -9 $$) & fi; exec " PACELINE_MPI_BINARY
                          " run -m resnet50 -b 32 -c 16x1-1080ti-10gbe --steps 5000 --progress" +
                          workers(2) + "'";
  EXPECT_NE(shell(run), 0);
  EXPECT_THAT(read("err"), HasSubstr("rank 1"));
  // Who was there says what it was at.
  EXPECT_THAT(read("err"), HasSubstr("paceline-mpi: rank 0 on"));
  EXPECT_THAT(read("err"), HasSubstr("stopped in step"));
}

TEST_F(Ranks, CtrlCEndsTheRunAndSaysWhereItWas) {
  const std::string run = mpirun(2) + PACELINE_MPI_BINARY +
                          " run -m resnet50 -b 32 -c 16x1-1080ti-10gbe --steps 5000 --progress" +
                          workers(2) + "& " + running_ + "kill -INT $!; wait $!";
  EXPECT_NE(shell(run), 0);
  EXPECT_THAT(read("err"), HasSubstr("of 5000"));
  EXPECT_THAT(read("err"), HasSubstr("stopped in step"));
}

TEST_F(Ranks, TracesAreComparedByOperation) {
  std::ofstream(folder_ / "sim.json") << R"({"traceEvents":[
    {"ph":"M","pid":0,"tid":0,"name":"thread_name","args":{"name":"compute"}},
    {"ph":"X","pid":0,"tid":0,"ts":0,"dur":1000,"name":"a","cat":"c"},
    {"ph":"X","pid":0,"tid":0,"ts":1000,"dur":2000,"name":"b","cat":"c"},
    {"ph":"X","pid":0,"tid":0,"ts":3500,"dur":1000,"name":"a","cat":"c"}]})";
  std::ofstream(folder_ / "real.json") << R"({"traceEvents":[
    {"ph":"M","pid":0,"tid":0,"name":"thread_name","args":{"name":"compute"}},
    {"ph":"X","pid":0,"tid":0,"ts":0,"dur":1500,"name":"a","cat":"c"},
    {"ph":"X","pid":0,"tid":0,"ts":1700,"dur":2000,"name":"b","cat":"c"},
    {"ph":"X","pid":0,"tid":0,"ts":5200,"dur":1000,"name":"a","cat":"c"},
    {"ph":"X","pid":0,"tid":0,"ts":6200,"dur":1,"name":"z","cat":"c"}]})";
  ASSERT_EQ(shell(PACELINE_BINARY " compare-trace sim.json real.json --json"), 0) << read("err");
  const Json found = Json::parse(read("out"));
  EXPECT_EQ(found.at("only_real"), 1);
  EXPECT_EQ(found.at("only_simulated"), 0);
  ASSERT_EQ(found.at("operations").size(), 2U);
  const Json& a = found.at("operations")[0];  // 0.5 ms longer, and 1 ms more idle before the last
  EXPECT_EQ(a.at("operation"), "a");
  EXPECT_NEAR(a.at("longer_s").get<double>(), 0.5e-3, 1e-9);
  EXPECT_NEAR(a.at("later_s").get<double>(), 1e-3, 1e-9);
  EXPECT_NEAR(found.at("operations")[1].at("later_s").get<double>(), 0.2e-3, 1e-9);
  std::ofstream(folder_ / "other.json") << "{}";
  EXPECT_EQ(shell(PACELINE_BINARY " compare-trace sim.json other.json"), 2);
  EXPECT_THAT(read("err"), HasSubstr("traceEvents"));
}

TEST_F(Ranks, TracesOfBothWorldsHaveTheSameOperations) {
  const std::string run =
      "-m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 4 -s s-sgd:overlap=wfbp" + workers(2);
  simulated(run + "--trace sim.json --no-extrapolation");
  measured(2, run + "--trace real.json");
  ASSERT_EQ(shell(PACELINE_BINARY " compare-trace sim.json real.0.json real.1.json --json"), 0)
      << read("err");
  const Json found = Json::parse(read("out"));
  EXPECT_EQ(found.at("workers"), 2);
  EXPECT_EQ(found.at("only_real"), 0);
  EXPECT_EQ(found.at("only_simulated"), 0);
}

// A push, and an answer to a pull, of each shard and step, on the track of its server; the trace of a
// server rank has what the server computes.
TEST_F(Ranks, TracesOfBothWorldsHaveThePushesAndPulls) {
  for (const std::string schedule : {"ps-s-sgd:overlap=wfbp", "od-sgd:warm_up=2"}) {
    const std::string run =
        "-m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 5 --servers 2 -s " + schedule + workers(2);
    simulated(run + "--trace sim.json --no-extrapolation");
    measured(4, run + "--trace real.json");
    ASSERT_EQ(shell(PACELINE_BINARY " compare-trace sim.json real.0.json real.1.json real.2.json "
                                    "real.3.json --json"),
              0)
        << read("err");
    const Json found = Json::parse(read("out"));
    EXPECT_EQ(found.at("only_real"), 0) << schedule;
    EXPECT_EQ(found.at("only_simulated"), 0) << schedule;
    std::map<std::string, double> messages;  // by track, of the mean worker
    for (const Json& operation : found.at("operations")) {
      EXPECT_GE(operation.at("real_s").get<double>(), 0);
      messages[operation.at("stream")] += operation.at("count").get<double>();
    }
    for (const char* track :
         {"push to server 0", "push to server 1", "pull from server 0", "pull from server 1"})
      EXPECT_GT(messages[track], 0) << schedule << ", " << track;
    EXPECT_EQ(messages["push to server 0"], messages["pull from server 0"]) << schedule;
  }
}

TEST_F(Ranks, ARankThatHangsEndsTheRunWithWhatIsOutstanding) {
  const std::string run =
      mpirun(2) + "sh -c 'if [ $OMPI_COMM_WORLD_RANK = 1 ]; then (" + running_ +
      "kill -STOP $$; sleep 20; kill -9 $$) & fi; exec " PACELINE_MPI_BINARY
      " run -m resnet50 -b 32 -c 16x1-1080ti-10gbe --timeout 3s --steps 5000 --progress" +
      workers(2) + "'";
  EXPECT_NE(shell(run), 0);
  EXPECT_THAT(read("err"), HasSubstr("rank 0 on"));
  EXPECT_THAT(read("err"), HasSubstr("nothing happened for 3 s"));
  EXPECT_THAT(read("err"), HasSubstr("from rank 1"));
}

TEST_F(Ranks, SaysHowManyItNeeds) {
  EXPECT_EQ(shell(mpirun(2) + PACELINE_MPI_BINARY " run reference-wfbp"), 2);
  EXPECT_THAT(read("err"), HasSubstr("mpirun -n 16"));
  EXPECT_NE(shell(mpirun(2) +
                  PACELINE_MPI_BINARY " run -m resnet50 -b 32 -c 16x1-1080ti-10gbe --compute real" +
                  workers(2)),
            0);
  EXPECT_THAT(read("err"), HasSubstr("--numerics"));
}

}  // namespace
}  // namespace paceline
