#include "base/object_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/reader_trace.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

std::string found(const Json& value) {
  std::string text = value.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

bool whole_number(const Json& value) {
  return value.is_number_integer() &&
         !(value.is_number_unsigned() &&
           value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
}

// What is beyond is no machine's and no training's, and ends in figures that are infinite or none.
// Zero and infinity are the parser's to allow.
struct Limits {
  double (*parse)(std::string_view);
  double least, most;
  const char *least_text, *most_text;
};
constexpr Limits kLimits[]{{parse_bandwidth, 1e-6, 1e21, "1e-6 B/s", "1e9 TB/s"},
                           {parse_duration, 1e-24, 1e10, "1e-15 ns", "1e10 s"},
                           {parse_bytes, 1e-6, 1e18, "1e-6 B", "1e6 TB"},
                           {parse_flops, 1, 1e21, "1 FLOPS", "1e9 TFLOPS"},
                           {parse_power, 1e-6, 1e12, "1e-6 W", "1e9 kW"},
                           {parse_price, 1e-9, 1e12, "1e-9 USD/h", "1e12 USD/h"},
                           {parse_count, 1e-6, 1e15, "1e-6", "1000T"}};

const Limits& limits_of(double (*parse)(std::string_view)) {
  return *std::find_if(std::begin(kLimits), std::end(kLimits),
                       [&](const Limits& limits) { return limits.parse == parse; });
}

void check_limits(double number, double (*parse)(std::string_view)) {
  const Limits& limits = limits_of(parse);
  if (number != 0 && std::isfinite(number) && !(number >= limits.least && number <= limits.most))
    throw InputError(fmt::format("must be between {} and {}, found {:g}", limits.least_text,
                                 limits.most_text, number));
}

// Of the readers of this thread, while somebody asks.
struct Tracing {
  ReaderTrace* trace = nullptr;
  std::map<std::string, std::string> formats;  // of the newest document, by file
};
thread_local Tracing tracing;

// Its place in the trace: numbers of elements and the user's own keys do not count.
ReaderTrace::Object& traced(const std::string& file, const std::string& path) {
  auto& objects = tracing.trace->formats[tracing.formats[file]];
  std::string place, step;
  const auto end_step = [&] {
    const auto parent = objects.find(place);
    place +=
        (place.empty() ? "" : ".") + (parent != objects.end() && parent->second.free ? "*" : step);
    step.clear();
  };
  bool index = false;
  for (const char c : path) {
    if (c == '.') {
      end_step();
      continue;
    }
    if (c == '[') step += "[]";
    index = c == '[' || (index && c != ']');
    if (!index && c != ']') step += c;
  }
  end_step();
  return objects[place];
}

void trace_object(const std::string& file, const std::string& path, const Json& object) {
  if (tracing.trace == nullptr) return;
  if (path == "$") {
    const auto format = object.find("format");
    tracing.formats[file] =
        format != object.end() && format->is_string() ? format->get<std::string>() : std::string();
  }
  ReaderTrace::Object& place = traced(file, path);
  ++place.read;
  for (const auto& item : object.items()) ++place.keys[item.key()].present;
}

void trace_kind(const std::string& file, const std::string& path, std::string_view key,
                const std::function<std::string()>& kind) {
  if (tracing.trace != nullptr) traced(file, path).keys[std::string(key)].kinds.insert(kind());
}

}  // namespace

TracedReaders::TracedReaders(ReaderTrace& trace) {
  tracing = {&trace, {}};
}

TracedReaders::~TracedReaders() {
  tracing = {};
}

ObjectReader::ObjectReader(const Json& object, std::string file, std::string path)
    : object_(&object), file_(std::move(file)), path_(std::move(path)) {
  if (!object.is_object()) fail(fmt::format("expected an object, found {}", found(object)));
  trace_object(file_, path_, object);
}

void ObjectReader::fail(const std::string& message) const {
  throw InputError(fmt::format("{}: {}: {}", file_, path_, message));
}

void ObjectReader::fail_at(std::string_view key, const std::string& message) const {
  throw InputError(fmt::format("{}: {}.{}: {}", file_, path_, key, message));
}

const Json* ObjectReader::find(std::string_view key) {
  if (asked_.emplace(key).second && tracing.trace != nullptr)
    ++traced(file_, path_).keys[std::string(key)].optional;
  const auto it = object_->find(std::string(key));
  return it == object_->end() ? nullptr : &*it;
}

const Json& ObjectReader::need(std::string_view key) {
  const bool first = tracing.trace != nullptr && !asked_.contains(key);
  const Json* value = find(key);
  if (first) {
    ReaderTrace::Key& traced_key = traced(file_, path_).keys[std::string(key)];
    --traced_key.optional;
    ++traced_key.required;
  }
  if (value != nullptr) return *value;
  // A misspelt key is the likeliest reason for a missing one: name it.
  for (const auto& item : object_->items())
    if (!asked_.contains(item.key()) && !nearest_name(item.key(), {std::string(key)}).empty())
      fail(fmt::format("missing key '{}' (is '{}' a misspelling of it?)", key, item.key()));
  fail(fmt::format("missing key '{}'", key));
}

bool ObjectReader::has(std::string_view key) {
  return find(key) != nullptr;
}

std::string ObjectReader::string(std::string_view key) {
  trace_kind(file_, path_, key, [] { return R"({"type":"string"})"; });
  const Json& value = need(key);
  if (!value.is_string()) fail_at(key, fmt::format("expected a string, found {}", found(value)));
  return value.get<std::string>();
}

std::string ObjectReader::string(std::string_view key, std::string_view fallback) {
  return has(key) ? string(key) : std::string(fallback);
}

std::string ObjectReader::choice(std::string_view key, const std::vector<std::string>& names) {
  trace_kind(file_, path_, key, [&] { return Json{{"enum", names}}.dump(); });
  std::string value = string(key);
  for (const std::string& name : names)
    if (name == value) return value;
  fail_at(key, unknown_name("value", value, names));
}

std::string ObjectReader::choice(std::string_view key, const std::vector<std::string>& names,
                                 std::string_view fallback) {
  return has(key) ? choice(key, names) : std::string(fallback);
}

bool ObjectReader::boolean(std::string_view key, bool fallback) {
  trace_kind(file_, path_, key, [] { return R"({"type":"boolean"})"; });
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean())
    fail_at(key, fmt::format("expected true or false, found {}", found(*value)));
  return value->get<bool>();
}

