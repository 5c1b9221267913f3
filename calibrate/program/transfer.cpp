#include "calibrate/transfer.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/units.hpp"
#include "calibrate/program/commands.hpp"
#include "calibrate/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

struct TransferArguments {
  std::string from, to, out;
  bool validate = false, json = false;
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

void transfer(const TransferArguments& arguments) {
  if (arguments.validate) return validate_pairs(arguments.json);
  if (arguments.from.empty() || arguments.to.empty())
    throw InputError("--from and --to are required, or --validate (see --help)");
  const Profile from = load_profile(arguments.from);
  const Model model = make_model(from.model);
  const GpuSpec& from_gpu = find_gpu(from.device);
  const GpuSpec& to_gpu = find_gpu(arguments.to);
  const std::string a = deepbench_name(from_gpu), b = deepbench_name(to_gpu);
  std::vector<TransferAnchor> anchors;
  if (!a.empty() && !b.empty() && a != b) anchors = deepbench_anchors(a, b);
  const Profile to = transfer_profile(from, model, from_gpu, to_gpu, anchors);
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
  command->add_flag("--json", arguments->json, "print as JSON");
  command->footer(
      "Examples:\n"
      "  paceline-calibrate transfer --from h200.json --to gtx-1080ti --out 1080ti.json\n"
      "  paceline-calibrate transfer --validate");
  command->callback([arguments] { transfer(*arguments); });
}

}  // namespace paceline
