#include "experiments/published.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "experiments/axes.hpp"
#include "experiments/one_gpu.hpp"

namespace paceline {
namespace {

constexpr const char* kFormat = "paceline-published-1";
const std::vector<std::string> kCategories{"predicted", "driven", "reported"};
const std::vector<std::string> kMeasures{"iteration",  "passes", "forward",  "backward",
                                         "all_reduce", "memory", "allocated"};
const std::vector<std::string> kRates{"job", "gpu"};

// What a series takes from its set, and a row from its series.
struct Inherited {
  RowCategory category = RowCategory::predicted;
  std::string why;
  bool of_each = false;  // rates are of each GPU
  RowMeasure measure = RowMeasure::iteration;
};

void read_inherited(ObjectReader& r, Inherited& in) {
  if (r.has("category")) {
    const std::string name = r.choice("category", kCategories);
    in.category = name == "predicted" ? RowCategory::predicted
                  : name == "driven"  ? RowCategory::driven
                                      : RowCategory::reported;
    in.why.clear();
  }
  in.why = r.string("why", in.why);
  if (r.has("rate_of")) in.of_each = r.choice("rate_of", kRates) == "gpu";
  if (r.has("measures")) {
    const auto found =
        std::find(kMeasures.begin(), kMeasures.end(), r.choice("measures", kMeasures));
    in.measure = static_cast<RowMeasure>(found - kMeasures.begin());
  }
}

Json object_or_empty(ObjectReader& r, std::string_view key) {
  if (!r.has(key)) return Json::object();
  Json value = r.raw(key);
  if (!value.is_object()) r.fail_at(key, "expected an object of an experiment's keys");
  return value;
}

// As the variants of axes do: keys replace, "set" is added.
Json merged(const Json& experiment, const Json& keys) {
  return points(experiment, {{"row", {{"", keys}}}}).front().json;
}

// A vector and nothing else: what is left of an iteration then is its all-reduce.
void put_vector(Json& experiment, const std::string& elements) {
  experiment["model"] = {{"format", "paceline-model-1"},
                         {"name", "vector"},
                         {"tensors", {{{"name", "vector"}, {"elements", elements}}}}};
  experiment["profile"] = {
      {"format", "paceline-profile-1"},
      {"source", "published"},
      {"uncertainty", 0},
      {"device", "V100 SXM2"},
      {"model", "vector"},
      {"batches", {{{"whole_net", {{"step", "1ns"}, {"spread", "uniform"}}}}}}};
  experiment["schedule"] = {{"name", "s-sgd"}, {"overlap", "none"}};
}

class SeriesReader {
 public:
  SeriesReader(std::string set, ObjectReader& reader, const Json& experiment, Inherited inherited)
      : set_(std::move(set)), r_(reader), inherited_(std::move(inherited)) {
    name_ = r_.string("name");
    read_inherited(r_, inherited_);
    experiment_ = merged(experiment, object_or_empty(r_, "experiment"));
    if (r_.has("one_gpu")) {
      one_gpu_ = r_.string("one_gpu");
      if (inherited_.category != RowCategory::predicted && !experiment_.contains("profile"))
        experiment_["profile"] = *one_gpu_;
    }
  }

  std::vector<PublishedRow> rows() {
    std::vector<PublishedRow> rows;
    for (ObjectReader& reader : r_.objects("rows")) rows.push_back(row(reader));
    r_.finish();
    if (one_gpu_) return rows;
    const auto one = std::find_if(rows.begin(), rows.end(), [](const PublishedRow& row) {
      return row.gpus == 1 && row.measure == RowMeasure::iteration;
    });
    if (one == rows.end()) return rows;
    const double one_gpu_s = one->measured_s;
    for (PublishedRow& row : rows) row.one_gpu_measured_s = one_gpu_s;
    return rows;
  }

