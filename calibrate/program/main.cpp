#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "base/error.hpp"
#include "base/version.hpp"
#include "calibrate/program/commands.hpp"

std::atomic<bool> paceline::interrupted{false};

namespace {

constexpr int kOurFault = 1, kInputWrong = 2, kCheckFailed = 3;

int complain(int code, const std::string& message) {
  fmt::print(stderr, "paceline calibrate: {}\n", message);
  return code;
}

void on_interrupt(int signal) {
  paceline::interrupted = true;
  std::signal(signal, SIG_DFL);
}

}  // namespace

int main(int argc, char** argv) {
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
  std::signal(SIGINT, on_interrupt);
  try {
    if (argc == 1) {
      std::cout << app.help();
      return 0;
    }
    app.parse(argc, argv);
    std::cout.flush();
    if (!std::cout) return complain(kOurFault, "the output could not be written");
    return paceline::interrupted ? 130 : 0;
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return complain(kInputWrong, message + " (see --help)");
  } catch (const paceline::InputError& error) {
    return complain(kInputWrong, error.what());
  } catch (const paceline::CheckFailed& error) {
    return complain(kCheckFailed, error.what());
  } catch (const std::exception& error) {
    return complain(kOurFault, error.what());
  }
}
