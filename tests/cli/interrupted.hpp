#pragma once

#include <signal.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "cli.hpp"

namespace paceline {

// Starts the programs as leaders of process groups of their own, as a terminal does, and sends them
// signals.
class Interrupted : public Cli {
 protected:
  using Ms = std::chrono::milliseconds;

  struct Run {
    pid_t pid = -1;
    std::string name;  // of its output files, which are not in its folder
  };
  // As a shell reports it: 128 + the signal.
  struct Ended {
    int code = -1;
    std::string out, err;
  };

  [[nodiscard]] fs::path beside(const std::string& name) const { return folder_.string() + name; }

  void TearDown() override {
    for (const char* name : {".out", ".err"}) fs::remove(beside(name));
    Cli::TearDown();
  }

  [[nodiscard]] Run start(const std::string& program, const std::string& arguments) const {
    const pid_t child = ::fork();
    if (child != 0) {
      ::setpgid(child, child);
      return {child, ""};
    }
    ::setpgid(0, 0);
    const std::string line = "cd '" + folder_.string() + "' && exec '" + program + "' " +
                             arguments + " >'" + beside(".out").string() + "' 2>'" +
                             beside(".err").string() + "' </dev/null";
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    ::_exit(127);
  }
  [[nodiscard]] Run start(const std::string& arguments) const {
    return start(PACELINE_BINARY, arguments);
  }

  Ended end_of(const Run& run) const {
    int status = 0;
    EXPECT_EQ(::waitpid(run.pid, &status, 0), run.pid);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(beside(".out")),
            slurp(beside(".err"))};
  }
  Ended whole(const std::string& arguments) const { return end_of(start(arguments)); }

  static void wait_until(const std::function<bool()>& happened, const char* what) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!happened()) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << "no " << what;
      std::this_thread::sleep_for(Ms(1));
    }
  }

  // Before that a signal ends the program as it ends any: there is nothing yet to say.
  static void wait_for_handler(const Run& run) {
    wait_until(
        [&] {
          std::istringstream status(slurp("/proc/" + std::to_string(run.pid) + "/status"));
          for (std::string line; std::getline(status, line);)
            if (line.starts_with("SigCgt:"))
              return (std::stoull(line.substr(7), nullptr, 16) >> (SIGTERM - 1) & 1) == 1;
          return true;  // it has ended
        },
        "signal handler");
  }

  // Of what a signal left: no process, no temporary file, no lock.
  void expect_nothing_left(const Run& run, int signal) const {
    wait_until([&] { return ::kill(-run.pid, 0) != 0; }, "end of its children");
    std::vector<fs::path> left;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.path().string().ends_with(".tmp") || entry.path().string().ends_with(".lock"))
        left.push_back(entry.path());
    if (signal == SIGKILL)  // leaves its own files, which are no matter of the next signal's
      for (const fs::path& file : left) fs::remove(file);
    else
      EXPECT_THAT(left, ::testing::IsEmpty());
  }

  // One line that ends the standard error, and nothing on the standard output.
  static void expect_the_line(const Ended& ended, int signal, const std::string& note) {
    EXPECT_EQ(ended.code, 128 + signal) << ended.err;
    if (signal == SIGKILL) return;
    EXPECT_EQ(ended.out, "");
    EXPECT_THAT(ended.err, ::testing::MatchesRegex(
                               "(paceline: [^\n]*\n)?paceline[^\n]*: interrupted: " + note + "\n"));
  }
};

}  // namespace paceline
