// A training that is killed with SIGKILL goes on from its checkpoint to the same result.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace paceline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CheckpointCli : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "paceline-kill-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The program itself, not a shell, is what a signal reaches.
  [[nodiscard]] pid_t start(const std::string& arguments, const std::string& out) const {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const std::string line = "cd '" + folder_.string() + "' && exec '" PACELINE_BINARY "' " +
                             arguments + " >" + out + " 2>err </dev/null";
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    ::_exit(127);
  }
  static int status_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }
  int paceline(const std::string& arguments, const std::string& out) const {
    const int status = status_of(start(arguments, out));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream stream(folder_ / name);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  [[nodiscard]] bool has_checkpoint() const {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ / "saved", none))
      if (entry.path().extension() == ".paceline") return true;
    return false;
  }
  void refuses(const std::string& arguments, const std::string& expected) const {
    EXPECT_EQ(paceline(arguments, "refused"), 2) << arguments;
    EXPECT_THAT(read("err"), HasSubstr(expected)) << arguments;
    EXPECT_EQ(read("refused"), "") << arguments;
  }

  void kill_and_resume(const std::string& schedule) const {
    // Seven divides neither the rounds of five nor the steps between evaluations.
    const std::string run = base_ + "-s " + schedule;
    const std::string saving = " --checkpoint saved --checkpoint-every 7";
    ASSERT_EQ(paceline(run + " --metrics whole.csv --threads 1", "whole"), 0) << read("err");
    const pid_t child = start(run + saving, "killed");
    while (!has_checkpoint() && ::kill(child, 0) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_TRUE(WIFSIGNALED(status_of(child))) << "it ended before it could be killed";
    EXPECT_EQ(read("killed"), "");
    refuses(run + saving, "--resume");
    ASSERT_EQ(paceline(run + saving + " --resume --metrics resumed.csv --threads 2", "resumed"), 0)
        << read("err");
    EXPECT_THAT(read("err"), HasSubstr("goes on from saved/checkpoint-"));
    EXPECT_EQ(read("resumed"), read("whole"));
    EXPECT_EQ(read("resumed.csv"), read("whole.csv"));
    EXPECT_GT(read("whole").size(), 1000U);
  }

  const std::string base_ =
      "run -m lenet5 -b 16 -c 16x1-1080ti-1gbe --gpus 0-3 --steps 60 --numerics --lr 0.02 "
      "--evaluate-every 10 --json ";
  fs::path folder_;
};

TEST_F(CheckpointCli, PipeSgdKilledAndResumed) {
  kill_and_resume("pipe-sgd");
}

TEST_F(CheckpointCli, CocodSgdKilledAndResumed) {
  kill_and_resume("cocod-sgd:period=5");
}

TEST_F(CheckpointCli, OdSgdKilledAndResumed) {
  kill_and_resume("od-sgd --servers 2");
}

TEST_F(CheckpointCli, AsgdKilledAndResumed) {
  kill_and_resume("asgd --servers 1");
}

TEST_F(CheckpointCli, RefusesWhatDoesNotFit) {
  const std::string run =
      "run -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 20 --numerics --checkpoint saved ";
  ASSERT_EQ(paceline(run + "--checkpoint-every 3", "first"), 0) << read("err");
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "saved")) {
    EXPECT_EQ(entry.path().extension(), ".paceline");
    ++files;
  }
  EXPECT_EQ(files, 2U);
  refuses(run + "--resume --seed 2", "$.experiment.seed is 2 now, and 1 in the checkpoint");
  refuses(run + "--resume --lr 0.1", "learning_rate.base is 0.1 now");
  refuses(run + "--resume -s local-sgd:period=3", "schedule");
  refuses(run + "--resume --evaluate-every 3", "evaluate_every is 3 now");
  // How it is run, and what is only read off the result, may change.
  ASSERT_EQ(paceline(run + "--resume --threads 1 --target 0.5", "again"), 0) << read("err");
  EXPECT_THAT(read("again"), HasSubstr("target"));
  fs::path latest;
  for (const auto& entry : fs::directory_iterator(folder_ / "saved"))
    latest = std::max(latest, entry.path());
  fs::resize_file(latest, fs::file_size(latest) / 2);
  refuses(run + "--resume", "is not a whole checkpoint");
  fs::remove(latest);
  ASSERT_EQ(paceline(run + "--resume", "earlier"), 0) << read("err");
  EXPECT_EQ(read("earlier"), read("first"));

  refuses(run + "--checkpoint-every 0", "at least one step");
  refuses(run + "--checkpoint-every 10minutes", "a duration (10min)");
  refuses(run + "--checkpoint-every 0s", "positive");
  refuses("run -m mlp -b 8 -c 16x1-1080ti-1gbe --resume", "--checkpoint");
  refuses("run -m mlp -b 8 -c 16x1-1080ti-1gbe --checkpoint saved", "--numerics");
}

}  // namespace
}  // namespace paceline
