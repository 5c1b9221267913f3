#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/network/choice.hpp"
#include "calibrate/program/commands.hpp"
#include "calibrate/program/network_report.hpp"
#include "calibrate/program/written.hpp"
#include "platforms/cluster_file.hpp"

namespace paceline {
namespace {

struct NetworkArguments {
  std::vector<std::string> logs;
  std::string kind, contention, base, out, name, shipped, link = "network";
  std::optional<int> ranks;
  bool is_shipped = false, residuals = false, json = false;
};

template <typename Enum>
Enum named(const char* what, const std::string& name, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw InputError(unknown_name(what, name, names));
  return static_cast<Enum>(found - names.begin());
}

std::optional<MessagePattern> kind_of(const std::string& name) {
  if (name.empty()) return {};
  return named<MessagePattern>("kind of log", name, {"all-reduce", "point-to-point", "bandwidth"});
}

// ---- logs

std::vector<FittedLog> read_logs(const NetworkArguments& arguments) {
  std::vector<FittedLog> fitted;
  bool all_reduce = false;
  for (const std::string& file : arguments.logs)
    for (MessageLog& log : read_message_log(file, kind_of(arguments.kind), arguments.ranks)) {
      all_reduce |= log.kind == MessagePattern::all_reduce;
      TransferFit fit = fit_log(log);
      fitted.push_back({std::move(log), std::move(fit)});
    }
  if (arguments.ranks && !all_reduce)
    throw InputError("--ranks is of all-reduces, and there is none in these logs");
  return fitted;
}

// ---- contention

void report_contention(Report& report, const std::string& file, const Choice& choice) {
  const TransferSegment law = best_single_law(choice.main.fit, choice.main.log.samples);
  if (law.beta_s_per_byte <= 0)
    throw InputError(fmt::format("{}: without a bandwidth there is nothing that contention adds to",
                                 choice.main.log.source));
  const double eta = fit_contention(read_contention(file), law.alpha_s, law.beta_s_per_byte);
  report.json["contention_s_per_byte"] = eta;
  report.print(
      "contention: {:.4g} s/B for every other job's byte, {:.0f} % of beta (not in the cluster "
      "file: "
      "the simulator shares a link without loss)\n",
      eta, 100 * eta / law.beta_s_per_byte);
}

// ---- link

void report_link(Report& report, const Choice& choice, const FittedLink& link) {
  const TransferSegment& law = link.law;
  Json& json = report.json["link"] = Json::object();
  if (link.latency_s) json["latency_s"] = *link.latency_s;
  if (!link.bandwidth_only) json["overhead_s"] = link.overhead_s;
  json["bandwidth"] = link.bandwidth;
  report.print("{}: {}\n", choice.main.log.source, link.derivation);
  if (law.points > 0) {
    json["mean_error"] = law.mean_error;
    json["worst_error"] = law.worst_error;
    report.print(
        "a cluster file has one alpha and one beta: they miss the log by {:.1f} % on average and "
        "by "
        "{:.0f} % at worst",
        100 * law.mean_error, 100 * law.worst_error);
    if (choice.main.fit.segments.size() > 1)
      report.print(" ({:.1f} % as {} laws)", 100 * choice.main.fit.mean_error(),
                   choice.main.fit.segments.size());
    report.print("\n");
  }
  for (const FittedLog* check : choice.checks) {
    const double error = mean_error_over(link, check->log);
    report.json["checks"].push_back({{"name", check->log.source}, {"mean_error", error}});
    report.print("{}: only compared; that link misses it by {:.0f} %\n", check->log.source,
                 100 * error);
  }
}

// What the cluster file says of the same transfers: everything else of the base is on the way too.
void report_written(const Choice& choice, const FittedLink& link, LinkClass link_class,
                    ClusterSpec& written, Report& report) {
  constexpr double kMore = 0.1;  // than the law itself misses by
  const MessageLog& log = choice.main.log;
  const std::optional<WrittenError> error = written_error(written, log, link_class);
  if (!error) {
    if (!log.samples.empty() && log.ranks)
      report.print("not simulated: {} has fewer than {} GPUs\n", written.name, *log.ranks);
    return;
  }
  report.json["written"] = {{"gpus", error->gpus},
                            {"mean_error", error->mean},
                            {"worst_error", error->worst},
                            {"worst_bytes", error->worst_bytes},
                            {"narrowest_link", error->narrowest},
                            {"narrowest_bandwidth", error->narrowest_bandwidth}};
  const std::string misses = fmt::format(
      "simulated on {} of {}: misses the log by {:.1f} % on average and by {:.0f} % at "
      "worst ({} at {}, measured {})",
      error->gpus, written.name, 100 * error->mean, 100 * error->worst,
      format_duration(error->worst_simulated_s), format_bytes(error->worst_bytes),
      format_duration(error->worst_measured_s));
  report.print("{}\n", misses);
  for (auto& [subject, source] : written.sources)
    if (source.find(link.derivation) != std::string::npos) source += "; " + misses;
  if (error->mean <= link.law.mean_error + kMore) return;
  report.print("WARNING: this cluster does not do what the log says");
  if (error->narrowest_bandwidth < 0.99 * link.bandwidth)
    report.print(": {} carries {}, and the log needs {} on every hop; correct the base",
                 error->narrowest, format_bandwidth(error->narrowest_bandwidth),
                 format_bandwidth(link.bandwidth));
  report.print("\n");
}

void write_link(const NetworkArguments& arguments, const Choice& choice, const FittedLink& link,
                Report& report) {
  const auto link_class = named<LinkClass>("link", arguments.link, {"network", "pcie", "nvlink"});
  const std::string name = arguments.name.empty()
                               ? std::filesystem::path(arguments.out).stem().string()
                               : arguments.name;
  const ClusterSpec base = load_cluster_spec(arguments.base);
  std::string source = choice.main.log.source;
  if (choice.bandwidth) source += ", " + choice.bandwidth->log.source;
  ClusterSpec fitted = with_link(base, link, link_class, name, source);
  if (link_class == LinkClass::network)
    fitted = with_ring_latency(std::move(fitted), link, choice.main.log);
  report_written(choice, link, link_class, fitted, report);
  save_json(arguments.out, write_cluster(fitted));
  if (!link.latency_s)
    report.print("latency{}: the log has none; that of {} stays\n",
                 link.bandwidth_only ? " and overhead" : "", base.name);
  report.print("written to {}\n", arguments.out);
}

void finish(const NetworkArguments& arguments, const Choice& choice, Report& report) {
  const bool wanted = !arguments.out.empty();
  const MessageLog& log = choice.main.log;
  if (wanted || log.kind != MessagePattern::all_reduce || log.ranks) {
    const FittedLink link = link_of(choice.main, choice.bandwidth ? &*choice.bandwidth : nullptr);
    report_link(report, choice, link);
    if (wanted) write_link(arguments, choice, link, report);
  } else {
    report.print("give --ranks for the latency and bandwidth of a link\n");
  }
  std::cout << (arguments.json ? report.json.dump(2) + '\n' : report.text);
}

// ---- the two ways to call it

void list_shipped(const NetworkArguments& arguments) {
  Report report;
  Json rows = Json::array();
  print_header(report);
  for (const ShippedFit& shipped : shipped_network_fits()) {
    rows.push_back(fit_json(shipped.name, shipped.fitted));
    print_fit(report, shipped.name, shipped.fitted);
  }
  const ShippedContention contention = shipped_contention();
  rows.push_back({{"name", contention.name},
                  {"kind", "contention"},
                  {"contention_s_per_byte", contention.eta_s_per_byte},
                  {"points", contention.samples.size()},
                  {"mean_error", contention.mean_error},
                  {"mean_error_without", contention.mean_error_without}});
  report.print(
      "contention, {}: {:.4g} s/B for every other job's byte, {:.0f} % of beta; misses the times "
      "by "
      "{:.1f} %, without it {:.1f} %\n",
      contention.name, contention.eta_s_per_byte,
      100 * contention.eta_s_per_byte / contention.beta_s_per_byte, 100 * contention.mean_error,
      100 * contention.mean_error_without);
  std::cout << (arguments.json ? rows.dump(2) + '\n' : report.text);
}

void use_shipped(const NetworkArguments& arguments) {
  if (!arguments.logs.empty() || !arguments.kind.empty() || arguments.ranks ||
      !arguments.contention.empty())
    throw InputError(
        "--shipped takes the place of logs and of --kind, --ranks, --contention; a name of several "
        "words stands in quotes");
  if (arguments.shipped.empty()) {
    if (!arguments.out.empty())
      throw InputError("which shipped fit is to be written? --shipped NAME (--shipped lists them)");
    return list_shipped(arguments);
  }
  const ShippedFit shipped = shipped_network_fit(arguments.shipped);
  Report report;
  print_header(report);
  print_fit(report, shipped.name, shipped.fitted);
  if (arguments.residuals && !shipped.fitted.log.samples.empty())
    print_residuals(report, shipped.fitted);
  report.json["fits"] = Json::array({fit_json(shipped.name, shipped.fitted)});
  finish(arguments, {shipped.fitted, {}, {}}, report);
}

void use_logs(const NetworkArguments& arguments) {
  if (arguments.logs.empty()) throw InputError("give a log, or --shipped (see --help)");
  const std::vector<FittedLog> logs = read_logs(arguments);
  Report report;
  report.json["fits"] = Json::array();
  print_header(report);
  for (const FittedLog& one : logs) {
    report.json["fits"].push_back(fit_json(one.log.source, one));
    print_fit(report, one.log.source, one);
    if (arguments.residuals) print_residuals(report, one);
  }
  const Choice choice = choose(logs);
  if (!arguments.contention.empty()) report_contention(report, arguments.contention, choice);
  finish(arguments, choice, report);
}

void network(const NetworkArguments& arguments) {
  if (arguments.base.empty() != arguments.out.empty())
    throw InputError("--base and --out go together: a cluster, and the file for what is fitted");
  named<LinkClass>("link", arguments.link, {"network", "pcie", "nvlink"});
  if (arguments.ranks && *arguments.ranks < 2)
    throw InputError(fmt::format("--ranks: expected 2 or more, found {}", *arguments.ranks));
  if (arguments.is_shipped)
    use_shipped(arguments);
  else
    use_logs(arguments);
}

}  // namespace

void add_network(CLI::App& app) {
  auto arguments = std::make_shared<NetworkArguments>();
  CLI::App* command = app.add_subcommand(
      "network",
      "Latency, bandwidth and overhead from logs of nccl-tests, OSU benchmarks, ib_write_bw, iperf "
      "or CSV");
  command->add_option("logs", arguments->logs, "files; osu_latency and osu_bw of a link together");
  command->add_option("--kind", arguments->kind,
                      "what a CSV holds: all-reduce (default), point-to-point, bandwidth");
  command->add_option("--ranks", arguments->ranks,
                      "of an all-reduce whose log does not say; of several, the one to use");
  command->add_option("--contention", arguments->contention,
                      "CSV jobs,bytes,seconds: transfers that share a link");
  command->add_option("--base", arguments->base, "cluster of which a class of links is replaced");
  command->add_option("--link", arguments->link, "that class: network, pcie, nvlink")
      ->capture_default_str();
  command->add_option("--out", arguments->out, "cluster file to write");
  command->add_option("--name", arguments->name, "of the new cluster (default: the file's)");
  command->add_flag("--residuals", arguments->residuals, "print every point");
  CLI::Option* shipped =
      command
          ->add_option("--shipped", arguments->shipped,
                       "a fit of published measurements in place of logs; without NAME their list")
          ->expected(0, 1)
          ->type_name("[NAME]");
  command->add_flag("--json", arguments->json, "print as JSON");
  command->footer(
      "Examples:\n"
      "  paceline calibrate network all_reduce_perf.log --base 2x8-1080ti-10gbe --out mine.json\n"
      "  paceline calibrate network osu_latency.txt osu_bw.txt --residuals\n"
      "  paceline calibrate network iperf3.json --base 16x1-1080ti-10gbe --out mine.json\n"
      "  paceline calibrate network --shipped\n"
      "  paceline calibrate network --shipped 'NCCL 10GbE 8 nodes' --base 16x1-1080ti-10gbe "
      "--out mine.json");
  command->callback([arguments, shipped] {
    arguments->is_shipped = shipped->count() > 0;
    network(*arguments);
  });
}

}  // namespace paceline
