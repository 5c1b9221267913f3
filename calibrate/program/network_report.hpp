#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/json.hpp"
#include "calibrate/network/link.hpp"

namespace paceline {

/// What is printed, kept until all has gone well.
struct Report {
  std::string text;
  Json json = Json::object();
  template <typename... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    text += fmt::format(format, std::forward<Args>(args)...);
  }
};

void print_header(Report& report);
/// One line a segment, and one of all of them as one law.
void print_fit(Report& report, const std::string& name, const FittedLog& fitted);
void print_residuals(Report& report, const FittedLog& fitted);
Json fit_json(const std::string& name, const FittedLog& fitted);

}  // namespace paceline