std::int64_t ObjectReader::integer(std::string_view key, std::int64_t least, std::int64_t most) {
  trace_kind(file_, path_, key, [&] {
    Json schema{{"type", "integer"}};
    if (least != INT64_MIN) schema["minimum"] = least;
    if (most != INT64_MAX) schema["maximum"] = most;
    return schema.dump();
  });
  const Json& value = need(key);
  if (!whole_number(value))
    fail_at(key, fmt::format("expected a whole number, found {}", found(value)));
  const auto number = value.get<std::int64_t>();
  if (number < least || number > most)
    fail_at(key, most == INT64_MAX
                     ? fmt::format("must be {} or more, found {}", least, number)
                     : fmt::format("must be between {} and {}, found {}", least, most, number));
  return number;
}

std::int64_t ObjectReader::integer_or(std::string_view key, std::int64_t fallback,
                                      std::int64_t least, std::int64_t most) {
  return has(key) ? integer(key, least, most) : fallback;
}

double ObjectReader::number(std::string_view key, double least, double most) {
  trace_kind(file_, path_, key, [&] {
    Json schema{{"type", "number"}};
    if (std::isfinite(least)) schema["minimum"] = least;
    if (std::isfinite(most)) schema["maximum"] = most;
    return schema.dump();
  });
  const Json& value = need(key);
  if (!value.is_number()) fail_at(key, fmt::format("expected a number, found {}", found(value)));
  const auto number = value.get<double>();
  if (!(number >= least && number <= most))
    fail_at(key, std::isinf(most)
                     ? fmt::format("must be {} or more, found {}", least, number)
                     : fmt::format("must be between {} and {}, found {}", least, most, number));
  return number;
}

double ObjectReader::number(std::string_view key, double least, double most, double fallback) {
  return has(key) ? number(key, least, most) : fallback;
}

double ObjectReader::quantity(std::string_view key, std::optional<double> fallback,
                              double (*parse)(std::string_view), const char* example) {
  trace_kind(file_, path_, key, [&] {
    return Json{{"type", "string"}, {"examples", {example}}}.dump();
  });
  if (!has(key) && fallback) return *fallback;
  const Json& value = need(key);
  if (value.is_number())
    fail_at(key, fmt::format("{} lacks a unit: write it as a string like \"{}\"", found(value),
                             example));
  if (!value.is_string())
    fail_at(key, fmt::format("expected a string like \"{}\", found {}", example, found(value)));
  try {
    const double number = parse(value.get_ref<const std::string&>());
    check_limits(number, parse);
    return number;
  } catch (const InputError& error) {
    fail_at(key, error.what());
  }
}

