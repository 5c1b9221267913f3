#include "training_report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

using Align = Table::Align;

std::string percent(double share) {
  return fmt::format("{:.2f}", 100 * share);
}

std::string divergence(const TrainingOutcome& training) {
  return fmt::format("loss not finite at step {} on worker {}", *training.diverged_step,
                     *training.diverged_worker);
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
    return fmt::format("  target    {} % accuracy was not reached\n", percent(*training.target));
  return fmt::format("  target    {} % accuracy after {} ({} steps)\n", percent(*training.target),
                     seconds_like(*training.time_to_target_s, *training.time_to_target_s),
                     *training.steps_to_target);
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
               percent(point.accuracy), fmt::format("{:.3g}", point.spread)});
  std::string text = table.text(2);
  text += target_line(training);
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
    cells.push_back(training.final_accuracy ? percent(*training.final_accuracy) : "");
    cells.push_back(number(training.final_spread));
    cells.push_back(training.target && !training.time_to_target_s
                        ? "not reached"
                        : number(training.time_to_target_s));
    cells.push_back(training.diverged_step ? fmt::format("DIVERGED: {}", divergence(training))
                                           : training.weights);
    table.row(std::move(cells));
  }
  return any ? fmt::format("\n{}", table.text()) : std::string();
}

std::string metrics_csv(const RunResult& result) {
  std::string text =
      csv_line({"job", "step", "time_s", "training_loss", "test_loss", "accuracy", "spread"});
  const auto add = [&](const JobOutcome& job) {
    if (!job.training) return;
    auto evaluation = job.training->evaluations.begin();
    const auto end = job.training->evaluations.end();
    for (const LossPoint& point : job.training->steps) {
      std::vector<std::string> cells{job.name,
                                     std::to_string(point.step),
                                     fmt::format("{}", point.time_s),
                                     fmt::format("{}", point.loss),
                                     "",
                                     "",
                                     ""};
      while (evaluation != end && evaluation->step < point.step) ++evaluation;
      if (evaluation != end && evaluation->step == point.step) {
        cells[4] = fmt::format("{}", evaluation->loss);
        cells[5] = fmt::format("{}", evaluation->accuracy);
        cells[6] = fmt::format("{}", evaluation->spread);
      }
      text += csv_line(cells);
    }
  };
  add(result.job);
  for (const JobOutcome& other : result.other_jobs) add(other);
  return text;
}

}  // namespace paceline
