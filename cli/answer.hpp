#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "base/json.hpp"

namespace paceline {

/// What a command has to say, in every form; only the one that is asked for is made.
struct Answer {
  std::function<std::string()> table;  ///< for a person
  std::function<Json()> json;
  std::function<std::string()> csv = {};  ///< absent where there are no equal rows
};

/// How a command prints: a table unless asked for something else. The formats are answer.cpp's.
class OutputOptions {
 public:
  /// The flags fill this object, which must outlive the parsing.
  void add_to(CLI::App& command, bool with_csv);
  /// To the standard output. Throws InputError where the answer has no such form.
  void print(const Answer& answer) const;

 private:
  std::size_t format_ = 0;
};

}  // namespace paceline
