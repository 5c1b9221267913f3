#include "training_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/csv.hpp"
#include "base/units.hpp"
#include "experiments/over_seeds.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

using Align = Table::Align;

std::string accuracy_percent(double share) {
  return fmt::format("{:.2f}", 100 * share);
}

std::string divergence(const TrainingOutcome& training) {
  return fmt::format(
      "not finite at step {}{}", *training.diverged_step,
      training.diverged_worker ? fmt::format(" on worker {}", *training.diverged_worker) : "");
}

// What the training loss near an evaluation is.
std::string loss_at(const TrainingOutcome& training, std::int64_t step) {
  const auto found = std::find_if(training.steps.begin(), training.steps.end(),
                                  [&](const LossPoint& point) { return point.step == step; });
  return found == training.steps.end() ? "" : fmt::format("{:.4f}", found->loss);
}

std::string target_line(const TrainingOutcome& training) {
  if (!training.target) return "";
  if (!training.time_to_target_s)
    return fmt::format("  target    {} % accuracy was not reached\n",
                       accuracy_percent(*training.target));
  return fmt::format("  target    {} % accuracy after {} ({} steps)\n",
                     accuracy_percent(*training.target),
                     seconds_like(*training.time_to_target_s, *training.time_to_target_s),
                     *training.steps_to_target);
}

// Of all groups of a step: the norm of the whole residual, and the mean error weighted by elements.
struct CompressionTotal {
  double residual_norm = 0, error = 0;
  std::map<std::string, double> delta;  // by layer
};

std::map<std::int64_t, CompressionTotal> compression_by_step(const TrainingOutcome& training) {
  std::map<std::int64_t, CompressionTotal> totals;
  std::map<std::int64_t, double> elements;
  if (!training.compression) return totals;
  for (const CompressionPoint& point : *training.compression) {
    CompressionTotal& total = totals[point.step];
    const auto size = static_cast<double>(point.elements);
    total.residual_norm = std::hypot(total.residual_norm, point.residual_norm);
    double& sum = elements[point.step];
    total.error += (point.error - total.error) * size / (sum + size);
    sum += size;
    if (point.delta) total.delta[point.layer] = *point.delta;
  }
  return totals;
}

std::string compression_line(const TrainingOutcome& training) {
  const std::map<std::int64_t, CompressionTotal> totals = compression_by_step(training);
  if (totals.empty()) return "";
  const CompressionTotal& last = totals.rbegin()->second;
  std::string text =
      fmt::format("  left out  {} % of what could be sent (squares), residual {:.3g}, at the end",
                  accuracy_percent(last.error), last.residual_norm);
  double most = 0;
  std::string where;
  for (const auto& [step, total] : totals)
    for (const auto& [layer, delta] : total.delta)
      if (delta >= most) {
        most = delta;
        where = fmt::format("{} at step {}", layer, step);
      }
  if (!where.empty())
    text += fmt::format("; delta at most {:.3f} ({}), LAGS' assumption {}", most, where,
                        most <= 1 ? "holds" : "FAILS");
  return text + "\n";
}

std::string staleness_line(const TrainingOutcome& training) {
  if (!training.staleness_mean || *training.staleness_max == 0) return "";
  return fmt::format("  staleness {:.2f} updates on average, {} at most\n",
                     *training.staleness_mean, *training.staleness_max);
}

struct Figures {
  double mean, least, most;
};
std::string spread_text(const Figures& f, int digits) {
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", f.mean, digits, f.least, digits, f.most, digits);
}

std::string missing_note(std::size_t reached, std::size_t runs) {
  return reached < runs ? fmt::format(" ({} of {})", reached, runs) : "";
}

std::string against(const SeedSpread& time, const SeedSpread& first) {
  if (!time.apart_from(first)) return "within the seeds";
  return time.mean < first.mean ? fmt::format("{:.2f} x sooner", first.mean / time.mean)
                                : fmt::format("{:.2f} x later", time.mean / first.mean);
}

}  // namespace