 private:
  PublishedRow row(ObjectReader& r) {
    PublishedRow row;
    Inherited own = inherited_;
    read_inherited(r, own);
    row.set = set_;
    row.series = name_;
    row.category = own.category;
    row.why = own.why;
    row.measure = own.measure;
    row.training = r.boolean("training", false);
    row.base = r.boolean("base", false);
    row.gpus = r.integer("gpus", 1);
    row.experiment = merged(experiment_, object_or_empty(r, "experiment"));
    row.experiment["gpus"] = fmt::format("0-{}", row.gpus - 1);
    row.name = fmt::format("{} GPU{}", row.gpus, row.gpus == 1 ? "" : "s");
    if (row.measure == RowMeasure::all_reduce) {
      const std::string elements = r.string("elements");
      put_vector(row.experiment, elements);
      row.name += fmt::format(", {}", elements);
    }
    row.name = r.string("name", row.name);
    row.measured_s = is_memory(row.measure) ? r.bytes("measured")
                                            : time_of(r, "measured", r.string("measured"),
                                                      own.of_each ? 1 : row.gpus, row.experiment);
    if (one_gpu_)  // of the row's batch and accumulation
      row.one_gpu_measured_s = time_of(r_, "one_gpu", *one_gpu_, 1, row.experiment);
    if (row.category != RowCategory::predicted && row.why.empty())
      r.fail(fmt::format("a row that is {} needs a \"why\"", to_string(row.category)));
    if (row.training && row.category == RowCategory::reported)
      r.fail("a row that is only reported cannot be one that constants are fitted on");
    r.finish();
    return row;
  }

  // Seconds of an iteration: "253/s" counts the samples of `gpus` GPUs, "163ms" is it.
  static double time_of(ObjectReader& r, std::string_view key, const std::string& text,
                        std::int64_t gpus, const Json& experiment) {
    const auto time = OneGpuTime::from_text(text);
    if (!time) r.fail_at(key, fmt::format("'{}': expected \"253/s\" or \"163ms\"", text));
    if (text.ends_with("/s") && !experiment.contains("batch"))
      r.fail_at(key, "samples per second need the experiment's batch");
    return time->step_s(gpus * experiment.value("batch", std::int64_t{1}) *
                        experiment.value("accumulation", std::int64_t{1}));
  }

  std::string set_, name_;
  ObjectReader& r_;
  Inherited inherited_;
  Json experiment_;
  std::optional<std::string> one_gpu_;
};

}  // namespace

std::string to_string(RowCategory category) {
  return kCategories[static_cast<std::size_t>(category)];
}

std::string to_string(RowMeasure measure) {
  return kMeasures[static_cast<std::size_t>(measure)];
}

PublishedSet read_published(const Json& json, const std::string& name, const std::string& file) {
  ObjectReader r(json, file);
  if (const std::string format = r.string("format"); format != kFormat)
    r.fail_at("format", fmt::format("expected \"{}\", found \"{}\"", kFormat, format));
  PublishedSet set;
  set.name = name;
  set.title = r.string("title");
  set.source = r.string("source");
  set.licence = r.string("licence");
  set.hardware = r.string("hardware");
  set.software = r.string("software");
  if (r.has("cautions")) set.cautions = r.strings("cautions");
  if (r.has("bar")) {
    ObjectReader bar = r.object("bar");
    set.bar = ErrorBar{bar.number("mean", 0, 10), bar.number("p90", 0, 10)};
    bar.finish();
  }
  Inherited inherited;
  read_inherited(r, inherited);
  Json experiment = {{"format", "paceline-experiment-1"}};
  experiment.update(object_or_empty(r, "experiment"));
  for (ObjectReader& series : r.objects("series"))
    for (PublishedRow& row : SeriesReader(name, series, experiment, inherited).rows())
      set.rows.push_back(std::move(row));
  r.finish();
  return set;
}

PublishedSet load_published(const std::string& name_or_path) {
  std::error_code ignored;
  const std::filesystem::path path(name_or_path);
  const auto shipped = published_texts().find(name_or_path);
  if (shipped != published_texts().end() && !std::filesystem::exists(path, ignored))
    return read_published(parse_json(shipped->second, name_or_path), name_or_path, name_or_path);
  if (std::filesystem::exists(path, ignored) || name_or_path.ends_with(".json"))
    return read_published(load_json(path), path.stem().string(), name_or_path);
  std::vector<std::string> names;
  for (const auto& [known, text] : published_texts()) names.push_back(known);
  throw InputError(unknown_name("set of measurements", name_or_path, names) +
                   " (or give the path of a file of them)");
}

std::vector<PublishedSet> shipped_published() {
  std::vector<PublishedSet> sets;
  for (const auto& [name, text] : published_texts())
    sets.push_back(read_published(parse_json(text, name), name, name));
  return sets;
}

}  // namespace paceline
