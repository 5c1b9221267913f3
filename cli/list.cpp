#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "algorithms/registry.hpp"
#include "base/csv.hpp"
#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/profile/profile.hpp"
#include "commands.hpp"
#include "experiments/published.hpp"
#include "experiments/shipped.hpp"
#include "models/zoo.hpp"
#include "options.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/gpus.hpp"
#include "platforms/stack.hpp"
#include "studies/shipped.hpp"
#include "table.hpp"

namespace paceline {
namespace {

// Names and figures; the header is the keys of the JSON.
struct Listing {
  std::vector<std::string> keys;
  std::vector<std::vector<std::string>> rows;
};

Listing list_models() {
  Listing list{{"name", "title", "parameters", "tensors", "forward MACs", "notes"}, {}};
  for (const ModelInfo& info : model_infos()) {
    const Model model = make_model(info.name);
    list.rows.push_back(
        {info.name, info.title, format_count(static_cast<double>(model.parameters())),
         std::to_string(model.tensors().size()), format_count(model.forward_macs()), info.notes});
  }
  return list;
}

Listing list_clusters() {
  Listing list{{"name", "GPUs", "bandwidth", "latency", "description"}, {}};
  for (const std::string& name : shipped_clusters()) {
    const ClusterSpec spec = load_cluster_spec(name);
    list.rows.push_back({name, std::to_string(spec.gpu_count()),
                         format_bandwidth(spec.network.bandwidth),
                         format_duration(spec.network.latency), spec.description});
  }
  return list;
}

Listing list_profiles() {
  Listing list{{"name", "source", "device", "model", "uncertainty", "description"},
               {{"analytic", "analytic", "any GPU of 'list gpus'", "any", "13 % and more",
                 "computed from the laws of 'paceline fit'"}}};
  for (const std::string& name : shipped_profiles()) {
    const Profile profile = load_profile(name);
    list.rows.push_back({name, to_string(profile.source), profile.device, profile.model,
                         fmt::format("{:.0f} %", 100 * profile.uncertainty), profile.description});
  }
  return list;
}

Listing list_schedules() {
  Listing list{{"name", "title", "options", "paper"}, {}};
  for (const ScheduleEntry& entry : schedules())
    list.rows.push_back({entry.name, entry.title, entry.options, entry.paper});
  return list;
}

Listing list_experiments() {
  Listing list{{"name", "kind", "description"}, {}};
  for (const auto& [name, text] : shipped_experiments()) {
    const Json json = parse_json(text, name);
    list.rows.push_back(
        {name, json.contains("vary") ? "compare" : "run", json.value("description", "")});
  }
  for (const auto& [name, text] : shipped_studies())
    list.rows.push_back({name, "sweep", parse_json(text, name).value("description", "")});
  return list;
}

Listing list_measurements() {
  Listing list{{"name", "rows", "fitted on", "title", "source"}, {}};
  for (const PublishedSet& set : shipped_published()) {
    const auto training = std::count_if(set.rows.begin(), set.rows.end(),
                                        [](const PublishedRow& row) { return row.training; });
    list.rows.push_back({set.name, std::to_string(set.rows.size()), std::to_string(training),
                         set.title, set.source});
  }
  return list;
}

Listing list_gpus() {
  Listing list{
      {"name", "compute", "fp32", "tf32", "fp16", "memory", "bandwidth", "PCIe", "also called"},
      {}};
  const auto rate = [](double flops) {
    return flops > 0 ? fmt::format("{:.4g} TFLOP/s", flops / 1e12) : std::string("-");
  };
  for (const GpuSpec& gpu : gpus())
    list.rows.push_back({gpu.name,
                         gpu.cc_major > 0 ? fmt::format("{}.{}", gpu.cc_major, gpu.cc_minor) : "-",
                         rate(gpu.fp32_flops), rate(gpu.tf32_flops), rate(gpu.fp16_flops),
                         fmt::format("{:.4g} GiB", gpu.memory_bytes / (1 << 30)),
                         fmt::format("{:.4g} GB/s", gpu.memory_bandwidth / 1e9),
                         fmt::format("{}.0 x{}", gpu.pcie_generation, gpu.pcie_lanes),
                         fmt::format("{}", fmt::join(gpu.aliases, ", "))});
  return list;
}

Listing list_stacks() {
  Listing list{{"name", "constants", "description"}, {}};
  for (const std::string& name : shipped_stacks()) {
    const Stack stack = load_stack(name);
    std::size_t stated = 0;
    for (const StackField& field : stack_fields()) stated += (stack.*field.constant).stated();
    list.rows.push_back({name, std::to_string(stated), stack.description});
  }
  return list;
}

Listing list_defaults() {
  Listing list{{"name", "value", "unit", "meaning"}, {}};
  for (const Default* one : Default::all())
    list.rows.push_back({one->name(), fmt::format("{:.9g}", static_cast<double>(*one)), one->unit(),
                         one->meaning()});
  return list;
}

struct ListKind {
  const char* name;
  Listing (*list)();
};
constexpr ListKind kListKinds[] = {
    {"models", list_models},       {"clusters", list_clusters},
    {"stacks", list_stacks},       {"profiles", list_profiles},
    {"schedules", list_schedules}, {"experiments", list_experiments},
    {"gpus", list_gpus},           {"measurements", list_measurements},
    {"defaults", list_defaults}};

Listing listing(const std::string& kind) {
  std::vector<std::string> names;
  for (const ListKind& known : kListKinds) {
    if (kind == known.name) return known.list();
    names.emplace_back(known.name);
  }
  if (kind == "algorithms") return list_schedules();  // an older name
  throw InputError(unknown_name("list", kind, names));
}

struct ListOptions {
  std::string kind;
  OutputOptions output;
};

Json as_json(const Listing& list) {
  Json rows = Json::array();
  for (const auto& row : list.rows) {
    Json item;
    for (std::size_t i = 0; i < list.keys.size(); ++i) item[list.keys[i]] = row[i];
    rows.push_back(std::move(item));
  }
  return rows;
}

std::string as_csv(const Listing& list) {
  std::string text = csv_line(list.keys);
  for (const auto& row : list.rows) text += csv_line(row);
  return text;
}

std::string as_table(const Listing& list) {
  Table table;
  for (const std::string& key : list.keys) table.column(key);
  for (const auto& row : list.rows) table.row(row);
  return table.text(0, static_cast<std::size_t>(terminal().width));  // a pipe gets whole lines
}

void run(const ListOptions& options) {
  const Listing list = listing(options.kind);
  options.output.print({[&] { return as_table(list); }, [&] { return as_json(list); },
                        [&] { return as_csv(list); }});
}

}  // namespace

void add_list(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "list",
      "Names of models, clusters, stacks, profiles, schedules, experiments, gpus, measurements or "
      "defaults");
  command->footer(
      "Examples:\n  paceline list clusters\n  paceline list schedules\n  paceline list models "
      "--json");
  const auto options = std::make_shared<ListOptions>();
  command
      ->add_option(
          "kind", options->kind,
          "models, clusters, stacks, profiles, schedules, experiments, gpus, measurements or "
          "defaults: constants that nobody gives and that move results")
      ->required();
  options->output.add_to(*command, true);
  command->callback([options] { run(*options); });
}

}  // namespace paceline
