#include "experiments/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "base/statistics.hpp"
#include "experiments/memory.hpp"
#include "experiments/run.hpp"

namespace paceline {
namespace {

double memory_of(RowMeasure measure, const JobOutcome& job) {
  double most = 0;
  for (const MemoryUse& use : job.memory)
    most = std::max(most,
                    use.total_bytes() -
                        (measure == RowMeasure::allocated ? use.framework_bytes.value_or(0) : 0));
  return most;
}

double value_of(RowMeasure measure, const JobOutcome& job) {
  switch (measure) {
    case RowMeasure::memory:
    case RowMeasure::allocated:
      return memory_of(measure, job);
    case RowMeasure::passes:
      return job.time.compute_s();
    case RowMeasure::forward:
      return job.time.forward_s;
    case RowMeasure::backward:
      return job.time.backward_s;
    case RowMeasure::all_reduce:
      return job.time.exposed_communication_s;
    case RowMeasure::iteration:
      break;
  }
  return job.iteration_time_s;
}

Json replay_json(const Replay& replay) {
  return {{"predicted_s", replay.predicted_s},
          {"sigma_s", replay.sigma_s},
          {"one_gpu_s", replay.one_gpu_s},
          {"fidelity", replay.fidelity},
          {"stack", replay.stack}};
}

Replay replay_from(const Json& json) {
  return {json.at("predicted_s").get<double>(), json.at("sigma_s").get<double>(),
          json.at("one_gpu_s").get<double>(), json.at("fidelity").get<std::string>(),
          json.at("stack").get<std::string>()};
}

bool is_judged(const ReplayedRow& row) {
  return !row.row.training && row.row.category != RowCategory::reported;
}

template <class Wanted>
std::vector<double> errors_of(const std::vector<ReplayedRow>& rows, Wanted wanted) {
  std::vector<double> errors;
  for (const ReplayedRow& row : rows)
    if (wanted(row)) errors.push_back(std::abs(row.error()));
  return errors;
}

Json summary_json(const ErrorSummary& summary) {
  return {{"rows", summary.rows},
          {"mean", summary.mean},
          {"median", summary.median},
          {"p90", summary.p90}};
}

Json row_json(const ReplayedRow& row) {
  Json json{{"series", row.row.series}, {"name", row.row.name}, {"gpus", row.row.gpus}};
  json["category"] = to_string(row.row.category);
  if (!row.row.why.empty()) json["why"] = row.row.why;
  json["training"] = row.row.training;
  json["measures"] = to_string(row.row.measure);
  const std::string unit = is_memory(row.row.measure) ? "_bytes" : "_s";
  json["measured" + unit] = row.row.measured_s;
  json["predicted" + unit] = row.predicted_s;
  json["sigma" + unit] = row.sigma_s;
  json["error"] = row.error();
  if (const auto scaling = row.scaling_error()) json["scaling_error"] = *scaling;
  json["covered"] = row.covered();
  json["stack"] = row.stack;
  json["fidelity"] = row.fidelity;
  return json;
}

}  // namespace

Replay replay(const PublishedRow& row) {
  try {
    const RunResult result = run_alone(read_experiment(row.experiment, row.id()));
    const double value = value_of(row.measure, result.job);
    return {value, is_memory(row.measure) ? value * memory_sigma() : result.job.uncertainty_s,
            result.job.one_gpu_time_s, result.fidelity, result.stack};
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", row.id(), error.what()));
  }
}

std::optional<double> ReplayedRow::scaling_error() const {
  if (base_ratio > 0 && !row.base) return predicted_s / row.measured_s / base_ratio - 1;
  if (!row.one_gpu_measured_s || row.gpus < 2 || row.measure != RowMeasure::iteration ||
      one_gpu_s <= 0)
    return std::nullopt;
  return predicted_s / one_gpu_s * (*row.one_gpu_measured_s / row.measured_s) - 1;
}

bool ReplayedRow::covered() const {
  return std::abs(predicted_s - row.measured_s) <= kNinetyPercent * sigma_s;
}

ErrorSummary::ErrorSummary(const std::vector<double>& errors) : rows(errors.size()) {
  if (errors.empty()) return;
  mean = std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size());
  median = quantile(errors, 0.5);
  p90 = quantile(errors, 0.9);
}

