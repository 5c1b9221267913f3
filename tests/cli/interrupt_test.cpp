// Ctrl-C and its siblings: one line, the right exit code, nothing torn, nothing left running.
#include "interrupted.hpp"

namespace paceline {
namespace {

using InterruptCli = Interrupted;

std::size_t files_in(const fs::path& folder, const std::string& extension) {
  std::error_code none;
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.path().extension() == extension) ++count;
  return count;
}

TEST_F(InterruptCli, SimGridDoesNotTakeCtrlC) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Run run = start("run -m resnet50 -b 32 -c 16x1-1080ti-10gbe -s asgd --steps 2000");
    wait_for_handler(run);
    std::this_thread::sleep_for(Ms(150));
    ASSERT_EQ(::kill(-run.pid, signal), 0);
    expect_the_line(end_of(run), signal, "nothing was kept");
    expect_nothing_left(run, signal);
  }
}

TEST_F(InterruptCli, ComparisonKeepsItsRunsAndGoesOn) {
  const std::string command =
      "compare -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-3 --servers 1 --steps 400 --json -j 2 "
      "--jitter lognormal:0.1 --vary seed=1,2,3,4,5,6 --vary schedule=asgd,dc-asgd";
  const Ended uninterrupted = whole(command + " --runs uninterrupted");
  ASSERT_EQ(uninterrupted.code, 0) << uninterrupted.err;
  // Ctrl-C reaches the whole group; `kill` one process; the last kills without asking.
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    const std::size_t kept = files_in(folder_ / "runs", ".json");
    const Run run = start(command + " --runs runs");
    wait_until([&] { return files_in(folder_ / "runs", ".json") > kept + 1; }, "run");
    ASSERT_EQ(::kill(signal == SIGINT ? -run.pid : run.pid, signal), 0);
    expect_the_line(end_of(run), signal, "[0-9]+ of 18 kept in runs; the same command goes on");
    expect_nothing_left(run, signal);
    EXPECT_GT(files_in(folder_ / "runs", ".json"), kept);
    EXPECT_LT(files_in(folder_ / "runs", ".json"), 18U);
  }
  const Ended resumed = whole(command + " --runs runs");
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(resumed.out, uninterrupted.out);
  for (const auto& entry : fs::directory_iterator(folder_ / "uninterrupted"))
    EXPECT_EQ(slurp(entry.path()), slurp(folder_ / "runs" / entry.path().filename()));
}

TEST_F(InterruptCli, WithoutAFolderNothingIsKept) {
  const Run run = start(
      "compare -m resnet50 -b 32 -c 16x1-1080ti-10gbe --steps 2000 --vary schedule=asgd,dc-asgd");
  wait_for_handler(run);
  std::this_thread::sleep_for(Ms(100));
  ASSERT_EQ(::kill(run.pid, SIGTERM), 0);
  expect_the_line(end_of(run), SIGTERM,
                  "[0-9]+ of 3 simulations done, none kept [(]--runs FOLDER keeps them[)]");
  expect_nothing_left(run, SIGTERM);
}

TEST_F(InterruptCli, TrainingGoesOnFromItsCheckpoint) {
  const std::string command =
      "run -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 90 --numerics --lr 0.02 "
      "--evaluate-every 30 --json ";
  const Ended uninterrupted = whole(command);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string saving = command + "--checkpoint saved --checkpoint-every 7 --resume";
    const std::size_t kept = files_in(folder_ / "saved", ".paceline");
    const Run run = start(saving);
    if (kept == 0)
      wait_until([&] { return files_in(folder_ / "saved", ".paceline") > 0; }, "checkpoint");
    else
      std::this_thread::sleep_for(Ms(100));
    ASSERT_EQ(::kill(-run.pid, signal), 0);
    expect_the_line(end_of(run), signal,
                    "(step [0-9]+|the latest checkpoint) is kept in saved; the same command with "
                    "--resume goes on");
    expect_nothing_left(run, signal);
  }
  const Ended resumed = whole(command + "--checkpoint saved --resume");
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(resumed.out, uninterrupted.out);
}

TEST_F(InterruptCli, ASecondRunIntoTheSameFolderIsRefused) {
  const std::string training =
      "run -m lenet5 -b 16 -c 16x1-1080ti-1gbe --gpus 0-3 --steps 2000 --numerics "
      "--checkpoint saved --checkpoint-every 7";
  const std::string comparison =
      "compare -m resnet50 -b 32 -c 16x1-1080ti-10gbe --steps 2000 --vary schedule=asgd,dc-asgd "
      "--runs saved";
  for (const std::string& command : {training, comparison}) {
    const Run run = start(command);
    wait_until([&] { return fs::exists(folder_ / "saved/.lock"); }, "lock");
    const Outcome second = paceline(command + (command == training ? " --resume" : ""));
    EXPECT_EQ(second.code, 2) << second.err;
    EXPECT_THAT(second.err, HasSubstr("saved: another paceline keeps its "));
    ASSERT_EQ(::kill(run.pid, SIGTERM), 0);
    EXPECT_EQ(end_of(run).code, 128 + SIGTERM);
  }
}

TEST_F(InterruptCli, CalibrationKeepsWhatItMeasured) {
  const std::string command = "--model lenet5 --batch 8,16,32 --seconds 30 --out p.json";
  for (const int signal : {SIGINT, SIGTERM}) {
    const Run run = start(PACELINE_CALIBRATE_BINARY, command);
    wait_for_handler(run);
    std::this_thread::sleep_for(Ms(500));
    ASSERT_EQ(::kill(-run.pid, signal), 0);
    Ended ended = end_of(run);
    ended.out.clear();  // what it measured
    expect_the_line(ended, signal,
                    "(nothing was kept|what was measured is in p.json; the same command goes on)");
    expect_nothing_left(run, signal);
  }
}

}  // namespace
}  // namespace paceline
