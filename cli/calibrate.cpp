#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "commands.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "paceline-calibrate";

// Beside this program, or in the bin/ beside its folder.
fs::path calibrator() {
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path(),
                 bin = folder.parent_path() / "bin";
  for (const fs::path& place : {folder, bin})
    if (::access((place / kProgram).c_str(), X_OK) == 0) return place / kProgram;
  throw std::runtime_error(fmt::format(
      "calibrate: the program '{}' is neither in '{}', where paceline is, nor in '{}': build or "
      "install the target '{}' too",
      kProgram, folder.string(), bin.string(), kProgram));
}

}  // namespace

void run_calibrate(char** arguments) {
  const fs::path program = calibrator();
  ::execv(program.c_str(), arguments);
  throw std::runtime_error(
      fmt::format("calibrate: {} cannot be started: {}", program.string(), std::strerror(errno)));
}

void add_calibrate(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("calibrate",
                         "Measure this machine's GPU or CPU, fit network logs, import traces: a "
                         "program of its own, 'paceline calibrate --help'");
  add_calibrate_stack(*command);
}

}  // namespace paceline
