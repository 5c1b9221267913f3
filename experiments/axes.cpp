#include "experiments/axes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "experiments/axis_values.hpp"
#include "experiments/experiment.hpp"

namespace paceline {
namespace {

Json value_of(const std::string& text) {
  return parse_json_or_text(text, fmt::format("'{}'", text));
}

// Of a schedule that is a name, an object, or not given at all.
void add_options(Json& schedule, const Json& options) {
  if (schedule.is_null()) schedule = "s-sgd";
  if (schedule.is_string()) schedule = Json{{"name", Json(schedule)}};
  if (schedule.is_object()) schedule.merge_patch(options);
}

// "training.learning_rate.base" = 0.1 as nested objects.
Json nested(const std::string& path, Json value) {
  const std::vector<std::string> keys = split_outside_brackets(path, '.');
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) value = Json{{*key, std::move(value)}};
  return value;
}

// A value of the experiment's key as the flag of that name takes it.
Json value_from_option(const std::string& key, const std::string& text) {
  static const std::vector<std::string> kTexts{
      "model", "precision",   "cluster", "profile", "fidelity", "network", "optimizer",
      "top_k", "batch_split", "gpus",    "stack",   "gpu",      "wire"};
  if (text.starts_with('{') || text.starts_with('[')) return value_of(text);
  if (key == "schedule") return schedule_from_option(text);
  if (key == "jitter") return jitter_from_option(text);
  if (key == "all_reduce") return all_reduce_from_option(text);
  return std::find(kTexts.begin(), kTexts.end(), key) != kTexts.end() ? Json(text) : value_of(text);
}

}  // namespace

void apply_variant(Json& json, const Json& keys) {
  for (const auto& [key, value] : keys.items()) {
    if (key == "set" && json.contains("set"))
      for (const Json& item : value) json["set"].push_back(item);
    else if (key == "training" && json.contains(key) && json[key].is_object() && value.is_object())
      json[key].merge_patch(value);
    else if (key == "schedule" && value.is_object() && !value.contains("name"))
      add_options(json[key], value);
    else
      json[key] = value;
  }
}

std::vector<Axis> read_axes(const Json& json, const std::string& file) {
  std::vector<Axis> axes;
  if (!json.is_object() || !json.contains("vary")) return axes;
  ObjectReader top(json, file);
  for (ObjectReader& item : top.objects("vary")) {
    Axis axis{item.string("axis"), {}};
    for (ObjectReader& variant : item.objects("variants")) {
      Variant v{variant.string("label"), Json::object()};
      for (const std::string& key : experiment_keys())
        if (variant.has(key)) v.keys[key] = variant.raw(key);
      variant.finish();
      if (v.keys.contains("set")) (void)variant.strings("set");
      axis.variants.push_back(std::move(v));
    }
    if (axis.variants.empty()) item.fail_at("variants", "expected at least one variant");
    item.finish();
    axes.push_back(std::move(axis));
  }
  return axes;
}

AxisField::AxisField(const std::string& name, const std::string& where) : key_(name) {
  if (key_.find('.') == std::string::npos)
    std::replace(key_.begin(), key_.end(), '-', '_');  // as the flag has it
  const auto& keys = experiment_keys();
  nests_ = key_.starts_with("training.") || key_.starts_with("schedule.");
  ours_ = std::find(keys.begin(), keys.end(), key_) != keys.end() && key_ != "set";
  static const std::vector<std::string> kOfCluster{"stragglers", "link_events", "background"};
  const bool of_cluster = key_.find_first_of(".[") != std::string::npos ||
                          std::find(kOfCluster.begin(), kOfCluster.end(), key_) != kOfCluster.end();
  if (!ours_ && !of_cluster) {
    std::vector<std::string> known = keys;
    std::erase(known, "set");
    known.insert(known.end(), kOfCluster.begin(), kOfCluster.end());
    throw InputError(
        fmt::format("{}: {} (or a field of the cluster such as "
                    "network.bandwidth)",
                    where, unknown_name("key", key_, known)));
  }
}

Variant AxisField::variant(const std::string& text) const {
  Variant variant{text, Json::object()};
  if (nests_)
    variant.keys = nested(key_, value_of(text));
  else if (!ours_)
    variant.keys["set"] = Json::array({key_ + "=" + text});
  else
    variant.keys[key_] = value_from_option(key_, text);
  return variant;
}