double ObjectReader::bandwidth(std::string_view key, std::optional<double> fallback) {
  return quantity(key, fallback, parse_bandwidth, "10Gbps");
}
double ObjectReader::duration(std::string_view key, std::optional<double> fallback) {
  return quantity(key, fallback, parse_duration, "50us");
}
double ObjectReader::bytes(std::string_view key, std::optional<double> fallback) {
  return quantity(key, fallback, parse_bytes, "32MiB");
}
double ObjectReader::flops(std::string_view key, std::optional<double> fallback) {
  return quantity(key, fallback, parse_flops, "12.1TFLOPS");
}
double ObjectReader::power(std::string_view key, std::optional<double> fallback) {
  return quantity(key, fallback, parse_power, "250W");
}
double ObjectReader::price(std::string_view key, std::optional<double> fallback) {
  return quantity(key, fallback, parse_price, "2.48USD/h");
}

double ObjectReader::count(std::string_view key, std::optional<double> fallback) {
  if (has(key) && need(key).is_number()) {
    const double value = number(key, 0, HUGE_VAL);
    try {
      check_limits(value, parse_count);
    } catch (const InputError& error) {
      fail_at(key, error.what());
    }
    return value;
  }
  return quantity(key, fallback, parse_count, "25.6M");
}

ObjectReader ObjectReader::object(std::string_view key) {
  trace_kind(file_, path_, key, [] { return "object"; });
  return {need(key), file_, fmt::format("{}.{}", path_, key)};
}

std::vector<ObjectReader> ObjectReader::objects(std::string_view key) {
  trace_kind(file_, path_, key, [] { return "objects"; });
  const Json& value = need(key);
  if (!value.is_array()) fail_at(key, fmt::format("expected an array, found {}", found(value)));
  std::vector<ObjectReader> result;
  for (std::size_t i = 0; i < value.size(); ++i)
    result.emplace_back(value[i], file_, fmt::format("{}.{}[{}]", path_, key, i));
  return result;
}

std::vector<std::string> ObjectReader::strings(std::string_view key) {
  trace_kind(file_, path_, key, [] { return R"({"type":"array","items":{"type":"string"}})"; });
  const Json& value = need(key);
  if (!value.is_array())
    fail_at(key, fmt::format("expected an array of strings, found {}", found(value)));
  std::vector<std::string> result;
  for (const Json& item : value) {
    if (!item.is_string()) fail_at(key, fmt::format("expected strings, found {}", found(item)));
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::vector<double> ObjectReader::numbers(std::string_view key) {
  trace_kind(file_, path_, key, [] { return R"({"type":"array","items":{"type":"number"}})"; });
  const Json& value = need(key);
  if (!value.is_array())
    fail_at(key, fmt::format("expected an array of numbers, found {}", found(value)));
  std::vector<double> result;
  for (const Json& item : value) {
    if (!item.is_number()) fail_at(key, fmt::format("expected numbers, found {}", found(item)));
    result.push_back(item.get<double>());
  }
  return result;
}

std::vector<std::int64_t> ObjectReader::integers(std::string_view key) {
  trace_kind(file_, path_, key, [] { return R"({"type":"array","items":{"type":"integer"}})"; });
  const Json& value = need(key);
  if (!value.is_array())
    fail_at(key, fmt::format("expected an array of whole numbers, found {}", found(value)));
  std::vector<std::int64_t> result;
  for (const Json& item : value) {
    if (!whole_number(item))
      fail_at(key, fmt::format("expected whole numbers, found {}", found(item)));
    result.push_back(item.get<std::int64_t>());
  }
  return result;
}

const Json& ObjectReader::raw(std::string_view key) {
  trace_kind(file_, path_, key, [] { return "{}"; });
  return need(key);
}

std::vector<std::string> ObjectReader::keys() {
  if (tracing.trace != nullptr) traced(file_, path_).free = true;
  std::vector<std::string> result;
  for (const auto& item : object_->items()) {
    asked_.insert(item.key());
    result.push_back(item.key());
  }
  return result;
}

void ObjectReader::finish() const {
  for (const auto& item : object_->items()) {
    if (asked_.contains(item.key())) continue;
    fail(unknown_name("key", item.key(), {asked_.begin(), asked_.end()}));
  }
}

}  // namespace paceline
