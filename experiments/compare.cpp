#include "experiments/compare.hpp"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "base/error.hpp"
#include "experiments/isolated.hpp"
#include "experiments/run.hpp"

namespace paceline {
namespace {

// Simulations to make, each once.
class Work {
 public:
  /// Index of the simulation's result.
  std::size_t add(Experiment experiment, const std::string& label) {
    const auto [it, fresh] = index_.try_emplace(write_experiment(experiment).dump(), tasks_.size());
    if (fresh)
      tasks_.push_back([experiment = std::move(experiment), label] {
        try {
          return to_json(run_alone(experiment));
        } catch (const InputError& error) {
          throw InputError(fmt::format("{}: {}", label, error.what()));
        }
      });
    return it->second;
  }

  std::vector<Json> run(unsigned parallel,
                        const std::function<void(std::size_t, std::size_t)>& progress) const {
    return run_isolated(tasks_, parallel, [&](std::size_t done) {
      if (progress) progress(done, tasks_.size());
    });
  }

 private:
  std::map<std::string, std::size_t> index_;
  std::vector<std::function<Json()>> tasks_;
};

struct Planned {
  Point point;
  std::size_t run = 0;
  std::optional<std::size_t> baseline;
};

}  // namespace

Comparison compare(const Json& json, const std::string& file, const std::vector<Axis>& axes,
                   unsigned parallel,
                   const std::function<void(std::size_t, std::size_t)>& progress) {
  if (axes.empty())
    throw InputError(
        fmt::format("{}: nothing varies: give \"vary\" in the file or --vary "
                    "KEY=VALUE,VALUE,...",
                    file));
  Comparison comparison;
  comparison.name = json.value("name", "");
  comparison.description = json.value("description", "");
  for (const Axis& axis : axes) comparison.axes.push_back(axis.name);

  Work work;
  std::vector<Planned> plan;
  for (Point& point : points(json, axes)) {
    const std::string label = fmt::format("{}", fmt::join(point.labels, ", "));
    Planned planned{std::move(point), 0, {}};
    const Experiment experiment = read_experiment(planned.point.json, file);
    if (std::optional<Experiment> baseline = s_sgd_baseline(experiment))
      planned.baseline = work.add(std::move(*baseline), label);
    planned.run = work.add(experiment, label);
    plan.push_back(std::move(planned));
  }
  const std::vector<Json> results = work.run(parallel, progress);
  for (Planned& planned : plan) {
    ComparedRow row{planned.point.labels, result_from_json(results[planned.run], file)};
    const double own = row.result.job.iteration_time_s;
    compare_with_s_sgd(
        row.result,
        planned.baseline ? results[*planned.baseline].at("iteration_time_s").get<double>() : own);
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

}  // namespace paceline
