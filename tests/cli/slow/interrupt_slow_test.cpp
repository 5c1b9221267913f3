// A hundred interruptions at random moments, over every long command.
#include <fmt/format.h>

#include <random>

#include "../interrupted.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

class ManyInterruptions : public Interrupted {
 protected:
  struct Command {
    const char* program;
    std::string arguments, note;
    std::string folder;  // what it keeps its work in; "": nothing
    std::string whole;   // its answer when nobody interrupts it; "": not the same each time
    std::string ask{};   // what asks for the answer, where it is not what the command prints
  };

  [[nodiscard]] std::string answer(const Command& command, const Ended& ended) const {
    return command.ask.empty() ? ended.out : whole(command.ask).out;
  }
  void expect_the_answer(const Command& command, const Ended& ended) const {
    if (command.whole.empty()) return;
    EXPECT_EQ(answer(command, ended), command.whole);
  }
  void forget(const Command& command) const {
    if (command.folder.empty()) return;
    for (const char* beside : {"", "-wal", "-shm"})
      fs::remove_all(folder_ / (command.folder + beside));
  }

  // What goes wrong is said with the number of the interruption.
  void interrupt(Command& command, int signal, Ms after, bool group) {
    const Run run = start(command.program, command.arguments);
    wait_for_handler(run);
    std::this_thread::sleep_for(after);
    ::kill(group ? -run.pid : run.pid, signal);
    Ended ended = end_of(run);
    if (command.program == std::string(PACELINE_CALIBRATE_BINARY))
      ended.out.clear();  // what it measured
    expect_nothing_left(run, signal);
    if (ended.code == 0) {  // it was done before
      ++done_;
      expect_the_answer(command, ended);
      forget(command);
      return;
    }
    ++interrupted_;
    expect_the_line(ended, signal, command.note);
    if (command.folder.empty()) return;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ / command.folder, none))
      if (entry.path().extension() == ".json") {
        EXPECT_TRUE(Json::accept(slurp(entry.path()))) << entry.path();
      }
  }

  int interrupted_ = 0, done_ = 0;
};

TEST_F(ManyInterruptions, ResumeToTheSameBytes) {
  const std::string kept =
      "([0-9]+ of [0-9]+ kept in [a-z]+|what is in [a-z]+ is kept); the same command goes on";
  std::vector<Command> commands{
      {PACELINE_BINARY,
       "run -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-3 --servers 1 -s asgd --steps 4000 --json",
       "nothing was kept", "", ""},
      {PACELINE_BINARY,
       "compare -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 10 --numerics --json -j 2 "
       "--vary seed=1,2 --vary schedule=pipe-sgd,local-sgd --runs runs",
       "(nothing was kept|" + kept + ")", "runs", ""},
      {PACELINE_BINARY,
       "compare -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-3 --servers 1 --steps 500 --json -j 2 "
       "--jitter lognormal:0.1 --vary seed=1,2,3 --vary schedule=asgd,dc-asgd,od-sgd --runs times",
       "(nothing was kept|" + kept + ")", "times", ""},
      {PACELINE_BINARY,
       "run -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 150 --numerics --lr 0.02 "
       "-s cocod-sgd:period=5 --checkpoint saved --checkpoint-every 7 --resume --json",
       "(nothing was kept|before the first checkpoint: nothing was kept|"
       "(step [0-9]+|the latest checkpoint) is kept in saved; the same command with --resume goes "
       "on)",
       "saved", ""},
      {PACELINE_BINARY,
       "sweep -m mlp -b 8 -c 16x1-1080ti-1gbe --gpus 0-3 --servers 1 --steps 500 --json -j 2 "
       "--jitter lognormal:0.1 --vary seed=1,2,3 --vary schedule=asgd,dc-asgd,od-sgd -o study.db",
       "(nothing was kept|what is in study.db is kept; the same command goes on|"
       "[0-9]+ of [0-9]+ points are kept in study.db; the same command goes on)",
       "study.db", "", "query study.db --csv"},
      {PACELINE_BINARY, "validate --set lags-p102 --json", "nothing was kept", "", ""},
      {PACELINE_CALIBRATE_BINARY, "--model lenet5 --batch 8,16 --seconds 0.2 --out p.json --json",
       "(nothing was kept|what was measured is in p.json; the same command goes on)", "", ""}};
  for (Command& command : commands) {
    if (command.program != std::string(PACELINE_BINARY)) continue;
    const Ended ended = end_of(start(command.program, command.arguments));
    ASSERT_EQ(ended.code, 0) << ended.err;
    command.whole = answer(command, ended);
    forget(command);
  }
  std::mt19937 random(1);
  const int signals[]{SIGINT, SIGTERM, SIGKILL};
  for (int i = 0; interrupted_ < 100; ++i) {
    SCOPED_TRACE(i);
    ASSERT_LT(i, 400) << "too few were still running: " << interrupted_;
    const int after = std::uniform_int_distribution<int>(0, 250)(random);
    interrupt(commands[static_cast<std::size_t>(i) % commands.size()], signals[random() % 3],
              Ms(after), random() % 2 == 0);
    if (HasFailure()) return;
  }
  for (Command& command : commands) {
    const Ended ended = end_of(start(command.program, command.arguments));
    EXPECT_EQ(ended.code, 0) << ended.err;
    expect_the_answer(command, ended);
  }
  fmt::print("{} interrupted, {} were over before their signal\n", interrupted_, done_);
  RecordProperty("interrupted", interrupted_);
  RecordProperty("done_before", done_);
}

}  // namespace
}  // namespace paceline
