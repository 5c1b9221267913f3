#include "calibrate/transfer.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/units.hpp"
#include "calibrate/analytic.hpp"
#include "calibrate/csv.hpp"
#include "calibrate/deepbench.hpp"
#include "calibrate/operation_costs.hpp"
#include "calibrate/program/commands.hpp"
#include "calibrate/statistics.hpp"
#include "calibrate/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

struct TransferArguments {
  std::string from, to, out;
  bool validate = false, published = false, json = false;
};

Json quality_json(const FitQuality& quality) {
  return {{"mape", quality.mean_absolute_error},
          {"median", quality.median_absolute_error},
          {"bias", quality.total_bias},
          {"log_sigma", quality.log_sigma}};
}

void validate_pairs(bool as_json) {
  Json rows = Json::array();
  if (!as_json)
    std::cout << fmt::format(
        "Errors in %, mean / median / of the total time; corrected: kappa from four fifths of the "
        "pair's kernels,\nerrors on the other fifth (DeepBench, fp32, measured SGEMM ceilings)\n"
        "{:<16}{:<16}{:<22}{:>7}{:>24}{:>24}\n",
        "from", "to", "kernels", "points", "ratio of ceilings", "corrected");
  const auto text = [](const FitQuality& q) {
    return fmt::format("{:.0f} / {:.0f} / {:+.0f}", 100 * q.mean_absolute_error,
                       100 * q.median_absolute_error, 100 * q.total_bias);
  };
  for (const auto& [from, to] : validation_pairs())
    for (const TransferErrors& errors : validate_transfer(from, to)) {
      if (!as_json)
        std::cout << fmt::format("{:<16}{:<16}{:<22}{:>7}{:>24}{:>24}\n", errors.from, errors.to,
                                 errors.group, errors.raw.points, text(errors.raw),
                                 text(errors.corrected));
      rows.push_back({{"from", errors.from},
                      {"to", errors.to},
                      {"kernels", errors.group},
                      {"points", errors.raw.points},
                      {"raw", quality_json(errors.raw)},
                      {"corrected", quality_json(errors.corrected)}});
    }
  if (as_json) std::cout << rows.dump(2) << '\n';
}

Profile transferred(const Profile& from, const Model& model, const GpuSpec& to_gpu) {
  const GpuSpec& from_gpu = find_gpu(from.device);
  const std::string a = deepbench_name(from_gpu), b = deepbench_name(to_gpu);
  std::vector<TransferAnchor> anchors;
  if (!a.empty() && !b.empty() && a != b) anchors = deepbench_anchors(a, b);
  return transfer_profile(from, model, from_gpu, to_gpu, anchors);
}

