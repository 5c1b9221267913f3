#include "experiments/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <thread>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "experiments/baseline.hpp"
#include "experiments/run.hpp"
#include "experiments/run_store.hpp"

namespace paceline {
namespace {

// Simulations to make, each once; those that are stored, not at all.
class Work {
 public:
  explicit Work(const CompareSettings& settings) : settings_(settings) {
    if (!settings.runs.empty()) store_.emplace(settings.runs);
  }

  /// Index of the simulation's result.
  std::size_t add(Experiment experiment, const std::string& label) {
    const auto [it, fresh] =
        index_.try_emplace(write_experiment(experiment).dump(), results_.size());
    if (!fresh) return it->second;
    results_.emplace_back();
    if (store_)
      if (std::optional<Json> stored = store_->find(experiment)) {
        results_.back() = std::move(*stored);
        return it->second;
      }
    share_cores(experiment);
    missing_.push_back(it->second);
    tasks_.push_back([this, experiment = std::move(experiment), label] {
      try {
        Json result = to_json(run_alone(experiment));
        if (store_) store_->keep(experiment, result);  // here: the parent may be gone by now
        return result;
      } catch (const InputError& error) {
        throw InputError(fmt::format("{}: {}", label, error.what()));
      }
    });
    return it->second;
  }

  /// The same, if somebody else has added it.
  [[nodiscard]] std::optional<std::size_t> find(const Experiment& experiment) const {
    const auto found = index_.find(write_experiment(experiment).dump());
    if (found == index_.end()) return std::nullopt;
    return found->second;
  }

  const std::vector<Json>& run() {
    const std::size_t stored = results_.size() - tasks_.size();
    const auto report = [&](std::size_t done) {
      if (settings_.progress) settings_.progress({stored + done, results_.size(), stored});
    };
    report(0);
    std::vector<Json> fresh = run_isolated(tasks_, settings_.parallel, report);
    for (std::size_t i = 0; i < fresh.size(); ++i) results_[missing_[i]] = std::move(fresh[i]);
    return results_;
  }

 private:
  // Trainings side by side that each took all cores would only disturb one another.
  void share_cores(Experiment& experiment) const {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    for (JobDescription& job : experiment.jobs)
      if (job.training && !job.training->threads)
        job.training->threads = std::max(1U, cores / std::max(1U, settings_.parallel));
  }

  const CompareSettings& settings_;
  std::optional<RunStore> store_;
  std::map<std::string, std::size_t> index_;
  std::vector<Json> results_;
  std::vector<std::size_t> missing_;  // of results_, by task
  std::vector<std::function<Json()>> tasks_;
};

Experiment read_point(const Json& json, const std::string& file, const std::string& label) {
  try {
    return read_experiment(json, file);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", label, error.what()));
  }
}

struct Planned {
  Point point;
  std::size_t run = 0;
  Baseline baseline;
  std::vector<std::optional<std::size_t>> baseline_runs;
};

double seconds_of(const Json& result) {
  return result.at("iteration_time_s").get<double>();
}

void compare_with_fastest(const Planned& planned, const std::vector<Json>& results,
                          RunResult& result) {
  std::optional<std::size_t> fastest;  // of the baselines
  for (std::size_t i = 0; i < planned.baseline_runs.size(); ++i) {
    if (!planned.baseline_runs[i]) continue;
    if (!fastest || seconds_of(results[*planned.baseline_runs[i]]) <
                        seconds_of(results[*planned.baseline_runs[*fastest]]))
      fastest = i;
  }
  if (fastest)
    compare_with_baseline(result, schedule_option(planned.baseline.experiments[*fastest]),
                          seconds_of(results[*planned.baseline_runs[*fastest]]));
}

}  // namespace

Comparison compare(const Json& json, const std::string& file, const std::vector<Axis>& axes,
                   const CompareSettings& settings) {
  if (axes.empty())
    throw InputError(
        fmt::format("{}: nothing varies: give \"vary\" in the file or --vary "
                    "KEY=VALUE,VALUE,...",
                    file));
  Comparison comparison;
  comparison.name = json.value("name", "");
  comparison.description = json.value("description", "");
  for (const Axis& axis : axes) comparison.axes.push_back(axis.name);

  Work work(settings);
  std::vector<Planned> plan;
  for (Point& point : points(json, axes)) {
    const std::string label = fmt::format("{}", fmt::join(point.labels, ", "));
    Planned planned{std::move(point), 0, {}, {}};
    const Experiment experiment = read_point(planned.point.json, file, label);
    planned.baseline = baseline_of(experiment);
    if (!planned.baseline.only_if_run)
      for (const Experiment& baseline : planned.baseline.experiments)
        planned.baseline_runs.emplace_back(work.add(baseline, label));
    planned.run = work.add(experiment, label);
    plan.push_back(std::move(planned));
  }
  for (Planned& planned : plan)
    if (planned.baseline.only_if_run)
      for (const Experiment& baseline : planned.baseline.experiments)
        planned.baseline_runs.push_back(work.find(baseline));
  const std::vector<Json>& results = work.run();
  for (Planned& planned : plan) {
    ComparedRow row{planned.point.labels, result_from_json(results[planned.run], file)};
    compare_with_fastest(planned, results, row.result);
    comparison.rows.push_back(std::move(row));
  }
  return comparison;
}

Json to_json(const Comparison& comparison) {
  Json json{{"format", "paceline-comparison-1"}, {"name", comparison.name}};
  json["description"] = comparison.description;
  json["axes"] = comparison.axes;
  json["rows"] = Json::array();
  for (const ComparedRow& row : comparison.rows)
    json["rows"].push_back({{"labels", row.labels}, {"result", to_json(row.result)}});
  return json;
}

Comparison comparison_from_json(const Json& json, const std::string& file) {
  Comparison comparison;
  try {
    comparison.name = json.at("name").get<std::string>();
    comparison.description = json.at("description").get<std::string>();
    comparison.axes = json.at("axes").get<std::vector<std::string>>();
    for (const Json& row : json.at("rows"))
      comparison.rows.push_back({row.at("labels").get<std::vector<std::string>>(),
                                 result_from_json(row.at("result"), file)});
  } catch (const nlohmann::json::exception& error) {
    throw InputError(fmt::format("{}: not a comparison: {}", file, json_reason(error)));
  }
  if (comparison.axes.empty()) throw InputError(fmt::format("{}: no axis varies", file));
  for (const ComparedRow& row : comparison.rows)
    if (row.labels.size() != comparison.axes.size())
      throw InputError(fmt::format("{}: {} labels for {} axes", file, row.labels.size(),
                                   comparison.axes.size()));
  return comparison;
}

}  // namespace paceline
