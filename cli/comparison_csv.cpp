#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/csv.hpp"
#include "report.hpp"

namespace paceline {
namespace {

// Of a training, for CSV; empty where there is nothing.
void training_cells(const JobOutcome& job, std::vector<std::string>& cells) {
  const TrainingOutcome training = job.training.value_or(TrainingOutcome{});
  const auto add = [&](const auto& value) {
    cells.push_back(value ? fmt::format("{}", *value) : std::string());
  };
  add(training.final_training_loss);
  add(training.final_loss);
  add(training.final_accuracy);
  add(training.target);
  add(training.time_to_target_s);
  add(training.steps_to_target);
  add(training.diverged_step);
}

// Overlap, cost and energy.
std::vector<std::optional<double>> economy(const RunResult& result) {
  const std::optional<Overlap>& overlap = result.job.overlap;
  const Cost cost = result.cost.value_or(Cost{});
  const Energy energy = result.energy.value_or(Energy{});
  const auto given = [](bool known, double value) {
    return known ? std::optional(value) : std::nullopt;
  };
  return {given(overlap.has_value(), overlap ? overlap->communication_s : 0),
          overlap ? overlap->efficiency : std::nullopt,
          given(result.cost.has_value(), cost.dollars_per_iteration),
          cost.samples_per_dollar,
          given(result.energy.has_value(), energy.joules_per_iteration),
          energy.samples_per_joule};
}

}  // namespace

std::string comparison_csv(const Comparison& comparison) {
  std::vector<std::string> header = comparison.axes;
  for (const char* name : {"iteration_time_s",
                           "median_s",
                           "p25_s",
                           "p75_s",
                           "uncertainty_s",
                           "forward_s",
                           "backward_s",
                           "update_s",
                           "sparsification_s",
                           "arithmetic_s",
                           "software_s",
                           "exposed_communication_s",
                           "exposed_copies_s",
                           "waiting_s",
                           "samples_per_s",
                           "speedup_over_one_gpu",
                           "scaling_efficiency",
                           "s_sgd_baseline",
                           "speedup_over_s_sgd",
                           "communication_s",
                           "overlap_efficiency",
                           "dollars_per_iteration",
                           "samples_per_dollar",
                           "joules_per_iteration",
                           "samples_per_joule",
                           "sent_bytes",
                           "messages",
                           "rounds",
                           "fidelity",
                           "network",
                           "stack",
                           "profile_source"})
    header.emplace_back(name);
  const bool trained =
      std::any_of(comparison.rows.begin(), comparison.rows.end(),
                  [](const ComparedRow& row) { return row.result.job.training.has_value(); });
  if (trained)
    for (const char* name : {"final_training_loss", "final_loss", "final_accuracy", "target",
                             "time_to_target_s", "steps_to_target", "diverged_step"})
      header.emplace_back(name);
  std::string text = csv_line(header);
  for (const ComparedRow& row : comparison.rows) {
    const JobOutcome& job = row.result.job;
    std::vector<std::string> cells = row.labels;
    const auto number = [&](double value) { cells.push_back(fmt::format("{}", value)); };
    for (const double value :
         {job.iteration_time_s, job.median_s, job.p25_s, job.p75_s, job.uncertainty_s})
      number(value);
    for (const TimePart& part : parts_of(job.time)) number(part.seconds);
    cells.push_back(job.samples_per_s ? fmt::format("{}", *job.samples_per_s) : "");
    number(job.speedup_over_one_gpu);
    number(job.scaling_efficiency);
    cells.push_back(job.s_sgd_baseline.value_or(""));
    cells.push_back(job.speedup_over_s_sgd ? fmt::format("{}", *job.speedup_over_s_sgd) : "");
    for (const std::optional<double>& value : economy(row.result))
      cells.push_back(value ? fmt::format("{}", *value) : "");
    for (const double value : {job.sent_bytes, job.messages, job.rounds}) number(value);
    cells.push_back(row.result.fidelity);
    cells.push_back(row.result.network);
    cells.push_back(row.result.stack);
    cells.push_back(job.profiles.empty() ? "" : job.profiles.front().source);
    if (trained) training_cells(job, cells);
    text += csv_line(cells);
  }
  return text;
}

}  // namespace paceline
