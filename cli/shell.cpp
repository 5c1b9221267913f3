// `paceline completion` and `paceline man`: both made of what CLI11 knows of the commands.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

#include "algorithms/registry.hpp"
#include "base/error.hpp"
#include "base/version.hpp"
#include "experiments/shipped.hpp"
#include "models/zoo.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/gpus.hpp"
#include "platforms/stack.hpp"
#include "shell.hpp"
#include "studies/shipped.hpp"

namespace paceline {
namespace {

using Commands = std::vector<const CLI::App*>;

Commands commands_of(const CLI::App& app) {
  Commands commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    commands.push_back(command);
  return commands;
}

std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

// Names that may stand behind an option, blanks aside: they would be several words.
struct Names {
  const char* options;  // as a shell's pattern
  std::vector<std::string> names;
};

std::vector<Names> known_names() {
  std::vector<std::string> all_schedules;
  for (const ScheduleEntry& entry : schedules()) all_schedules.emplace_back(entry.name);
  std::vector<Names> known{{"-m|--model", model_names()},
                           {"-c|--cluster", shipped_clusters()},
                           {"-s|--schedule", all_schedules},
                           {"--stack", shipped_stacks()}};
  for (Names& names : known)
    std::erase_if(names.names,
                  [](const std::string& name) { return name.find(' ') != std::string::npos; });
  return known;
}

std::vector<std::string> experiments_and_studies() {
  std::vector<std::string> names;
  for (const auto& [name, text] : shipped_experiments()) names.push_back(name);
  for (const auto& [name, text] : shipped_studies()) names.push_back(name);
  return names;
}

// For bash, and for zsh by its bashcompinit.
std::string bash_script(const CLI::App& app) {
  std::vector<std::string> names;
  std::string cases, values;
  for (const CLI::App* command : commands_of(app)) {
    names.push_back(command->get_name());
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(),
                         fmt::join(flags_of(*command), " "));
  }
  for (const Names& known : known_names())
    values += fmt::format("    {}) words=\"{}\" ;;\n", known.options, fmt::join(known.names, " "));
  return fmt::format(
      "_paceline() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\" "
      "words=\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"{} --help --version\" -- \"$word\"))\n    return\n  fi\n"
      "  case \"$before\" in\n{}  esac\n"
      "  if [ -z \"$words\" ]; then\n"
      "    case \"$word\" in\n"
      "      -*) case \"${{COMP_WORDS[1]}}\" in\n{}      esac ;;\n"
      "      *) case \"${{COMP_WORDS[1]}}\" in\n"
      "        run|compare|sweep|optimize) words=\"{}\" ;;\n      esac ;;\n"
      "    esac\n  fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "}}\n"
      "complete -o default -F _paceline paceline\n",
      fmt::join(names, " "), values, cases, fmt::join(experiments_and_studies(), " "));
}

// In single quotes, where fish knows \\ and \'.
std::string fish_text(std::string text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string fish_script(const CLI::App& app) {
  std::string text = "complete -c paceline -n __fish_use_subcommand -f\n";
  for (const CLI::App* command : commands_of(app)) {
    const std::string of =
        "complete -c paceline -n '__fish_seen_subcommand_from " + command->get_name() + "'";
    text += fmt::format("complete -c paceline -n __fish_use_subcommand -a {} -d {}\n",
                        command->get_name(), fish_text(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      std::string line = of;
      for (const std::string& name : option->get_snames()) line += " -s " + name;
      for (const std::string& name : option->get_lnames()) line += " -l " + name;
      if (line == of) continue;
      if (option->get_expected_max() > 0) line += " -r";
      text += line + " -d " + fish_text(option->get_description()) + "\n";
    }
  }
  for (const Names& known : known_names())
    if (const std::string options = known.options; options.find("--") != std::string::npos)
      text += fmt::format("complete -c paceline -l {} -x -a '{}'\n",
                          options.substr(options.find("--") + 2), fmt::join(known.names, " "));
  return text;
}

// What roff would take for a command of its own.
std::string roff(const std::string& text) {
  std::string escaped;
  bool begin = true;
  for (const char c : text) {
    if (begin && (c == '.' || c == '\'')) escaped += "\\&";
    if (c == '\\')
      escaped += "\\e";
    else if (c == '-')
      escaped += "\\-";
    else
      escaped += c;
    begin = c == '\n';
  }
  return escaped;
}

std::string man_page(const CLI::App& app) {
  std::string text = fmt::format(
      ".TH PACELINE 1 \"\" \"paceline {}\" \"User Commands\"\n.SH NAME\npaceline \\- {}\n.SH "
      "SYNOPSIS\n"
      ".B paceline\n.I COMMAND\n[options]\n.SH DESCRIPTION\n{}\n.SH COMMANDS\n",
      roff(version()), "predict how fast a distributed training schedule runs on a cluster",
      roff(app.get_description()));
  for (const CLI::App* command : commands_of(app)) {
    text +=
        fmt::format(".SS {}\n{}\n", roff(command->get_name()), roff(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      std::vector<std::string> names;
      for (const std::string& name : option->get_snames()) names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      if (names.empty()) names.push_back(option->get_name());
      text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(fmt::format("{}", fmt::join(names, ", "))),
                          roff(option->get_description()));
    }
    if (const std::string footer = command->get_footer(); !footer.empty())
      text += fmt::format(".PP\n.nf\n{}\n.fi\n", roff(footer));
  }
  return text +
         ".SH EXIT STATUS\n0 done, 2 the input is wrong, 3 a check did not hold, 1 our fault; 128 "
         "+ the number "
         "of the signal that ended it\n.SH SEE ALSO\nThe folder docs of the source.\n";
}

}  // namespace

void add_shell(CLI::App& app) {
  CLI::App* completion = app.add_subcommand(
      "completion", "A script that completes commands, options and names: bash, zsh, fish");
  completion->footer(
      "Examples:\n"
      "  paceline completion bash > ~/.local/share/bash-completion/completions/paceline\n"
      "  paceline completion fish > ~/.config/fish/completions/paceline.fish");
  const auto shell = std::make_shared<std::string>();
  completion->add_option("shell", *shell, "bash, zsh or fish")->required();
  completion->callback([shell, &app] {
    const std::vector<std::string> known{"bash", "zsh", "fish"};
    if (std::find(known.begin(), known.end(), *shell) == known.end())
      throw InputError(unknown_name("shell", *shell, known));
    if (*shell == "fish") {
      std::cout << fish_script(app);
      return;
    }
    if (*shell == "zsh") std::cout << "autoload -Uz bashcompinit && bashcompinit\n";
    std::cout << bash_script(app);
  });
  CLI::App* man = app.add_subcommand("man", "The manual page, of all commands");
  man->footer("Example:\n  paceline man | man -l -");
  man->callback([&app] { std::cout << man_page(app); });
}

}  // namespace paceline
