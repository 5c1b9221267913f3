// `paceline schema`: JSON Schema (draft 7, which editors know) of the files, made of what their readers ask for
// when they read everything that is shipped and the examples of cli/schema/.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/reader_trace.hpp"
#include "calibrate/profile/profile.hpp"
#include "cli/schema.hpp"
#include "experiments/axes.hpp"
#include "experiments/experiment.hpp"
#include "experiments/shipped.hpp"
#include "models/model_file.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/stack_file.hpp"
#include "shell.hpp"
#include "studies/shipped.hpp"
#include "studies/study.hpp"

namespace paceline {
namespace {

using Objects = std::map<std::string, ReaderTrace::Object>;

void read_all_experiments(const Json& json, const std::string& file) {
  const std::vector<Axis> axes = read_axes(json, file);
  for (const Point& point : points(json, axes)) (void)read_experiment(point.json, file);
}

void read_study(const Json& json, const std::string& file) {
  Study study = Study::read(json, file);
  study.finish();
}

struct FileFormat {
  const char* name;
  const char* what;
  const char* page;  // of docs/
  void (*read)(const Json& json, const std::string& file);
  void (*read_shipped)();  // what lies in no folder of examples
};

constexpr FileFormat kFileFormats[]{
    {"paceline-experiment-1", "an experiment", "experiment", read_all_experiments,
     [] {
       for (const auto& [name, text] : shipped_experiments())
         read_all_experiments(parse_json(text, name), name);
     }},
    {"paceline-cluster-1", "a cluster", "cluster",
     [](const Json& json, const std::string& file) { (void)read_cluster(json, file); },
     [] {
       for (const std::string& name : shipped_clusters())
         (void)read_cluster(write_cluster(load_cluster_spec(name, {})), name);
     }},
    {"paceline-stack-1", "a software stack", "stacks",
     [](const Json& json, const std::string& file) { (void)read_stack(json, file, {}); },
     [] {
       for (const std::string& name : shipped_stacks()) (void)load_stack(name, {});
     }},
    {"paceline-model-1", "a model", "model",
     [](const Json& json, const std::string& file) { (void)read_model(json, file); }, [] {}},
    {"paceline-profile-1", "a profile", "profile",
     [](const Json& json, const std::string& file) { (void)read_profile(json, file); },
     [] {
       for (const std::string& name : shipped_profiles()) (void)load_profile(name);
     }},
    {"paceline-study-1", "a study", "sweep", read_study, [] {
       for (const auto& [name, text] : shipped_studies()) read_study(parse_json(text, name), name);
     }}};

Json schema_of_object(const Objects& objects, const std::string& path, const std::string& format);

// Of whatever a key was read as.
Json schema_of_key(const Objects& objects, const std::string& path, const std::string& key,
                   const ReaderTrace::Key& asked, const std::string& format) {
  Json kinds = Json::array();
  for (const std::string& kind : asked.kinds) {
    const std::string below = path + "." + key;
    if (kind == "{}")
      return Json::object();  // it was looked at as it is: the reader says what fits
    if (kind == "object")
      kinds.push_back(schema_of_object(objects, below, format));
    else if (kind == "objects")
      kinds.push_back(
          {{"type", "array"}, {"items", schema_of_object(objects, below + "[]", format)}});
    else
      kinds.push_back(Json::parse(kind));
  }
  // Of a text that is one of several it is known which.
  bool one_of_names = false;
  for (const Json& kind : kinds) one_of_names = one_of_names || kind.contains("enum");
  Json kept = Json::array();
  for (Json& kind : kinds)
    if (!one_of_names || kind != Json{{"type", "string"}}) kept.push_back(std::move(kind));
  if (kept.empty()) return Json::object();
  return kept.size() == 1 ? kept.front() : Json{{"anyOf", kept}};
}

Json schema_of_object(const Objects& objects, const std::string& path, const std::string& format) {
  const auto found = objects.find(path);
  if (found == objects.end()) return {{"type", "object"}};
  const ReaderTrace::Object& object = found->second;
  Json schema{{"type", "object"}};
  if (object.free) {
    Json values = Json::object();
    for (const auto& [key, asked] : object.keys)
      if (!asked.kinds.empty()) values = schema_of_key(objects, path, key, asked, format);
    schema["additionalProperties"] =
        objects.contains(path + ".*") ? schema_of_object(objects, path + ".*", format) : values;
    return schema;
  }
  Json properties = Json::object(), required = Json::array();
  for (const auto& [key, asked] : object.keys) {
    if (asked.required + asked.optional == 0) continue;
    properties[key] = path == "$" && key == "format"
                          ? Json{{"const", format}}
                          : schema_of_key(objects, path, key, asked, format);
    if (asked.required > 0 && asked.optional == 0 && asked.present == object.read)
      required.push_back(key);
  }
  schema["properties"] = std::move(properties);
  if (!required.empty()) schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
  return schema;
}

const FileFormat& format_called(const std::string& name) {
  std::vector<std::string> names;
  for (const FileFormat& format : kFileFormats) {
    const std::string whole = format.name;
    if (name == whole || "paceline-" + name + "-1" == whole) return format;
    names.push_back(whole.substr(9, whole.size() - 11));
  }
  throw InputError(unknown_name("format", name, names));
}

// Experiments are read through studies and name their jobs twice; what asks for free keys accepts any.
Json schema_of(const FileFormat& format) {
  ReaderTrace trace;
  {
    const TracedReaders traced(trace);
    format.read_shipped();
    for (const auto& [name, text] : schema_examples()) {
      const Json json = parse_json(text, name);
      if (json.at("format") == format.name) format.read(json, name);
    }
  }
  Json schema = schema_of_object(trace.formats[format.name], "$", format.name);
  Json head{{"$schema", "http://json-schema.org/draft-07/schema#"},
            {"$id", fmt::format("urn:{}", format.name)},
            {"title", format.name},
            {"description", fmt::format("{} of Paceline: docs/{}.md", format.what, format.page)}};
  head.update(schema);
  return head;
}

struct SchemaOptions {
  std::string format;
};

void run(const SchemaOptions& options) {
  if (options.format.empty()) {
    for (const FileFormat& format : kFileFormats)
      std::cout << fmt::format("{:<24}{}\n", format.name, format.what);
    return;
  }
  std::cout << schema_of(format_called(options.format)).dump(2) << '\n';
}

}  // namespace

void add_schema(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "schema", "JSON Schema of a file format, for editors: experiment, cluster, ...");
  command->footer(
      "Examples:\n"
      "  paceline schema\n"
      "  paceline schema cluster > cluster.schema.json");
  const auto options = std::make_shared<SchemaOptions>();
  command->add_option("format", options->format,
                      "cluster or paceline-cluster-1; without it, all names");
  command->callback([options] { run(*options); });
}

}  // namespace paceline
