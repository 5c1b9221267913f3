#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/units.hpp"
#include "calibrate/csv.hpp"
#include "calibrate/network_fit.hpp"
#include "calibrate/program/commands.hpp"
#include "platforms/cluster_file.hpp"

namespace paceline {
namespace {

struct NetworkArguments {
  std::vector<std::string> logs;
  std::string kind, contention, base, out, name;
  int ranks = 0;
  bool shipped = false, residuals = false, json = false;
};

std::string range_text(const TransferSegment& segment) {
  if (segment.points == 0) return "not stated";
  return fmt::format("{} to {}", format_bytes(segment.from_bytes), format_bytes(segment.to_bytes));
}

void print_segments(const std::string& name, const TransferFit& fit) {
  for (const TransferSegment& segment : fit.segments) {
    const std::string errors = segment.points == 0
                                   ? fmt::format("{:>10}{:>9}", "-", "-")
                                   : fmt::format("{:>9.1f}%{:>8.1f}%", 100 * segment.mean_error,
                                                 100 * segment.worst_error);
    std::cout << fmt::format("{:<40}{:>24}{:>14}{:>14.4g}{:>7}{}\n", name, range_text(segment),
                             format_duration(segment.alpha_s), segment.beta_s_per_byte,
                             segment.points, errors);
  }
}

void print_header() {
  std::cout << fmt::format("{:<40}{:>24}{:>14}{:>14}{:>7}{:>10}{:>9}\n", "", "sizes", "alpha",
                           "beta s/B", "points", "mean err", "worst");
}

Json fit_json(const std::string& name, const TransferFit& fit) {
  Json json{{"name", name}, {"segments", Json::array()}};
  for (const TransferSegment& s : fit.segments) {
    Json segment{
        {"alpha_s", s.alpha_s}, {"beta_s_per_byte", s.beta_s_per_byte}, {"points", s.points}};
    if (s.points > 0) {
      segment["from_bytes"] = s.from_bytes;
      segment["to_bytes"] = s.to_bytes;
      segment["mean_error"] = s.mean_error;
      segment["worst_error"] = s.worst_error;
    }
    json["segments"].push_back(std::move(segment));
  }
  return json;
}

void print_shipped(bool as_json) {
  Json rows = Json::array();
  if (!as_json) print_header();
  for (const ShippedFit& shipped : shipped_network_fits()) {
    if (as_json)
      rows.push_back(fit_json(shipped.name, shipped.fit));
    else
      print_segments(shipped.name, shipped.fit);
  }
  if (as_json) std::cout << rows.dump(2) << '\n';
}

std::optional<TransferKind> kind_of(const std::string& name) {
  if (name.empty()) return {};
  for (const TransferKind kind :
       {TransferKind::all_reduce, TransferKind::point_to_point, TransferKind::bandwidth})
    if (to_string(kind) == name) return kind;
  throw InputError(
      unknown_name("kind of log", name, {"all-reduce", "point-to-point", "bandwidth"}));
}

void print_residuals(const TransferLog& log, const TransferFit& fit) {
  std::cout << fmt::format("{:>14}{:>14}{:>14}{:>9}\n", "bytes", "measured", "fit", "error");
  for (const TransferSample& sample : log.samples) {
    const double fitted = fit.seconds(sample.bytes);
    std::cout << fmt::format("{:>14.0f}{:>14}{:>14}{:>+8.1f}%\n", sample.bytes,
                             format_duration(sample.seconds), format_duration(fitted),
                             100 * (fitted / sample.seconds - 1));
  }
}

// How the one law that a cluster file holds describes all points of the log.
double mean_error_of(const TransferLog& log, const TransferFit& fit) {
  const double alpha = fit.segments.front().alpha_s, beta = fit.segments.back().beta_s_per_byte;
  double sum = 0;
  for (const TransferSample& sample : log.samples)
    sum += std::abs((alpha + beta * sample.bytes) / sample.seconds - 1);
  return sum / static_cast<double>(log.samples.size());
}

std::vector<ContentionSample> read_contention(const std::string& file) {
  const CsvTable table{std::filesystem::path(file)};
  std::vector<ContentionSample> samples;
  for (std::size_t row = 0; row < table.rows(); ++row)
    samples.push_back(
        {table.number(row, "jobs"), table.number(row, "bytes"), table.number(row, "seconds")});
  return samples;
}

void network(const NetworkArguments& arguments) {
  if (arguments.shipped) return print_shipped(arguments.json);
  if (arguments.logs.empty()) throw InputError("give a log, or --shipped (see --help)");
  if (arguments.base.empty() != arguments.out.empty())
    throw InputError("--base and --out go together: a cluster, and the file for what is fitted");
  std::vector<TransferLog> logs;
  for (const std::string& file : arguments.logs)
    for (TransferLog& log : read_transfer_log(
             file, kind_of(arguments.kind),
             arguments.ranks > 0 ? std::optional<int>(arguments.ranks) : std::nullopt))
      logs.push_back(std::move(log));
  Json json{{"fits", Json::array()}};
  std::optional<std::size_t> latency, bandwidth;
  std::vector<TransferFit> fits;
  if (!arguments.json) print_header();
  for (std::size_t i = 0; i < logs.size(); ++i) {
    fits.push_back(fit_transfers(logs[i].samples, logs[i].source));
    if (logs[i].kind == TransferKind::bandwidth)
      bandwidth = i;
    else
      latency = i;  // the last one: of several numbers of ranks the largest
    json["fits"].push_back(fit_json(logs[i].source, fits[i]));
    if (arguments.json) continue;
    print_segments(logs[i].source, fits[i]);
    if (arguments.residuals) print_residuals(logs[i], fits[i]);
  }
  const std::size_t used = latency ? *latency : *bandwidth;
  if (!arguments.contention.empty()) {
    const double eta =
        fit_contention(read_contention(arguments.contention), fits[used].segments.front().alpha_s,
                       fits[used].segments.back().beta_s_per_byte);
    json["contention_s_per_byte"] = eta;
    if (!arguments.json)
      std::cout << fmt::format(
          "contention: {:.4g} s/B for every other job's byte, {:.0f} % of beta\n", eta,
          100 * eta / fits[used].segments.back().beta_s_per_byte);
  }
  if (!arguments.out.empty() || logs[used].kind != TransferKind::all_reduce || logs[used].ranks) {
    const FittedLink link =
        link_of(logs[used], fits[used], bandwidth && latency ? &fits[*bandwidth] : nullptr);
    const double error = mean_error_of(logs[used], fits[used]);
    json["link"] = {{"latency_s", link.latency_s},
                    {"overhead_s", link.overhead_s},
                    {"bandwidth", link.bandwidth},
                    {"mean_error", error}};
    if (!arguments.json)
      std::cout << fmt::format(
          "{}: {}; one alpha and one beta miss the log by {:.1f} % on average\n", logs[used].source,
          link.derivation, 100 * error);
    if (!arguments.out.empty()) {
      const std::string name = arguments.name.empty()
                                   ? std::filesystem::path(arguments.out).stem().string()
                                   : arguments.name;
      save_json(arguments.out, write_cluster(with_link(load_cluster_spec(arguments.base), link,
                                                       name, logs[used].source)));
      if (!arguments.json) std::cout << fmt::format("written to {}\n", arguments.out);
    }
  }
  if (arguments.json) std::cout << json.dump(2) << '\n';
}

}  // namespace

void add_network(CLI::App& app) {
  auto arguments = std::make_shared<NetworkArguments>();
  CLI::App* command = app.add_subcommand(
      "network", "Latency, bandwidth and overhead from logs of nccl-tests, OSU benchmarks or CSV");
  command->add_option("logs", arguments->logs, "files; osu_latency and osu_bw of a link together");
  command->add_option("--kind", arguments->kind,
                      "what a CSV holds: all-reduce (default), point-to-point, bandwidth");
  command->add_option("--ranks", arguments->ranks, "of an all-reduce whose log does not say");
  command->add_option("--contention", arguments->contention,
                      "CSV jobs,bytes,seconds: transfers that share a link");
  command->add_option("--base", arguments->base, "cluster whose network is replaced");
  command->add_option("--out", arguments->out, "cluster file to write");
  command->add_option("--name", arguments->name, "of the new cluster (default: the file's)");
  command->add_flag("--residuals", arguments->residuals, "print every point");
  command->add_flag("--shipped", arguments->shipped, "the fits of published measurements");
  command->add_flag("--json", arguments->json, "print as JSON");
  command->footer(
      "Examples:\n"
      "  paceline calibrate network all_reduce_perf.log --base 2x8-1080ti-10gbe --out mine.json\n"
      "  paceline calibrate network osu_latency.txt osu_bw.txt --residuals\n"
      "  paceline calibrate network --shipped");
  command->callback([arguments] { network(*arguments); });
}

}  // namespace paceline
