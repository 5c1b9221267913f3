#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/csv.hpp"
#include "base/units.hpp"
#include "economy_text.hpp"
#include "memory_text.hpp"
#include "platforms/stack.hpp"
#include "table.hpp"
#include "training_report.hpp"

namespace paceline {
namespace {

using Align = Table::Align;

std::string heading(const JobOutcome& job, const std::string& cluster) {
  std::string text = job.model;
  if (job.batch) text += fmt::format(", batch {} per GPU", *job.batch);
  if (job.accumulation > 1) text += fmt::format(" x {} micro-batches", job.accumulation);
  text += fmt::format(", {}, {} worker{} on {}\n", job.precision, job.workers,
                      job.workers == 1 ? "" : "s", cluster);
  const std::string over = job.servers > 0 ? fmt::format("{} parameter server{}", job.servers,
                                                         job.servers == 1 ? "" : "s")
                                           : job.all_reduce + " all-reduce";
  return text + fmt::format("{}: {}; {}\n", job.schedule, job.schedule_description, over);
}

constexpr const char* kAboveAll =
    "one GPU's time has the optimiser's update, which a schedule may leave to servers or do "
    "cheaper";

bool above_all(const JobOutcome& job) {
  return job.scaling_efficiency > 1.0005;
}

// Of something that is counted: no exponents.
std::string count_text(double count) {
  return count >= 100 ? fmt::format("{:.0f}", count) : fmt::format("{:.4g}", count);
}

const Influence& largest(const std::vector<Influence>& influences) {
  return *std::max_element(influences.begin(), influences.end(),
                           [](const Influence& a, const Influence& b) {
                             return std::abs(a.change_s) < std::abs(b.change_s);
                           });
}

std::string answer(const RunResult& result) {
  const JobOutcome& job = result.job;
  Table table;
  table.column("");
  table.column("");
  std::string time = seconds_like(job.iteration_time_s, job.iteration_time_s);
  if (job.uncertainty_s > 0)
    time += fmt::format("  +- {} (1 sigma), most of it from {}",
                        seconds_like(job.uncertainty_s, job.iteration_time_s),
                        largest(job.influences).input);
  table.row({"iteration", time});
  if (job.spread)
    table.row({"", fmt::format("median {}, quartiles {} to {}",
                               seconds_like(job.median_s, job.iteration_time_s),
                               seconds_like(job.p25_s, job.iteration_time_s),
                               seconds_like(job.p75_s, job.iteration_time_s))});
  std::string speed = fmt::format("{:.2f} x one GPU ({:.1f} % efficiency)",
                                  job.speedup_over_one_gpu, 100 * job.scaling_efficiency);
  if (job.speedup_over_s_sgd)
    speed += fmt::format(", {:.2f} x {}", *job.speedup_over_s_sgd, *job.s_sgd_baseline);
  table.row({"speedup", speed});
  if (above_all(job)) table.row({"", "above 100 %: " + std::string(kAboveAll)});
  if (job.samples_per_s)
    table.row({"throughput", fmt::format("{:.1f} samples/s", *job.samples_per_s)});
  if (job.overlap && job.overlap->efficiency) table.row({"overlap", overlap_text(job)});
  if (result.cost) table.row({"cost", cost_text(*result.cost)});
  if (result.energy) table.row({"energy", energy_text(*result.energy)});
  return table.text(2);
}

// In milliseconds, with the decimals that four digits of `scale_s` need, `least` of them or more: the
// cells of a row add up, and none of them is "0.2".
std::string milliseconds(double seconds, double scale_s, int least) {
  const double scale = 1e3 * scale_s;
  const int digits = scale > 0 ? 3 - static_cast<int>(std::floor(std::log10(scale))) : 0;
  return fmt::format("{:.{}f}", 1e3 * seconds, std::clamp(digits, least, 9));
}

std::string split_table(const JobOutcome& job) {
  Table table;
  table.column("where the time goes");
  table.column("ms", Align::right);
  table.column("%", Align::right);
  table.column("");
  const double whole = job.time.total_s();
  for (const TimePart& part : parts_of(job.time)) {
    if (part.seconds <= 1e-9 * whole) continue;
    const double share = whole > 0 ? part.seconds / whole : 0;
    table.row({part.name, milliseconds(part.seconds, whole, 3), fmt::format("{:.1f}", 100 * share),
               bar(share, 30)});
  }
  return table.text(2);
}

}  // namespace

std::vector<TimePart> parts_of(const TimeSplit& time) {
  return {{"forward", time.forward_s},
          {"backward", time.backward_s},
          {"update", time.update_s},
          {"sparsification", time.sparsification_s},
          {"arithmetic of the schedule", time.arithmetic_s},
          {"software stack", time.software_s},
          {"exposed communication", time.exposed_communication_s},
          {"exposed host copies", time.exposed_copies_s},
          {"waiting for others", time.waiting_s}};
}

std::string tornado(const JobOutcome& job) {
  std::vector<Influence> sorted = job.influences;
  std::sort(sorted.begin(), sorted.end(), [](const Influence& a, const Influence& b) {
    return std::abs(a.change_s) > std::abs(b.change_s);
  });
  Table table;
  table.column("one sigma slower");
  table.column("sigma %", Align::right);
  table.column("iteration", Align::right);
  table.column("");
  const double most = sorted.empty() ? 0 : std::abs(sorted.front().change_s);
  for (const Influence& influence : sorted)
    table.row({influence.input, fmt::format("{:.0f}", 100 * influence.sigma),
               fmt::format("{}{}", influence.change_s < 0 ? "" : "+",
                           seconds_like(influence.change_s, job.iteration_time_s)),
               most > 0 ? bar(std::abs(influence.change_s) / most, 30) : ""});
  return table.text(2);
}

namespace {

std::string traffic_line(const RunResult& result) {
  const JobOutcome& job = result.job;
  std::string text = fmt::format(
      "  traffic   {} in {} messages per worker and iteration{}, {} rounds in {} iterations\n",
      format_bytes(job.sent_bytes), count_text(job.messages),
      job.message_sizes == "fixed" ? "" : fmt::format(" ({} sizes)", job.message_sizes),
      count_text(job.rounds), job.steps);
  if (!result.links.empty()) {
    const LinkUse& link = result.links.front();
    text += fmt::format("            busiest link {}: {:.1f} % of {}{}\n", link.name,
                        100 * link.utilisation, format_bandwidth(link.bandwidth),
                        result.other_jobs.empty() ? "" : ", traffic of all jobs");
  }
  return text;
}

constexpr double kMuchOfFlow = 0.1;
constexpr const char* kIdealStack = "; what people measure is slower (paceline list stacks)";

std::string percent_text(double share) {
  return share < 0.1 ? fmt::format("{:.2g}", 100 * share) : fmt::format("{:.0f}", 100 * share);
}

// "closed fidelity", "flow fidelity (flat network)".
std::string carried_by(const RunResult& result) {
  const std::string engine =
      result.network == kNoNetwork ? "" : fmt::format(" ({} network)", result.network);
  return result.fidelity + " fidelity" + engine;
}

// What contention can be wrong by, which is far from saying that it is.
std::string latency_note(double share) {
  return fmt::format(
      "; latency is {} % of a collective at most: flows are exact but for that{}",
      percent_text(share),
      share > kMuchOfFlow ? " where they share links (--fidelity step is exact)" : "");
}

std::string provenance(const RunResult& result) {
  const JobOutcome& job = result.job;
  const bool measured = result.fidelity == kMeasured;
  std::string text =
      measured ? fmt::format("  measured  {}", result.fidelity_reason)
               : fmt::format("  network   {}: {}", carried_by(result), result.fidelity_reason);
  if (result.flow_error_bound > 0) text += latency_note(result.flow_error_bound);
  if (measured)
    text += fmt::format("\n  steps     {} measured\n", job.simulated_steps);
  else
    text += fmt::format("\n  software  {}: {}{}\n  steps     {} simulated, {} extrapolated\n",
                        result.stack, result.stack_description,
                        result.stack == Stack{}.name ? kIdealStack : "", job.simulated_steps,
                        job.extrapolated_steps);
  for (const ProfileUse& profile : job.profiles)
    text += fmt::format("  profile   {}\n", profile.description);
  for (std::size_t i = 0; i < job.assumptions.size(); ++i)
    text += fmt::format("  {:<9} {} {}: {}\n", i == 0 ? "assumed" : "", job.assumptions[i].name,
                        job.assumptions[i].value, job.assumptions[i].why);
  for (const std::string& warning : result.warnings)
    text += fmt::format("  WARNING   {}\n", warning);
  return text;
}

// Of the compute stream, besides the passes.
double other_s(const TimeSplit& time) {
  return time.update_s + time.sparsification_s + time.arithmetic_s + time.software_s;
}

// Shares of compute, the other operations, exposed communication and copies, waiting.
std::vector<double> time_shares(const TimeSplit& time) {
  const double whole = std::max(time.total_s(), 1e-300);
  return {time.compute_s() / whole, other_s(time) / whole, 0,
          (time.exposed_communication_s + time.exposed_copies_s) / whole, time.waiting_s / whole};
}

// "no", "YES, by 3.2 %", or "?" for a bound over something that this run is not compared with.
std::string exceeded_by(const EvaluatedBound& bound, const JobOutcome& job) {
  if (bound.reference.value_or(false)) return "-";
  if (!bound.exceeded) return "?";
  if (!*bound.exceeded) return "no";
  double share = 0;
  if (bound.iteration_s)
    share = 1 - job.iteration_time_s / *bound.iteration_s;
  else if (bound.over == "one GPU")
    share = job.speedup_over_one_gpu / *bound.speedup - 1;
  else if (job.speedup_over_s_sgd)
    share = *job.speedup_over_s_sgd / *bound.speedup - 1;
  return fmt::format("YES, by {:.2g} %", 100 * share);
}

// What all rows have in common is said once.
std::string common_heading(const Comparison& comparison) {
  std::set<std::string> models, batches, workers, clusters;
  for (const ComparedRow& row : comparison.rows) {
    const JobOutcome& job = row.result.job;
    models.insert(job.model);
    batches.insert(job.batch ? std::to_string(*job.batch) : "?");
    workers.insert(std::to_string(job.workers));
    clusters.insert(row.result.cluster);
  }
  std::vector<std::string> common;
  if (models.size() == 1) common.push_back(*models.begin());
  if (batches.size() == 1 && *batches.begin() != "?")
    common.push_back(fmt::format("batch {} per GPU", *batches.begin()));
  if (workers.size() == 1)
    common.push_back(
        fmt::format("{} worker{}", *workers.begin(), *workers.begin() == "1" ? "" : "s"));
  std::string heading = fmt::format("{}", fmt::join(common, ", "));
  if (clusters.size() == 1)
    heading += fmt::format("{}on {}", heading.empty() ? "" : " ", *clusters.begin());
  std::string text;
  if (!comparison.description.empty()) text += comparison.description + "\n\n";
  return heading.empty() ? text : text + heading + "\n\n";
}

// Of a comparison of schedules: what each sends, and its own paper's formulas beside the simulated
// value.
std::string schedules_table(const Comparison& comparison) {
  std::set<std::string> schedules;
  for (const ComparedRow& row : comparison.rows) schedules.insert(row.result.job.schedule);
  if (schedules.size() == 1) return "";
  Table table;
  for (const std::string& axis : comparison.axes) table.column(axis);
  for (const char* header : {"rounds/iteration", "messages", "sent", "iteration ms", "bound"})
    table.column(header, Align::right);
  table.column("exceeded");
  table.column("which");
  for (const ComparedRow& row : comparison.rows) {
    const JobOutcome& job = row.result.job;
    std::vector<std::string> cells = row.labels;
    cells.push_back(fmt::format("{:.3g}", job.rounds / static_cast<double>(job.steps)));
    cells.push_back(count_text(job.messages));
    cells.push_back(format_bytes(job.sent_bytes));
    const auto ms = [&](double seconds) { return milliseconds(seconds, job.iteration_time_s, 1); };
    cells.push_back(ms(job.iteration_time_s));
    // The tightest one that says something of the schedule; "linear speedup" holds for all.
    const EvaluatedBound* tightest = nullptr;
    for (const EvaluatedBound& bound : job.bounds)
      if (bound.iteration_s && !bound.reference.value_or(false) &&
          (tightest == nullptr || *bound.iteration_s > *tightest->iteration_s))
        tightest = &bound;
    cells.push_back(tightest != nullptr ? ms(*tightest->iteration_s) : "");
    cells.push_back(tightest != nullptr ? exceeded_by(*tightest, job) : "");
    cells.push_back(tightest != nullptr ? tightest->formula : "");
    table.row(std::move(cells));
  }
  return table.text() + "per worker and iteration; bound: the largest of the paper's times\n\n";
}

std::string label_of(const ComparedRow& row) {
  return fmt::format("{}", fmt::join(row.labels, ", "));
}

// Each with the rows that it is about.
std::string warnings_text(const Comparison& comparison) {
  std::vector<std::pair<std::string, std::vector<std::string>>> warnings;
  for (const ComparedRow& row : comparison.rows)
    for (const std::string& warning : row.result.warnings) {
      const auto found = std::find_if(warnings.begin(), warnings.end(),
                                      [&](const auto& known) { return known.first == warning; });
      if (found != warnings.end())
        found->second.push_back(label_of(row));
      else
        warnings.push_back({warning, {label_of(row)}});
    }
  std::string text;
  for (const auto& [warning, rows] : warnings)
    text += rows.size() == comparison.rows.size()
                ? fmt::format("WARNING (all rows): {}\n", warning)
                : fmt::format("WARNING (!) {}: {}\n", fmt::join(rows, "; "), warning);
  return text;
}

std::string common_notes(const Comparison& comparison) {
  std::set<std::string> profiles, fidelities, stacks;
  double flow_error = 0;
  for (const ComparedRow& row : comparison.rows) {
    for (const ProfileUse& profile : row.result.job.profiles) profiles.insert(profile.description);
    fidelities.insert(row.result.network == kNoNetwork
                          ? row.result.fidelity
                          : fmt::format("{} ({})", row.result.fidelity, row.result.network));
    stacks.insert(row.result.stack + (row.result.stack == Stack{}.name ? kIdealStack : ""));
    flow_error = std::max(flow_error, row.result.flow_error_bound);
  }
  std::string text = fmt::format("network fidelity: {}", fmt::join(fidelities, ", "));
  if (flow_error > 0) text += latency_note(flow_error);
  text += fmt::format("\nsoftware stack: {}\n", fmt::join(stacks, ", "));
  for (const std::string& profile : profiles) text += fmt::format("profile: {}\n", profile);
  return text + warnings_text(comparison);
}

// "x S-SGD ddp" where all rows are over the same rule, "" where none is over anything.
std::string baseline_column(const std::set<std::string>& baselines) {
  constexpr std::string_view kRule = "s-sgd:overlap=";
  if (baselines.empty()) return "";
  const std::string& only = *baselines.begin();
  if (baselines.size() > 1 || !only.starts_with(kRule)) return "x S-SGD";
  return fmt::format("x S-SGD {}", only.substr(kRule.size()));
}

std::set<std::string> baselines_of(const Comparison& comparison) {
  std::set<std::string> baselines;
  for (const ComparedRow& row : comparison.rows)
    if (row.result.job.s_sgd_baseline) baselines.insert(*row.result.job.s_sgd_baseline);
  return baselines;
}

// Of the columns of the comparison.
std::string footnotes(const Comparison& comparison) {
  std::string text;
  if (const std::set<std::string> baselines = baselines_of(comparison); !baselines.empty())
    text = fmt::format("{}: over {} (--baseline says which)\n", baseline_column(baselines),
                       fmt::join(baselines, ", or "));
  for (const ComparedRow& row : comparison.rows)
    if (above_all(row.result.job))
      return text + fmt::format("efficiency above 100 %: {}\n", kAboveAll);
  return text;
}

}  // namespace

std::string seconds_like(double seconds, double scale_s) {
  if (scale_s >= 10) return fmt::format("{:.2f} s", seconds);
  if (scale_s >= 1e-3) return fmt::format("{:.{}f} ms", 1e3 * seconds, scale_s >= 0.1 ? 1 : 3);
  return fmt::format("{:.3f} us", 1e6 * seconds);
}

std::string bounds_report(const std::vector<Floor>& floors,
                          const std::vector<EvaluatedBound>& bounds, const JobOutcome* run,
                          const Floor* reference) {
  Table table;
  table.column("bounds");
  table.column("iteration", Align::right);
  table.column("speedup", Align::right);
  if (run != nullptr) table.column("exceeded");
  table.column("from");
  const auto row = [&](const std::string& name, std::string time, std::string speedup,
                       const std::string& exceeded, const std::string& from) {
    std::vector<std::string> cells{name, std::move(time), std::move(speedup)};
    if (run != nullptr) cells.push_back(exceeded);
    cells.push_back(from);
    table.row(std::move(cells));
  };
  double scale = run != nullptr ? run->iteration_time_s : 0;
  for (const Floor& floor : floors) scale = std::max(scale, floor.iteration_s);
  for (const Floor& floor : floors)
    row(fmt::format("floor: {}", floor.name), seconds_like(floor.iteration_s, scale), "", "no",
        floor.made_of);
  if (reference)
    row(fmt::format("reference: {}", reference->name), seconds_like(reference->iteration_s, scale),
        "", "", reference->made_of);
  for (const EvaluatedBound& bound : bounds)
    row(fmt::format("{}: {}", bound.reference.value_or(false) ? "reference" : "paper", bound.name),
        bound.iteration_s ? seconds_like(*bound.iteration_s, scale) : "",
        bound.speedup ? fmt::format("{:.3f} x {}", *bound.speedup, bound.over) : "",
        run != nullptr ? exceeded_by(bound, *run) : "",
        fmt::format("{}; {}", bound.formula, bound.source));
  return table.text(2);
}

std::string run_report(const RunResult& result, const std::vector<std::string>& disturbed) {
  const JobOutcome& job = result.job;
  std::string text = fmt::format("{}\n{}\n{}\n{}", heading(job, result.cluster), answer(result),
                                 split_table(job), bounds_report(job.floors, job.bounds, &job));
  for (const JobOutcome& other : result.other_jobs)
    text += fmt::format(
        "\n  beside it, {}: {} on {} workers, {}, {}\n", other.name, other.model, other.workers,
        other.schedule,
        other.iteration_time_s > 0
            ? seconds_like(other.iteration_time_s, other.iteration_time_s) + " an iteration"
            : "no whole iteration while this one was measured");
  if (job.training) text += fmt::format("\n{}", training_report(job));
  text += "\n" + traffic_line(result) + memory_lines(job);
  for (const std::string& line : disturbed) text += fmt::format("  disturbed {}\n", line);
  return text + provenance(result);
}

std::string comparison_report(const Comparison& comparison) {
  constexpr std::size_t kBarWidth = 24;
  Table table;
  for (const std::string& axis : comparison.axes) table.column(axis);
  for (const char* header : {"iteration ms", "compute", "other", "exposed", "waiting", "hidden %",
                             "samples/s", "speedup", "effic. %"})
    table.column(header, Align::right);
  const auto any = [&](auto RunResult::*figure) {
    return std::any_of(comparison.rows.begin(), comparison.rows.end(),
                       [&](const ComparedRow& row) { return (row.result.*figure).has_value(); });
  };
  const bool cost = any(&RunResult::cost), energy = any(&RunResult::energy);
  if (cost) table.column("samples/USD", Align::right);
  if (energy) table.column("samples/J", Align::right);
  const std::string over = baseline_column(baselines_of(comparison));
  if (!over.empty()) table.column(over, Align::right);
  table.column("where the time goes");
  std::string group;
  for (const ComparedRow& row : comparison.rows) {
    const JobOutcome& job = row.result.job;
    std::vector<std::string> cells = row.labels;
    if (!row.result.warnings.empty()) cells.back() += " !";
    if (comparison.axes.size() > 1) {
      if (!group.empty() && group != cells.front()) table.gap();
      if (group == cells.front())
        cells.front().clear();
      else
        group = cells.front();
    }
    const auto ms = [&](double seconds) { return milliseconds(seconds, job.iteration_time_s, 1); };
    cells.push_back(ms(job.iteration_time_s));
    cells.push_back(ms(job.time.compute_s()));
    cells.push_back(ms(other_s(job.time)));
    cells.push_back(ms(job.time.exposed_communication_s + job.time.exposed_copies_s));
    cells.push_back(ms(job.time.waiting_s));
    cells.push_back(job.overlap && job.overlap->efficiency
                        ? fmt::format("{:.0f}", 100 * *job.overlap->efficiency)
                        : "");
    cells.push_back(job.samples_per_s ? significant(*job.samples_per_s, 0) : "");
    cells.push_back(significant(job.speedup_over_one_gpu, 2));
    cells.push_back(significant(100 * job.scaling_efficiency, 1));
    if (cost)
      cells.push_back(row.result.cost && row.result.cost->samples_per_dollar
                          ? format_count(*row.result.cost->samples_per_dollar)
                          : "");
    if (energy)
      cells.push_back(row.result.energy && row.result.energy->samples_per_joule
                          ? fmt::format("{:.3g}", *row.result.energy->samples_per_joule)
                          : "");
    if (!over.empty())
      cells.push_back(job.speedup_over_s_sgd ? fmt::format("{:.2f}", *job.speedup_over_s_sgd) : "");
    cells.push_back(stacked_bar(time_shares(job.time), kBarWidth));
    table.row(std::move(cells));
  }
  return common_heading(comparison) + table.text() +
         fmt::format(
             "\n{} compute  {} other: update, the schedule's operations, software  {} exposed "
             "communication  {} waiting; hidden: of the communication, behind computation\n",
             bar_symbol(0), bar_symbol(1), bar_symbol(3), bar_symbol(4)) +
         footnotes(comparison) + "\n" + schedules_table(comparison) +
         training_comparison(comparison) + common_notes(comparison);
}

}  // namespace paceline
