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
#include <string>

namespace paceline {

/// paceline-calibrate in a folder of its own.
class CalibrateCli : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "paceline-calibrate-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  int shell(const std::string& command) {
    const std::string line =
        "cd '" + folder_.string() + "' && " + command + " >out 2>err </dev/null";
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int calibrate(const std::string& arguments) {
    return shell("'" PACELINE_CALIBRATE_BINARY "' " + arguments);
  }
  std::string read(const std::string& name) {
    std::ifstream stream(folder_ / name);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
  }
  // Exit code 2, one line with `expected` on stderr, nothing on stdout, no file "new".
  void refuses(const std::string& arguments, const std::string& expected) {
    EXPECT_EQ(calibrate(arguments), 2) << arguments;
    EXPECT_THAT(read("err"), ::testing::HasSubstr(expected)) << arguments;
    const std::string err = read("err");
    EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
    EXPECT_EQ(read("out"), "") << arguments;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "new")) << arguments;
  }

  std::filesystem::path folder_;
};

}  // namespace paceline
