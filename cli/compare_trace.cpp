#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "answer.hpp"
#include "base/units.hpp"
#include "commands.hpp"
#include "experiments/trace_comparison.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct CompareTraceOptions {
  std::string simulated;
  std::vector<std::string> real;
  std::size_t top = 12;
  OutputOptions output;
};

std::string signed_ms(double seconds) {
  return fmt::format("{:+.3f}", 1e3 * seconds);
}

std::string trace_report(const TraceComparison& comparison, std::size_t top) {
  Table streams;
  streams.column("stream");
  for (const char* header : {"ends, simulated", "real", "", "busy, simulated", "real"})
    streams.column(header, Table::Align::right);
  for (const TraceComparison::Stream& s : comparison.streams)
    streams.row({s.name, format_duration(s.simulated_s), format_duration(s.real_s),
                 fmt::format("{:+.1f} %", 100 * (s.real_s / s.simulated_s - 1)),
                 format_duration(s.simulated_busy_s), format_duration(s.real_busy_s)});
  Table operations;
  operations.column("stream");
  operations.column("operation");
  for (const char* header :
       {"times", "simulated ms", "real ms", "all: longer ms", "waits longer ms"})
    operations.column(header, Table::Align::right);
  for (std::size_t i = 0; i < std::min(top, comparison.operations.size()); ++i) {
    const TraceComparison::Operation& o = comparison.operations[i];
    operations.row({o.stream, o.name, fmt::format("{:.0f}", o.count),
                    fmt::format("{:.3f}", 1e3 * o.simulated_s),
                    fmt::format("{:.3f}", 1e3 * o.real_s), signed_ms(o.longer_s),
                    signed_ms(o.later_s)});
  }
  std::string text = fmt::format("mean of {} workers; real less simulated\n\n{}\n{}",
                                 comparison.workers, streams.text(2), operations.text(2));
  if (comparison.only_simulated + comparison.only_real > 0)
    text += fmt::format("\n  in one trace alone: {} operations simulated, {} real\n",
                        comparison.only_simulated, comparison.only_real);
  return text;
}

Json trace_json(const TraceComparison& comparison) {
  Json streams = Json::array(), operations = Json::array();
  for (const TraceComparison::Stream& s : comparison.streams)
    streams.push_back({{"stream", s.name},
                       {"simulated_end_s", s.simulated_s},
                       {"real_end_s", s.real_s},
                       {"simulated_busy_s", s.simulated_busy_s},
                       {"real_busy_s", s.real_busy_s}});
  for (const TraceComparison::Operation& o : comparison.operations)
    operations.push_back({{"stream", o.stream},
                          {"operation", o.name},
                          {"count", o.count},
                          {"simulated_s", o.simulated_s},
                          {"real_s", o.real_s},
                          {"longer_s", o.longer_s},
                          {"later_s", o.later_s}});
  return {{"workers", comparison.workers},
          {"streams", std::move(streams)},
          {"operations", std::move(operations)},
          {"only_simulated", comparison.only_simulated},
          {"only_real", comparison.only_real}};
}

}  // namespace

void add_compare_trace(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "compare-trace", "Where a simulated run and the same on real ranks differ, by operation");
  command->footer(
      "Example:\n"
      "  paceline run experiment.json --trace sim.json\n"
      "  mpirun -n 4 paceline-mpi run experiment.json --trace real.json\n"
      "  paceline compare-trace sim.json real.0.json real.1.json real.2.json real.3.json");
  const auto options = std::make_shared<CompareTraceOptions>();
  command->add_option("simulated", options->simulated, "trace of 'paceline run'")->required();
  command->add_option("real", options->real, "traces of 'paceline-mpi run', of some or all ranks")
      ->required();
  command->add_option("--top", options->top, "operations in the table (12)");
  options->output.add_to(*command, false);
  command->callback([options] {
    const TraceComparison comparison =
        compare_traces(options->simulated, {options->real.begin(), options->real.end()});
    options->output.print({[&] { return trace_report(comparison, options->top); },
                           [&] { return trace_json(comparison); }});
  });
}

}  // namespace paceline