std::string training_report(const JobOutcome& job) {
  if (!job.training) return "";
  const TrainingOutcome& training = *job.training;
  Table table;
  table.column("training");
  for (const char* header :
       {"cluster time", "step", "training loss", "test loss", "accuracy %", "spread"})
    table.column(header, Align::right);
  for (const EvaluationPoint& point : training.evaluations)
    table.row({"", seconds_like(point.time_s, job.total_time_s), std::to_string(point.step),
               loss_at(training, point.step), fmt::format("{:.4f}", point.loss),
               accuracy_percent(point.accuracy), fmt::format("{:.3g}", point.spread)});
  std::string text = table.text(2);
  text += target_line(training);
  text += staleness_line(training);
  text += compression_line(training);
  if (training.diverged_step) text += fmt::format("  DIVERGED  {}\n", divergence(training));
  return text + fmt::format(
                    "  values    {}, {} sharding, {} kernels; evaluated: {}; at least {} "
                    "of this machine's memory\n",
                    training.data, training.sharding, training.backend, training.weights,
                    format_bytes(training.memory_bytes));
}

std::string training_comparison(const Comparison& comparison) {
  Table table;
  for (const std::string& axis : comparison.axes) table.column(axis);
  for (const char* header : {"cluster time s", "steps", "training loss", "test loss", "accuracy %",
                             "spread", "to target s"})
    table.column(header, Align::right);
  table.column("evaluated");
  bool any = false;
  for (const ComparedRow& row : comparison.rows) {
    const JobOutcome& job = row.result.job;
    if (!job.training) continue;
    any = true;
    const TrainingOutcome& training = *job.training;
    const auto number = [](const std::optional<double>& value) {
      return value ? fmt::format("{:.4g}", *value) : std::string();
    };
    std::vector<std::string> cells = row.labels;
    cells.push_back(number(job.total_time_s));
    cells.push_back(std::to_string(job.steps));
    cells.push_back(number(training.final_training_loss));
    cells.push_back(number(training.final_loss));
    cells.push_back(training.final_accuracy ? accuracy_percent(*training.final_accuracy) : "");
    cells.push_back(number(training.final_spread));
    cells.push_back(training.target && !training.time_to_target_s
                        ? "not reached"
                        : number(training.time_to_target_s));
    cells.push_back(training.diverged_step ? fmt::format("DIVERGED: {}", divergence(training))
                                           : training.weights);
    table.row(std::move(cells));
  }
  return any ? fmt::format("\n{}{}", table.text(), seeds_report(comparison)) : std::string();
}

std::string targets_report(const Comparison& comparison) {
  Table table;
  for (const std::string& axis : comparison.axes) table.column(axis);
  for (const char* header : {"target %", "to target s", "steps", "accuracy %"})
    table.column(header, Align::right);
  bool any = false;
  for (const ComparedRow& row : comparison.rows) {
    if (!row.result.job.training || !row.result.job.training->target) continue;
    any = true;
    const TrainingOutcome& training = *row.result.job.training;
    std::vector<std::string> cells = row.labels;
    cells.push_back(accuracy_percent(*training.target));
    cells.push_back(training.time_to_target_s ? fmt::format("{:.4g}", *training.time_to_target_s)
                                              : "not reached");
    cells.push_back(training.steps_to_target ? std::to_string(*training.steps_to_target) : "");
    cells.push_back(training.final_accuracy ? accuracy_percent(*training.final_accuracy) : "");
    table.row(std::move(cells));
  }
  return any ? table.text() : "";
}

