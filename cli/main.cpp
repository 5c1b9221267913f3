#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "base/error.hpp"
#include "base/version.hpp"
#include "commands.hpp"

namespace {

constexpr int kOurFault = 1, kInputWrong = 2, kCheckFailed = 3;

int complain(int code, const std::string& message) {
  fmt::print(stderr, "paceline: {}\n", message);
  return code;
}

std::vector<std::string> sub_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// CLI11's words for a misspelt sub-command do not say what there is.
std::string parse_message(const CLI::App& app, const CLI::ParseError& error, int argc,
                          char** argv) {
  const std::vector<std::string> names = sub_commands(app);
  if (argc > 1 && argv[1][0] != '-' &&
      std::find(names.begin(), names.end(), argv[1]) == names.end())
    return paceline::unknown_name("sub-command", argv[1], names);
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message + " (see --help)";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Paceline: how fast will a distributed training schedule run on a cluster?",
               "paceline"};
  app.set_version_flag("--version", std::string("paceline ") + paceline::version());
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  paceline compare first-question\n"
      "  paceline run --help\n"
      "  paceline calibrate --device cuda:0 --model resnet50 --batch 32");
  for (paceline::AddCommand* add : paceline::kCommands) add(app);
  try {
    if (argc == 1) {
      std::cout << app.help();
      return 0;
    }
    const bool of_rows = argc > 2 && std::string_view(argv[2]) == "stack";  // simulates: ours
    if (std::string_view(argv[1]) == "calibrate" && !of_rows) paceline::run_calibrate(argv + 1);
    app.parse(argc, argv);
    std::cout.flush();
    if (!std::cout) return complain(kOurFault, "the output could not be written");
    return 0;
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return complain(kInputWrong, parse_message(app, error, argc, argv));
  } catch (const paceline::InputError& error) {
    return complain(kInputWrong, error.what());
  } catch (const paceline::CheckFailed& error) {
    return complain(kCheckFailed, error.what());
  } catch (const std::exception& error) {
    return complain(kOurFault, error.what());
  }
}
