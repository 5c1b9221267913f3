#include "calibrate/transfer/transfer.hpp"
#include "base/json.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <optional>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/units.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/analytic/deepbench.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "calibrate/program/commands.hpp"
#include "calibrate/transfer/anchors.hpp"
#include "models/model_file.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

struct TransferArguments {
  std::string from, model, to, anchors, out;
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
  std::string table =
      "Errors in %, mean absolute / median absolute / of the total time; corrected: kappa from "
      "four "
      "fifths of the\npair's kernels, errors on the other fifth (DeepBench, fp32)\n\n"
      "| from | to | kernels | n | ratio of ceilings | corrected |\n|---|---|---|---|---|---|\n";
  for (const auto& [from, to] : validation_pairs())
    for (const TransferErrors& errors : validate_transfer(from, to)) {
      table += markdown_row(errors) + '\n';
      rows.push_back({{"from", errors.from},
                      {"to", errors.to},
                      {"kernels", errors.group},
                      {"points", errors.raw.points},
                      {"raw", quality_json(errors.raw)},
                      {"corrected", quality_json(errors.corrected)}});
    }
  std::cout << (as_json ? rows.dump(2) + '\n' : table);
}

std::string deepbench_name_of(const std::string& device) {
  const GpuSpec* gpu = known_gpu(device);
  return gpu != nullptr ? deepbench_name(*gpu) : "";
}

// Kernels timed on both: of --anchors and DeepBench, or of DeepBench alone.
std::vector<TransferAnchor> anchors_for(const TransferArguments& arguments, const Profile& from,
                                        const GpuSpec& to_gpu) {
  const std::string a = deepbench_name_of(from.device), b = deepbench_name(to_gpu);
  if (arguments.anchors.empty())
    return a.empty() || b.empty() || a == b ? std::vector<TransferAnchor>{}
                                            : deepbench_anchors(a, b);
  if (b.empty())
    throw InputError(fmt::format("--anchors: DeepBench did not time the {}", to_gpu.name));
  const AnchorSet set = load_anchors(arguments.anchors);
  check_anchors(set, from, arguments.anchors);
  return pair_anchors(set, b);
}

// `from` on another GPU. Whatever is wrong is said before anything is printed or written.
Profile transferred(const TransferArguments& arguments, const Profile& from, const Model& model,
                    const GpuSpec& to_gpu) {
  Profile to =
      transfer_profile(from, model, to_gpu, anchors_for(arguments, from, to_gpu), arguments.from);
  if (arguments.anchors.empty()) return to;
  if (to.metadata->at("classes").empty())
    throw InputError(
        fmt::format("{}: $.kernels: too few, no class of kernels has ten", arguments.anchors));
  (*to.metadata)["anchors"] = {{"file", arguments.anchors},
                               {"of", "this device (hot) and DeepBench"}};
  return to;
}

// A published time of a whole network beside ours.
struct PublishedRow {
  std::string model, batch, pass, source;
  double published_s = 0, predicted_s = 0;
  [[nodiscard]] double error() const { return predicted_s / published_s - 1; }
};

void add_rows(const CsvTable& table, std::size_t row, const Model& model, const Profile& profile,
              std::vector<PublishedRow>& rows) {
  const auto batch = static_cast<std::int64_t>(table.number(row, "batch"));
  const StepCosts costs = step_costs(model, profile, batch);
  const std::string& value = table.text(row, "value");
  const auto add = [&](const char* pass, double published, double predicted) {
    rows.push_back({table.text(row, "model"), table.text(row, "batch"), pass,
                    table.text(row, "source"), published, predicted});
  };
  if (table.text(row, "quantity") == "images/s") {
    const double update =
        operation_costs(profile).optimizer_update(static_cast<double>(model.parameters()));
    add("step", double(batch) / std::stod(value), costs.step_s() + update);
  } else {
    const auto comma = value.find(',');
    add("forward", 1e-3 * std::stod(value), costs.forward_s());
    add("backward", 1e-3 * std::stod(value.substr(comma + 1)), costs.backward_s());
  }
}

// Of the GPU `gpu`, by the analytic profile, or by `measured`: then only its own model and the
// batches that it covers.
std::vector<PublishedRow> published_rows(const GpuSpec& gpu,
                                         const std::optional<Profile>& measured) {
  const CsvTable table(shipped_data("published/single-gpu.csv"), "shipped single-gpu.csv");
  std::vector<PublishedRow> rows;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (known_gpu(table.text(row, "gpu")) != &gpu || !table.is_number(row, "batch")) continue;
    const auto batch = static_cast<std::int64_t>(table.number(row, "batch"));
    const Model model = make_model(table.text(row, "model"));
    if (measured && (measured->model != model.name() || measured->batches.front().batch > batch ||
                     measured->batches.back().batch < batch))
      continue;
    add_rows(table, row, model, measured ? *measured : analytic_profile(model, gpu, batch), rows);
  }
  if (rows.empty())
    throw InputError(fmt::format("no published times on {} fit{}", gpu.name,
                                 measured ? " the profile's model and batches" : ""));
  return rows;
}

