#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <new>

#include "base/error.hpp"
#include "base/interrupt.hpp"
#include "base/version.hpp"
#include "calibrate/program/command_line.hpp"
#include "calibrate/program/commands.hpp"

std::atomic<bool> paceline::interrupted{false};

namespace {

constexpr int kOurFault = 1, kInputWrong = 2, kCheckFailed = 3;

int complain(int code, const std::string& message) {
  fmt::print(stderr, "paceline calibrate: {}\n", message);
  return code;
}

// What was said has to have arrived.
int said() {
  std::cout.flush();
  return std::cout ? 0 : complain(kInputWrong, "the output cannot be written");
}

}  // namespace

int main(int given, char** words) {
  std::vector<char*> arguments = paceline::with_help(given, words);
  const int argc = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  char** argv = arguments.data();
  CLI::App app{"Measures this device, or takes others' measurements, for the simulator",
               "paceline calibrate"};
  app.set_version_flag("--version", std::string("paceline calibrate ") + paceline::version());
  app.require_subcommand(0, 1);
  app.footer(
      "Examples:\n"
      "  paceline calibrate --device cpu --model lenet5 --batch 16,32,64 --out lenet5.json\n"
      "  paceline calibrate --device cuda:0 --model resnet50 --batch 32 --out resnet50.json\n"
      "  paceline calibrate check lenet5.json");
  paceline::add_measure(app);
  paceline::add_check(app);
  paceline::add_network(app);
  paceline::add_transfer(app);
  paceline::add_anchors(app);
  paceline::add_import(app);
  paceline::end_on_interrupt("paceline calibrate");
  try {
    if (argc == 1) {
      std::cout << app.help();
      return said();
    }
    paceline::check_utf8({argv, argv + argc});
    app.parse(argc, argv);
    const int code = said();
    return code != 0 ? code : paceline::interrupted_exit_code();
  } catch (const CLI::Success& asked) {  // --help, --version
    app.exit(asked);
    return said();
  } catch (const CLI::ParseError& error) {
    return complain(kInputWrong, paceline::parse_failure(app, error));
  } catch (const paceline::InputError& error) {
    if (const int code = paceline::interrupted_exit_code(); code != 0) return code;
    return complain(kInputWrong, error.what());
  } catch (const paceline::CheckFailed& error) {
    return complain(kCheckFailed, error.what());
  } catch (const std::bad_alloc&) {
    return complain(kInputWrong, "there is not enough memory for this");
  } catch (const std::exception& error) {
    return complain(kOurFault, error.what());
  }
}