std::string seeds_report(const Comparison& comparison) {
  const OverSeeds all = over_seeds(comparison);
  if (all.seeds < 2) return "";
  Table table;
  for (const std::string& axis : all.axes) table.column(axis);
  for (const char* header : {"seeds", "accuracy %", "to target s", "steps", "against the first"})
    table.column(header, Align::right);
  // Rows are held against the first one of the same labels but for the first axis.
  std::map<std::vector<std::string>, std::optional<SeedSpread>> firsts;
  for (const SeedGroup& group : all.groups) {
    const std::optional<SeedSpread> accuracy = group.accuracy(), time = group.time_to_target();
    const std::vector<std::string> rest(group.labels.begin() + (group.labels.empty() ? 0 : 1),
                                        group.labels.end());
    const bool every = time && time->count == group.rows.size();
    const auto [first, fresh] = firsts.try_emplace(rest, every ? time : std::nullopt);
    std::vector<std::string> cells = group.labels;
    cells.push_back(std::to_string(group.rows.size()));
    cells.push_back(
        accuracy
            ? spread_text({100 * accuracy->mean, 100 * accuracy->least, 100 * accuracy->most}, 2)
            : "");
    const bool asked =
        group.rows.front()->result.job.training && group.rows.front()->result.job.training->target;
    cells.push_back(time ? spread_text({time->mean, time->least, time->most}, 3) +
                               missing_note(time->count, group.rows.size())
                    : asked ? "not reached"
                            : "");
    const std::optional<SeedSpread> steps = group.steps_to_target();
    cells.push_back(steps ? fmt::format("{:.0f}", steps->mean) : "");
    cells.push_back(fresh || !time || !first->second ? ""
                    : every                          ? against(*time, *first->second)
                                                     : "not in every run");
    table.row(std::move(cells));
  }
  return fmt::format(
      "\nover seeds: mean [least, most]; a difference is claimed only where every run reached the "
      "target and no run of one is within the other's range\n{}",
      table.text());
}

std::string metrics_csv(const RunResult& result) {
  std::vector<const JobOutcome*> jobs{&result.job};
  for (const JobOutcome& other : result.other_jobs) jobs.push_back(&other);
  // A column of LAGS' delta for each layer (group of tensors) that somebody selects from.
  std::vector<std::string> layers;
  for (const JobOutcome* job : jobs)
    if (job->training && job->training->compression)
      for (const CompressionPoint& point : *job->training->compression)
        if (point.delta && std::find(layers.begin(), layers.end(), point.layer) == layers.end())
          layers.push_back(point.layer);
  std::vector<std::string> header{"job",           "step",          "time_s",
                                  "training_loss", "test_loss",     "accuracy",
                                  "spread",        "residual_norm", "compression_error"};
  for (const std::string& layer : layers) header.push_back("delta " + layer);
  std::string text = csv_line(header);
  const auto number = [](double value) { return fmt::format("{}", value); };
  for (const JobOutcome* job : jobs) {
    if (!job->training) continue;
    std::map<std::int64_t, const EvaluationPoint*> evaluations;
    for (const EvaluationPoint& point : job->training->evaluations)
      evaluations[point.step] = &point;
    const std::map<std::int64_t, CompressionTotal> compression =
        compression_by_step(*job->training);
    for (const LossPoint& point : job->training->steps) {
      std::vector<std::string> cells{job->name, std::to_string(point.step), number(point.time_s),
                                     number(point.loss)};
      cells.resize(header.size());
      if (const auto found = evaluations.find(point.step); found != evaluations.end()) {
        cells[4] = number(found->second->loss);
        cells[5] = number(found->second->accuracy);
        cells[6] = number(found->second->spread);
      }
      if (const auto found = compression.find(point.step); found != compression.end()) {
        cells[7] = number(found->second.residual_norm);
        cells[8] = number(found->second.error);
        for (std::size_t i = 0; i < layers.size(); ++i)
          if (const auto delta = found->second.delta.find(layers[i]);
              delta != found->second.delta.end())
            cells[9 + i] = number(delta->second);
      }
      text += csv_line(cells);
    }
  }
  return text;
}

}  // namespace paceline
