#include "platforms/overrides.hpp"

#include <fmt/format.h>

#include <charconv>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

struct Step {
  std::string key;    // of an object, or
  std::string index;  // of an array: digits or "*"
};

[[noreturn]] void fail(std::string_view assignment, const std::string& message) {
  throw InputError(fmt::format("--set {}: {}", assignment, message));
}

std::vector<Step> parse_path(std::string_view path, std::string_view assignment) {
  std::vector<Step> steps;
  while (!path.empty()) {
    if (path.front() == '[') {
      const std::size_t close = path.find(']');
      if (close == std::string_view::npos || close == 1) fail(assignment, "'[' without its 'N]'");
      steps.push_back({"", std::string(path.substr(1, close - 1))});
      path.remove_prefix(close + 1);
      if (!path.empty() && path.front() == '.') path.remove_prefix(1);
      continue;
    }
    const std::size_t end = std::min(path.find_first_of(".["), path.size());
    if (end == 0) fail(assignment, "the path has an empty part");
    steps.push_back({std::string(path.substr(0, end)), ""});
    path.remove_prefix(end);
    if (!path.empty() && path.front() == '.') path.remove_prefix(1);
  }
  return steps;
}

void assign(Json& json, std::span<const Step> steps, const Json& value,
            std::string_view assignment) {
  if (steps.empty()) {
    json = value;
    return;
  }
  const Step& step = steps.front();
  if (step.index.empty()) {
    if (json.is_null()) json = Json::object();
    if (json.is_string()) json = Json{{"bandwidth", json}};
    if (json.is_array()) {
      const std::string path(assignment.substr(0, assignment.find("." + step.key)));
      fail(assignment,
           fmt::format("{0} is an array: {0}[0].{1}, or {0}[*].{1} for all of it", path, step.key));
    }
    if (!json.is_object()) fail(assignment, fmt::format("nothing has a key '{}' there", step.key));
    assign(json[step.key], steps.subspan(1), value, assignment);
    return;
  }
  if (!json.is_array())
    fail(assignment, fmt::format("[{}] is not an element of an array", step.index));
  if (step.index == "*") {
    for (Json& element : json) assign(element, steps.subspan(1), value, assignment);
    return;
  }
  std::size_t index = 0;
  const char* end = step.index.data() + step.index.size();
  const auto [stop, error] = std::from_chars(step.index.data(), end, index);
  if (stop != end || error == std::errc::invalid_argument)
    fail(assignment, fmt::format("'{}' is not the number of an element", step.index));
  if (error != std::errc{} || index >= json.size())
    fail(assignment, fmt::format("element {} of an array of {}", step.index, json.size()));
  assign(json[index], steps.subspan(1), value, assignment);
}

}  // namespace

void apply_override(Json& json, std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    fail(assignment, "expected PATH=VALUE, e.g. network.bandwidth=25Gbps");
  const std::string_view text = assignment.substr(equals + 1);
  const Json value = parse_json_or_text(text, fmt::format("--set {}", assignment));
  const std::vector<Step> steps = parse_path(assignment.substr(0, equals), assignment);
  assign(json, steps, value, assignment);
}

}  // namespace paceline
