#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <new>
#include <string>

#include "base/error.hpp"
#include "base/interrupt.hpp"
#include "base/version.hpp"
#include "calibrate/program/command_line.hpp"
#include "command_line.hpp"
#include "commands.hpp"
#include "shell.hpp"

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
  return paceline::parse_failure(app, error);
}

}  // namespace

namespace paceline {

std::vector<std::string>& command_line() {
  static std::vector<std::string> words;
  return words;
}

}  // namespace paceline

namespace {

// What was said has to have arrived.
int said() {
  std::cout.flush();
  return std::cout ? 0 : complain(kInputWrong, "the output cannot be written");
}

}  // namespace

int main(int given, char** words) {
  paceline::command_line().assign(words + 1, words + given);
  std::vector<char*> arguments = paceline::with_help(given, words);
  const int argc = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  char** argv = arguments.data();
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
  for (paceline::AddCommand* add : paceline::kShellCommands) add(app);
  paceline::end_on_interrupt("paceline");
  try {
    if (argc == 1) {
      std::cout << app.help();
      return said();
    }
    paceline::check_utf8({argv, argv + argc});
    const bool of_rows = argc > 2 && std::string_view(argv[2]) == "stack";  // simulates: ours
    if (std::string_view(argv[1]) == "calibrate" && !of_rows) paceline::run_calibrate(argv + 1);
    app.parse(argc, argv);
    return said();
  } catch (const CLI::Success& asked) {  // --help, --version
    app.exit(asked);
    return said();
  } catch (const CLI::ParseError& error) {
    return complain(kInputWrong, parse_message(app, error, argc, argv));
  } catch (const paceline::InputError& error) {
    return complain(kInputWrong, error.what());
  } catch (const paceline::CheckFailed& error) {
    return complain(kCheckFailed, error.what());
  } catch (const std::bad_alloc&) {
    return complain(kInputWrong, "there is not enough memory for this");
  } catch (const std::exception& error) {
    return complain(kOurFault, error.what());
  }
}
