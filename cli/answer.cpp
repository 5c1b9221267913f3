#include "answer.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <iostream>

#include "base/error.hpp"

namespace paceline {
namespace {

struct Format {
  const char* flag;  // null: unless another one is asked for
  const char* help;
  bool of_rows;  // only for answers that have csv
  std::string (*text)(const Answer&);
};

constexpr std::array kFormats{
    Format{nullptr, "", false, [](const Answer& answer) { return answer.table(); }},
    Format{"--json", "print JSON instead of a table", false,
           [](const Answer& answer) { return answer.json().dump(2) + '\n'; }},
    Format{"--csv", "print comma-separated values instead of a table", true,
           [](const Answer& answer) { return answer.csv(); }}};

}  // namespace

void OutputOptions::add_to(CLI::App& command, bool with_csv) {
  std::vector<CLI::Option*> flags;
  for (std::size_t i = 1; i < kFormats.size(); ++i) {
    if (kFormats[i].of_rows && !with_csv) continue;
    CLI::Option* flag = command.add_flag_function(
        kFormats[i].flag, [this, i](std::int64_t) { format_ = i; }, kFormats[i].help);
    for (CLI::Option* other : flags) flag->excludes(other);
    flags.push_back(flag);
  }
}

void OutputOptions::print(const Answer& answer) const {
  if (kFormats[format_].of_rows && !answer.csv)
    throw InputError(fmt::format("{}: there are no equal rows to print", kFormats[format_].flag));
  std::cout << kFormats[format_].text(answer);
}

}  // namespace paceline