// Published times of whole networks on the GPU `to`, against the analytic profile, or against
// `from` transferred there: then only its own model and the batches that it covers.
void compare_published(const TransferArguments& arguments) {
  const GpuSpec& gpu = find_gpu(arguments.to.empty() ? "GTX 1080 Ti" : arguments.to);
  std::optional<Profile> measured;
  if (!arguments.from.empty()) {
    const Profile from = load_profile(arguments.from);
    measured = transferred(from, make_model(from.model), gpu);
  }
  const CsvTable table(shipped_data("published/single-gpu.csv"), "shipped single-gpu.csv");
  Json rows = Json::array();
  std::vector<double> errors;
  const auto report = [&](std::size_t row, const char* what, double published, double predicted) {
    const double error = predicted / published - 1;
    errors.push_back(std::abs(error));
    if (rows.empty() && !arguments.json)
      std::cout << fmt::format("{}, {}\n{:<14}{:>6}  {:<10}{:>12}{:>12}{:>9}  source\n", gpu.name,
                               measured ? measured->description : "analytic profile", "network",
                               "batch", "", "published", "predicted", "error");
    if (!arguments.json)
      std::cout << fmt::format("{:<14}{:>6}  {:<10}{:>12}{:>12}{:>+8.0f}%  {}\n",
                               table.text(row, "model"), table.text(row, "batch"), what,
                               format_duration(published), format_duration(predicted), 100 * error,
                               table.text(row, "source"));
    rows.push_back({{"model", table.text(row, "model")},
                    {"batch", table.number(row, "batch")},
                    {"pass", what},
                    {"published_s", published},
                    {"predicted_s", predicted},
                    {"error", error},
                    {"source", table.text(row, "source")}});
  };
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, "gpu") != gpu.name || !table.is_number(row, "batch")) continue;
    const auto batch = static_cast<std::int64_t>(table.number(row, "batch"));
    const Model model = make_model(table.text(row, "model"));
    if (measured && (measured->model != model.name() || measured->batches.front().batch > batch ||
                     measured->batches.back().batch < batch))
      continue;
    const Profile profile = measured ? *measured : analytic_profile(model, gpu, batch);
    const StepCosts costs = step_costs(model, profile, batch);
    const std::string& value = table.text(row, "value");
    if (table.text(row, "quantity") == "images/s") {
      const double update =
          operation_costs(profile).sgd_update(static_cast<double>(model.parameters()));
      report(row, "step", double(batch) / std::stod(value), costs.step_s() + update);
    } else {
      const auto comma = value.find(',');
      report(row, "forward", 1e-3 * std::stod(value), costs.forward_s());
      report(row, "backward", 1e-3 * std::stod(value.substr(comma + 1)), costs.backward_s());
    }
  }
  if (errors.empty())
    throw InputError(fmt::format("no published times on {} fit{}", gpu.name,
                                 measured ? " the profile's model and batches" : ""));
  if (arguments.json)
    std::cout << rows.dump(2) << '\n';
  else
    std::cout << fmt::format(
        "error: mean {:.0f} %, median {:.0f} % of {} times\n",
        100 * std::accumulate(errors.begin(), errors.end(), 0.0) / double(errors.size()),
        100 * median(errors), errors.size());
}

void transfer(const TransferArguments& arguments) {
  if (arguments.validate) return validate_pairs(arguments.json);
  if (arguments.published) return compare_published(arguments);
  if (arguments.from.empty() || arguments.to.empty())
    throw InputError("--from and --to are required, or --validate (see --help)");
  const Profile from = load_profile(arguments.from);
  const Model model = make_model(from.model);
  const Profile to = transferred(from, model, find_gpu(arguments.to));
  if (!arguments.out.empty()) save_profile(arguments.out, to);
  if (arguments.json) {
    std::cout << profile_json(to).dump(2) << '\n';
    return;
  }
  std::cout << fmt::format("{} on {}: {}, sigma {:.0f} %\n", to.model, to.device, to.description,
                           100 * to.uncertainty);
  for (const BatchTimes& times : to.batches)
    std::cout << fmt::format("batch {}: {} there, {} here\n", *times.batch,
                             format_duration(step_costs(model, to, *times.batch).step_s()),
                             format_duration(step_costs(model, from, *times.batch).step_s()));
}

}  // namespace

void add_transfer(CLI::App& app) {
  auto arguments = std::make_shared<TransferArguments>();
  CLI::App* command = app.add_subcommand(
      "transfer", "A measured profile on another GPU, by the ratio of what both reach");
  command->add_option("--from", arguments->from, "measured profile");
  command->add_option("--to", arguments->to, "GPU of the specification table");
  command->add_option("--out", arguments->out, "profile file to write");
  command->add_flag("--validate", arguments->validate,
                    "print the errors of transfers between GPUs that DeepBench measured");
  command->add_flag(
      "--published", arguments->published,
      "compare with published times of whole networks on --to (GTX 1080 Ti): of --from "
      "transferred, or else of the analytic profile");
  command->add_flag("--json", arguments->json, "print as JSON");
  command->footer(
      "Examples:\n"
      "  paceline calibrate transfer --published\n"
      "  paceline calibrate transfer --from h200.json --to gtx-1080ti --out 1080ti.json\n"
      "  paceline calibrate transfer --validate");
  command->callback([arguments] { transfer(*arguments); });
}

}  // namespace paceline
