#pragma once

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

namespace paceline {

/// argv as the parser is to get it: `help`, `help COMMAND` ask for the help of the program or of
/// the command. `argv[0]` stays.
inline std::vector<char*> with_help(int argc, char** argv) {
  static char asked[] = "--help";
  std::vector<char*> arguments(argv, argv + argc);
  if (argc > 1 && std::string_view(argv[1]) == "help") {
    arguments.erase(arguments.begin() + 1);
    arguments.push_back(asked);
  }
  return arguments;
}

/// Throws InputError for an argument that is not UTF-8: it could stand in no answer and no file.
inline void check_utf8(const std::vector<char*>& arguments) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const Json text = std::string(arguments[i]);
    const std::string readable = text.dump(-1, ' ', false, Json::error_handler_t::replace);
    try {
      (void)text.dump();
    } catch (const Json::exception&) {
      throw InputError(fmt::format("argument {}, {}, is not UTF-8", i, readable));
    }
  }
}

/// CLI11's words in one line; for an option that there is not, the nearest one.
inline std::string parse_failure(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr)
    for (const std::string& extra : command->remaining()) {
      if (!extra.starts_with("--")) continue;
      std::vector<std::string> names;
      for (const CLI::Option* option : command->get_options())
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      const std::string name = extra.substr(0, extra.find('='));
      const std::string near = nearest_name(name, names);
      return fmt::format("unknown option '{}'{} (see --help)", name,
                         near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
    }
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message + " (see --help)";
}

}  // namespace paceline