Json published_json(const std::vector<PublishedRow>& rows) {
  Json json = Json::array();
  for (const PublishedRow& row : rows)
    json.push_back({{"model", row.model},
                    {"batch", std::stod(row.batch)},
                    {"pass", row.pass},
                    {"published_s", row.published_s},
                    {"predicted_s", row.predicted_s},
                    {"error", row.error()},
                    {"source", row.source}});
  return json;
}

void print_published(const std::string& heading, const std::vector<PublishedRow>& rows) {
  std::cout << fmt::format("{}\n{:<14}{:>6}  {:<10}{:>12}{:>12}{:>9}  source\n", heading, "network",
                           "batch", "", "published", "predicted", "error");
  std::vector<double> errors;
  for (const PublishedRow& row : rows) {
    errors.push_back(std::abs(row.error()));
    std::cout << fmt::format("{:<14}{:>6}  {:<10}{:>12}{:>12}{:>+8.0f}%  {}\n", row.model,
                             row.batch, row.pass, format_duration(row.published_s),
                             format_duration(row.predicted_s), 100 * row.error(), row.source);
  }
  std::cout << fmt::format(
      "error: mean {:.0f} %, median {:.0f} % of {} times\n",
      100 * std::accumulate(errors.begin(), errors.end(), 0.0) / double(errors.size()),
      100 * median(errors), errors.size());
}

Model model_of(const TransferArguments& arguments, const Profile& from) {
  return find_model(arguments.model.empty() ? from.model : arguments.model);
}

void compare_published(const TransferArguments& arguments) {
  const GpuSpec& gpu = find_gpu(arguments.to.empty() ? "GTX 1080 Ti" : arguments.to);
  std::optional<Profile> measured;
  if (!arguments.from.empty()) {
    const Profile from = load_profile(arguments.from);
    measured = transferred(arguments, from, model_of(arguments, from), gpu);
  }
  const std::vector<PublishedRow> rows = published_rows(gpu, measured);
  if (arguments.json)
    std::cout << published_json(rows).dump(2) << '\n';
  else
    print_published(
        fmt::format("{}, {}", gpu.name, measured ? measured->description : "analytic profile"),
        rows);
}

std::string transfer_text(const Model& model, const Profile& from, const Profile& to) {
  std::string text = fmt::format("{} on {}: {}, sigma {:.0f} %\n", to.model, to.device,
                                 to.description, 100 * to.uncertainty);
  for (const BatchTimes& times : to.batches)
    text +=
        fmt::format("batch {}: {} on {}, {} on {}\n", *times.batch,
                    format_duration(step_costs(model, from, *times.batch).step_s()), from.device,
                    format_duration(step_costs(model, to, *times.batch).step_s()), to.device);
  return text;
}

// The measured source must not be lost.
void check_output(const std::string& out, const std::string& input, const char* option) {
  std::error_code ignored;
  if (!out.empty() && std::filesystem::equivalent(out, input, ignored))
    throw InputError(fmt::format("--out: '{}' is the file of {}: give another", out, option));
}

void transfer(const TransferArguments& arguments) {
  if ((arguments.validate || arguments.published) && !arguments.out.empty())
    throw InputError("--out: --validate and --published only print");
  if (arguments.validate) return validate_pairs(arguments.json);
  if (arguments.published) return compare_published(arguments);
  if (arguments.from.empty() || arguments.to.empty())
    throw InputError("--from and --to are required, or --validate (see --help)");
  check_output(arguments.out, arguments.from, "--from");
  check_output(arguments.out, arguments.anchors, "--anchors");
  const Profile from = load_profile(arguments.from);
  const Model model = model_of(arguments, from);
  const Profile to = transferred(arguments, from, model, find_gpu(arguments.to));
  const std::string text =
      arguments.json ? profile_json(to).dump(2) + '\n' : transfer_text(model, from, to);
  if (!arguments.out.empty()) save_profile(arguments.out, to);
  std::cout << text;
}

}  // namespace

void add_transfer(CLI::App& app) {
  auto arguments = std::make_shared<TransferArguments>();
  CLI::App* command = app.add_subcommand(
      "transfer", "A measured profile on another GPU, by the ratio of what both reach");
  command->add_option("--from", arguments->from, "measured profile");
  command->add_option("--model", arguments->model,
                      "file of its model, if that is not a shipped one");
  command->add_option("--to", arguments->to, "GPU of the specification table");
  command->add_option("--anchors", arguments->anchors,
                      "DeepBench's kernels timed on the device of --from (paceline-calibrate "
                      "anchors), which correct a transfer to a GPU that DeepBench timed");
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
      "  paceline calibrate transfer --from h200.json --anchors h200-anchors.json --to gtx-1080ti\n"
      "  paceline calibrate transfer --validate");
  command->callback([arguments] { transfer(*arguments); });
}

}  // namespace paceline
