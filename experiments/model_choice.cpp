#include "experiments/model_choice.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <mutex>

#include "base/error.hpp"
#include "base/json.hpp"
#include "models/hugging_face.hpp"
#include "models/model_file.hpp"
#include "models/model_options.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

// Of the zoo, each made once a process: the points of a study share them.
std::shared_ptr<const Model> shared_model(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const Model>> made;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const Model>& model = made[name];
  if (!model) model = std::make_shared<const Model>(make_model(name));
  return model;
}

// "resnet50:batch=32": the batch is the job's.
std::string without_batch(const std::string& text, ObjectReader& r, JobDescription& job) {
  try {
    NamedOptions asked = split_options(text);
    const auto batch = asked.options.find("batch");
    if (batch == asked.options.end()) return text;
    if (r.has("batch") && r.integer("batch", 1) != batch->second)
      throw InputError(fmt::format("says batch {}, and the job's batch is {}", batch->second,
                                   r.integer("batch", 1)));
    job.batch = batch->second;
    asked.options.erase(batch);
    return asked.name + options_text(asked.options);
  } catch (const InputError& error) {
    r.fail_at("model", error.what());
  }
}

void find_model(ObjectReader& r, JobDescription& job) {
  const Json& value = r.raw("model");
  if (value.is_object()) {
    const std::string where = r.file() + ": " + r.path() + ".model";
    job.model = std::make_shared<const Model>(is_hugging_face_config(value)
                                                  ? read_hugging_face_config(value, {where, {}})
                                                  : read_model(value, where));
    job.model_json = write_model(*job.model);
    return;
  }
  const std::string name = without_batch(r.string("model"), r, job);
  if (const NamedOptions asked = split_options(name); looks_like_path(asked.name)) {
    job.model = std::make_shared<const Model>(
        load_model(located(asked.name, r.file()) + options_text(asked.options)));
    job.model_json = write_model(*job.model);
    return;
  }
  try {
    job.model = shared_model(name);
  } catch (const InputError& error) {
    r.fail_at("model", error.what());
  }
  job.model_json = job.model->name();
}

}  // namespace

bool looks_like_path(const std::string& name) {
  return name.ends_with(".json") || name.ends_with(".xml") || name.ends_with(".onnx") ||
         name.find('/') != std::string::npos;
}

std::string located(const std::string& name, const std::string& file) {
  if (!looks_like_path(name) || fs::path(name).is_absolute()) return name;
  std::error_code ignored;
  const fs::path beside = fs::path(file).parent_path() / name;
  return fs::exists(beside, ignored) ? beside.string() : name;
}

void read_model_choice(ObjectReader& r, JobDescription& job) {
  if (!r.has("model")) return;
  find_model(r, job);
  job.model_name = job.model->name();
  job.model_title = job.model->title();
}

}  // namespace paceline