Axis axis_from_option(const std::string& option, std::size_t fine) {
  const auto equals = option.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == option.size())
    throw InputError(
        fmt::format("--vary {}: expected KEY=VALUE,VALUE,... (e.g. cluster=a,b)", option));
  const std::string where = "--vary " + option;
  const AxisField field(option.substr(0, equals), where);
  Axis axis{field.key(), {}};
  for (const std::string& text : values_of_text(option.substr(equals + 1), where, fine))
    axis.variants.push_back(field.variant(text));
  return axis;
}

Json schedule_from_option(const std::string& option) {
  const std::vector<std::string> parts = split_outside_brackets(option, ':');
  Json schedule{{"name", parts.front()}};
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto equals = parts[i].find('=');
    if (equals == std::string::npos || equals == 0)
      throw InputError(
          fmt::format("schedule '{}': expected NAME:KEY=VALUE:..., found '{}'", option, parts[i]));
    const std::string key = parts[i].substr(0, equals);
    if (schedule.contains(key))
      throw InputError(fmt::format("schedule '{}': '{}' is given twice", option, key));
    schedule[key] = value_of(parts[i].substr(equals + 1));
  }
  return schedule;
}

Json jitter_from_option(const std::string& text) {
  const auto colon = text.find(':');
  Json jitter{{"distribution", text.substr(0, colon)}};
  if (colon == std::string::npos) return jitter;
  const Json cv = Json::parse(text.substr(colon + 1), nullptr, false);
  if (!cv.is_number())
    throw InputError(fmt::format("jitter '{}': expected e.g. lognormal:0.1", text));
  jitter["cv"] = cv;
  return jitter;
}

Json all_reduce_from_option(const std::string& text) {
  Json options = schedule_from_option(text);
  Json json{{"algorithm", options.at("name")}};
  options.erase("name");
  json.update(options);
  return json;
}

namespace {

// Of everything an axis says: "batch", "training.momentum", "set network.bandwidth".
void add_paths(const Json& keys, const std::string& before, std::set<std::string>& paths) {
  for (const auto& [key, value] : keys.items()) {
    const std::string path = before.empty() ? key : before + '.' + key;
    if (key == "set" && value.is_array())
      for (const Json& assignment : value)
        paths.insert("set " + assignment.get<std::string>().substr(
                                  0, assignment.get<std::string>().find('=')));
    else if ((key == "training" || key == "schedule") && value.is_object())
      add_paths(value, path, paths);
    else
      paths.insert(path == "schedule" ? "schedule.name" : path);
  }
}

}  // namespace

// The later of two axes that say the same would win, and the other's labels would lie.
void check_distinct(const std::vector<Axis>& axes) {
  std::map<std::string, const Axis*> said;
  for (const Axis& axis : axes) {
    std::set<std::string> paths;
    for (const Variant& variant : axis.variants) add_paths(variant.keys, "", paths);
    for (const std::string& path : paths) {
      const auto option = said.lower_bound("schedule.");
      if (path == "schedule.name" && !said.contains(path) && option != said.end() &&
          option->first.starts_with("schedule.") && option->second != &axis)
        throw InputError(fmt::format(
            "the axis '{}' says a schedule's option, and the schedule comes after it, in '{}': "
            "put that first",
            option->second->name, axis.name));
      const auto [before, fresh] = said.try_emplace(path, &axis);
      if (!fresh)
        throw InputError(fmt::format(
            "the axes '{}' and '{}' both say '{}': give all its values in one, {}=A,B,...",
            before->second->name, axis.name, path, axis.name));
    }
  }
}

std::vector<Point> points(const Json& json, const std::vector<Axis>& axes) {
  check_distinct(axes);
  std::vector<Point> result{{{}, json}};
  result.front().json.erase("vary");
  for (const Axis& axis : axes) {
    std::vector<Point> next;
    for (const Point& point : result)
      for (const Variant& variant : axis.variants) {
        Point more = point;
        more.labels.push_back(variant.label);
        apply_variant(more.json, variant.keys);
        next.push_back(std::move(more));
      }
    result = std::move(next);
  }
  return result;
}

}  // namespace paceline
