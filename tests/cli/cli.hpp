#pragma once

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

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string out, err;
};

inline std::string slurp(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Runs shell commands in a folder of their own, with `paceline` in the path.
class Cli : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "paceline-cli-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  Outcome shell(const std::string& command, const fs::path& in = {}) {
    const fs::path out = folder_.string() + ".out", err = folder_.string() + ".err";
    const std::string line = "cd '" + (in.empty() ? folder_ : in).string() + "' && PATH='" +
                             fs::path(PACELINE_BINARY).parent_path().string() + "':$PATH && { " +
                             command + "\n} >'" + out.string() + "' 2>'" + err.string() +
                             "' </dev/null";
    const int status = std::system(line.c_str());
    Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out), slurp(err)};
    fs::remove(out);
    fs::remove(err);
    return outcome;
  }
  Outcome paceline(const std::string& arguments) { return shell("paceline " + arguments); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
  }
  // Exit code 2, one line on stderr with `expected` in it, nothing on stdout, no file made.
  void refuses(const std::string& arguments, const std::string& expected) {
    const auto before = std::distance(fs::directory_iterator(folder_), {});
    const Outcome outcome = paceline(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(expected)) << arguments;
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), before) << arguments;
  }

  const std::string base_ = "run -m resnet50 -b 32 -c 16x1-1080ti-10gbe ";
  fs::path folder_;
};

}  // namespace paceline
