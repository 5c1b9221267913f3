#include "experiments/complexity.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "base/units.hpp"
#include "commands.hpp"
#include "options.hpp"
#include "table.hpp"

namespace paceline {
namespace {

using Align = Table::Align;

struct Options {
  ComplexityOptions measure;
  OutputOptions output;
  unsigned jobs = std::thread::hardware_concurrency();
};

std::string slopes_table(const Complexity& complexity) {
  Table table;
  for (const char* header : {"schedule", "over", "at"}) table.column(header);
  for (const char* header :
       {"exponent", "rounds", "theory", "messages", "theory", "bytes", "theory"})
    table.column(header, Align::right);
  for (const ComplexitySlope& s : complexity.slopes) {
    std::vector<std::string> cells{s.schedule, s.over,
                                   fmt::format("{} = {:.0f}", s.over == "T" ? "N" : "T", s.at)};
    for (const double value : {s.exponent, s.rounds, s.theory_rounds, s.messages, s.theory_messages,
                               s.bytes, s.theory_bytes})
      // a rounding error must not print as "-0.000"
      cells.push_back(fmt::format("{:.3f}", std::abs(value) < 5e-4 ? 0.0 : value));
    table.row(std::move(cells));
  }
  return table.text(2);
}

std::string points_table(const std::vector<ComplexityPoint>& points) {
  Table table;
  table.column("schedule");
  for (const char* header : {"N", "T", "rule's k", "k", "rounds", "messages", "bytes", "simulated"})
    table.column(header, Align::right);
  table.column("");
  for (const ComplexityPoint& p : points)
    table.row({p.schedule, fmt::format("{:.0f}", p.workers), fmt::format("{:.0f}", p.iterations),
               fmt::format("{:.2f}", p.rule_period), std::to_string(p.period),
               fmt::format("{:.0f}", p.rounds), fmt::format("{:.0f}", p.messages),
               format_bytes(p.bytes), fmt::format("{:.0f}", p.simulated_iterations),
               p.clipped ? "clipped at 1, not fitted" : ""});
  return table.text(2);
}

void run(const Options& options) {
  for (const std::int64_t k : options.measure.periods)
    if (k < 1) throw InputError("--periods: expected 1 or more");
  for (const std::int64_t n : options.measure.worker_counts)
    if (n < 2) throw InputError("--worker-counts: expected 2 or more");
  const Complexity complexity = measure_complexity(options.measure, options.jobs);
  const auto table = [&] {
    return "counted: the reference case (experiment reference-wfbp: ResNet-50, 102.2 MB of "
           "gradients in fp32)\nlog-log slopes, per worker; theory: its value at the same "
           "points\n" +
           slopes_table(complexity) + "\ncounted over T\n" +
           points_table(complexity.over_iterations) + "\ncounted over N\n" +
           points_table(complexity.over_workers) +
           fmt::format(
               "\n  k = T^(1/4) / N^(3/4), the integer below, 1 at least; 'simulated' "
               "iterations are counted, then their cycle is repeated\n  the papers' k = "
               "{:.0f} on N = {:.0f} lies outside the rule below T = {:.0f}\n",
               complexity.paper_period, complexity.paper_workers, complexity.paper_period_from);
  };
  options.output.print({table, [&] { return to_json(complexity); }});
}

}  // namespace

void add_complexity(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "complexity", "Communication rounds, messages and bytes against iterations T and workers N");
  command->footer(
      "Examples:\n"
      "  paceline complexity\n"
      "  paceline complexity --workers 4 --periods 2,4,8 --worker-counts 2,4,8 --iterations "
      "262144");
  const auto options = std::make_shared<Options>();
  options->output.add_to(*command, false);
  command->add_option("--workers", options->measure.workers, "N of the sweep over T")
      ->transform(whole_number())
      ->check(CLI::Range(2, 1024))
      ->capture_default_str();
  command->add_option("--periods", options->measure.periods, "T = (k N^(3/4))^4 for each k")
      ->transform(whole_number())
      ->delimiter(',');
  command->add_option("--iterations", options->measure.iterations, "T of the sweep over N")
      ->transform(whole_number())
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--worker-counts", options->measure.worker_counts, "the sweep over N")
      ->transform(whole_number())
      ->delimiter(',');
  command->add_option("-j,--jobs", options->jobs, "simulations at a time (the number of cores)")
      ->check(CLI::Range(1U, kMostJobs));
  command->callback([options] { run(*options); });
}

}  // namespace paceline