ErrorSummary ReplayedSet::training() const {
  return ErrorSummary(errors_of(rows, [](const ReplayedRow& row) { return row.row.training; }));
}

ErrorSummary ReplayedSet::judged() const {
  return ErrorSummary(errors_of(rows, is_judged));
}

ErrorSummary ReplayedSet::scaling() const {
  std::vector<double> errors;
  for (const ReplayedRow& row : rows)
    if (const auto error = row.scaling_error(); error && is_judged(row))
      errors.push_back(std::abs(*error));
  return ErrorSummary(errors);
}

double ReplayedSet::bias() const {
  double sum = 0, count = 0;
  for (const ReplayedRow& row : rows)
    if (is_judged(row)) {
      sum += row.error();
      ++count;
    }
  return count > 0 ? sum / count : 0;
}

double ReplayedSet::coverage() const {
  const auto judged_rows = std::count_if(rows.begin(), rows.end(), is_judged);
  const auto covered_rows = std::count_if(rows.begin(), rows.end(), [](const ReplayedRow& row) {
    return is_judged(row) && row.covered();
  });
  return judged_rows > 0 ? static_cast<double>(covered_rows) / static_cast<double>(judged_rows) : 0;
}

bool ReplayedSet::within_bar() const {
  const ErrorSummary errors = judged();
  return !set.bar || (errors.mean <= set.bar->mean && errors.p90 <= set.bar->p90);
}

std::vector<ReplayedSet> replay(std::vector<PublishedSet> sets, const ReplaySettings& settings) {
  std::vector<std::function<Json()>> tasks;
  for (PublishedSet& set : sets)
    for (PublishedRow& row : set.rows) {
      for (const auto& [key, value] : settings.experiment.items()) row.experiment[key] = value;
      tasks.push_back([&row] { return replay_json(replay(row)); });
    }
  const auto report = [&](std::size_t done) {
    if (settings.progress) settings.progress(done, tasks.size());
  };
  const std::vector<Json> results = run_isolated(tasks, settings.parallel, report);
  std::vector<ReplayedSet> replayed;
  auto result = results.begin();
  for (PublishedSet& set : sets) {
    ReplayedSet filled;
    for (PublishedRow& row : set.rows)
      filled.rows.push_back({replay_from(*result++), std::move(row), 0});
    for (ReplayedRow& row : filled.rows)
      for (const ReplayedRow& other : filled.rows)
        if (other.row.base && other.row.series == row.row.series)
          row.base_ratio = other.predicted_s / other.row.measured_s;
    set.rows.clear();
    filled.set = std::move(set);
    replayed.push_back(std::move(filled));
  }
  return replayed;
}

Json to_json(const std::vector<ReplayedSet>& sets) {
  Json json{{"format", "paceline-validation-1"}, {"sets", Json::array()}};
  for (const ReplayedSet& set : sets) {
    Json item{{"name", set.set.name}, {"title", set.set.title}, {"source", set.set.source}};
    item["judged"] = summary_json(set.judged());
    item["training"] = summary_json(set.training());
    item["scaling"] = summary_json(set.scaling());
    item["bias"] = set.bias();
    item["coverage"] = set.coverage();
    if (set.set.bar) item["bar"] = {{"mean", set.set.bar->mean}, {"p90", set.set.bar->p90}};
    item["within_bar"] = set.within_bar();
    item["rows"] = Json::array();
    for (const ReplayedRow& row : set.rows) item["rows"].push_back(row_json(row));
    json["sets"].push_back(std::move(item));
  }
  return json;
}

}  // namespace paceline
