#include "platforms/stack_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "platforms/shipped_files.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStackFormat = "paceline-stack-1";
constexpr std::string_view kStackFiles = "stacks/", kStackEnding = ".json";
constexpr double kMostUncertainty = 10;

double read_stack_value(ObjectReader& constant, const StackField& field) {
  double value = 0;
  switch (field.unit) {
    case StackUnit::duration:
      value = constant.duration("value");
      break;
    case StackUnit::bandwidth:
      value = constant.bandwidth("value");
      break;
    case StackUnit::bytes:
      value = constant.bytes("value");
      break;
    case StackUnit::flag:
      value = constant.boolean("value", false) ? 1 : 0;
      break;
    case StackUnit::share:
    case StackUnit::ratio:
      value = constant.number("value", field.least, field.most);
      break;
  }
  if (value < field.least || value > field.most)
    constant.fail_at(
        "value",
        fmt::format("expected {} to {}, found {}", format_stack_value(field, field.least),
                    format_stack_value(field, field.most), format_stack_value(field, value)));
  return value;
}

Json write_stack_value(const StackField& field, double value) {
  switch (field.unit) {
    case StackUnit::duration:
      return write_duration(value);
    case StackUnit::bandwidth:
      return write_bandwidth(value);
    case StackUnit::bytes:
      return write_bytes(value);
    case StackUnit::flag:
      return value != 0;
    case StackUnit::share:
    case StackUnit::ratio:
      break;
  }
  return value;
}

// "flow_bandwidth=20Gbps" as a constant of its own.
void apply_constant(Json& json, const std::string& override) {
  const auto equals = override.find('=');
  if (equals == std::string::npos || equals == 0)
    throw InputError(
        fmt::format("stack.{}: expected KEY=VALUE, e.g. stack.flow_bandwidth=20Gbps", override));
  const std::string key = override.substr(0, equals);
  try {
    find_stack_field(key);
  } catch (const InputError& error) {
    throw InputError(fmt::format("stack.{}: {}", override, error.what()));
  }
  json["constants"][key] = {
      {"value", parse_json_or_text(override.substr(equals + 1), "stack." + override)},
      {"source", "--set stack." + override},
      {"uncertainty", 0}};
}

std::optional<fs::path> stack_folder() {
  const char* data = std::getenv("PACELINE_DATA");
  if (data == nullptr || *data == '\0') return std::nullopt;
  return fs::path(data) / "platforms" / "stacks";
}

}  // namespace

const StackField& find_stack_field(const std::string& key) {
  std::vector<std::string> keys;
  for (const StackField& field : stack_fields()) {
    if (field.key == key) return field;
    keys.emplace_back(field.key);
  }
  throw InputError(unknown_name("constant of a stack", key, keys));
}

Stack read_stack(const Json& json, const std::string& file,
                 const std::vector<std::string>& overrides) {
  if (!overrides.empty()) {
    (void)read_stack(json, file);  // what is wrong afterwards is the overrides' fault
    Json changed = json;
    for (const std::string& override : overrides) apply_constant(changed, override);
    Stack stack = read_stack(changed, file);
    stack.name += fmt::format(" with {}", fmt::join(overrides, ", "));
    return stack;
  }
  ObjectReader reader(json, file);
  expect_format(reader, kStackFormat);
  Stack stack;
  stack.name = reader.string("name");
  stack.description = reader.string("description", "");
  if (reader.has("constants")) {
    ObjectReader constants = reader.object("constants");
    for (const StackField& field : stack_fields()) {
      if (!constants.has(field.key)) continue;
      ObjectReader constant = constants.object(field.key);
      StackConstant& into = stack.*field.constant;
      into.value = read_stack_value(constant, field);
      into.source = constant.string("source");
      if (into.source.empty()) constant.fail_at("source", "expected where the value comes from");
      into.uncertainty = constant.number("uncertainty", 0, kMostUncertainty);
      constant.finish();
    }
    constants.finish();
  }
  reader.finish();
  return stack;
}

Json write_stack(const Stack& stack) {
  Json json{{"format", kStackFormat}, {"name", stack.name}, {"description", stack.description}};
  Json& constants = json["constants"] = Json::object();
  for (const StackField& field : stack_fields()) {
    const StackConstant& constant = stack.*field.constant;
    if (!constant.stated()) continue;
    constants[std::string(field.key)] = {{"value", write_stack_value(field, constant.value)},
                                         {"source", constant.source},
                                         {"uncertainty", constant.uncertainty}};
  }
  return json;
}

std::vector<std::string> shipped_stacks() {
  std::set<std::string> names;
  for (const auto& [path, text] : shipped_files())
    if (path.starts_with(kStackFiles))
      names.insert(
          path.substr(kStackFiles.size(), path.size() - kStackFiles.size() - kStackEnding.size()));
  std::error_code ignored;
  if (const auto folder = stack_folder())
    for (const fs::directory_entry& entry : fs::directory_iterator(*folder, ignored))
      if (entry.path().extension() == kStackEnding) names.insert(entry.path().stem().string());
  return {names.begin(), names.end()};
}

Stack load_stack(const std::string& name, const std::vector<std::string>& overrides) {
  std::error_code ignored;
  if (name.find('/') != std::string::npos || name.ends_with(kStackEnding) ||
      fs::is_regular_file(name, ignored))
    return read_stack(load_json(name), name, overrides);
  if (const auto folder = stack_folder();
      folder && fs::exists(*folder / (name + ".json"), ignored)) {
    const fs::path file = *folder / (name + ".json");
    return read_stack(load_json(file), file.string(), overrides);
  }
  const auto shipped = shipped_files().find(fmt::format("{}{}{}", kStackFiles, name, kStackEnding));
  if (shipped == shipped_files().end())
    throw InputError(unknown_name("stack", name, shipped_stacks()) +
                     " (or give the path of a stack file)");
  return read_stack(parse_json(shipped->second, name), name, overrides);
}

}  // namespace paceline
