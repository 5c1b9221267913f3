#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "algorithms/registry.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/profile/profile.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "commands.hpp"
#include "disturbances.hpp"
#include "experiments/compare.hpp"
#include "experiments/experiment.hpp"
#include "experiments/shipped.hpp"
#include "models/hugging_face.hpp"
#include "models/model_file.hpp"
#include "models/model_options.hpp"
#include "models/zoo.hpp"
#include "options.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/gpus.hpp"
#include "platforms/stack_file.hpp"
#include "report.hpp"
#include "sim/network/network.hpp"
#include "table.hpp"

namespace paceline {
namespace {

using Align = Table::Align;

struct ShowOptions {
  std::string kind, name;
  std::vector<std::string> set;
  OutputOptions output;
};

bool is_path(const std::string& name) {
  return name.ends_with(".json") || name.find('/') != std::string::npos;
}

std::string model_table(const Model& model) {
  Table table;
  table.column("operation");
  table.column("kind");
  table.column("output");
  for (const char* header : {"parameters", "forward MFLOP", "backward MFLOP"})
    table.column(header, Align::right);
  for (const Operation& operation : model.operations())
    table.row(
        {operation.name, to_string(operation.kind()), shape_text(operation.output_shape),
         fmt::format("{}", operation.parameter_elements()),
         fmt::format("{:.2f}", operation.forward_flops / 1e6),
         fmt::format("{:.2f}",
                     (operation.backward_data_flops + operation.backward_weight_flops) / 1e6)});
  return fmt::format(
      "{}: {} parameters in {} tensors; forward {} FLOP, backward {} FLOP per sample\n{}\n\n{}",
      model.title().empty() ? model.name() : model.title(), model.parameters(),
      model.tensors().size(), format_count(model.forward_flops()),
      format_count(model.backward_flops()), model.notes(), table.text());
}

void show_model(const ShowOptions& options) {
  const Model model = find_model(options.name);
  options.output.print({[&] { return model_table(model); }, [&] { return write_model(model); }});
}

// Between GPUs: every kind of way, how many pairs take it, alpha and B.
Table ways(const Cluster& cluster) {
  constexpr std::size_t kMostGpus = 256;  // enough to meet every kind of way
  const std::size_t gpus = std::min(cluster.gpus(), kMostGpus);
  struct Way {
    std::size_t pairs = 0;
    std::string example;
  };
  std::map<std::tuple<bool, double, double, std::size_t>, Way> kinds;
  Route route;
  for (Endpoint from = 0; from < gpus; ++from)
    for (Endpoint to = 0; to < gpus; ++to) {
      if (from == to) continue;
      route = {};
      cluster.route(from, to, route);
      Way& way = kinds[{cluster.node_of(from) != cluster.node_of(to), route.latency,
                        cluster.bandwidth(route), route.links.size()}];
      if (++way.pairs == 1)
        way.example =
            fmt::format("{} to {}", cluster.endpoint_name(from), cluster.endpoint_name(to));
    }
  Table table;
  for (const char* header : {"from GPU to GPU", "pairs", "alpha", "B", "links", "example"})
    table.column(header);
  for (const auto& [key, way] : kinds) {
    const auto& [other_node, alpha, bandwidth, links] = key;
    table.row({other_node ? "of another node" : "of the same node", std::to_string(way.pairs),
               format_duration(alpha), format_bandwidth(bandwidth), std::to_string(links),
               way.example});
  }
  return table;
}

// A platform file brings links of its own: there is no port, and no bisection is computed.
std::string network_text(const ClusterSpec& spec, const Cluster& cluster) {
  std::string text;
  if (!spec.network.topology.platform_file().empty())
    return fmt::format(" {}: {} links", spec.network.topology.platform_file(),
                       cluster.links().size());
  text += fmt::format(", {} per port", format_bandwidth(spec.network.bandwidth));
  if (const double bisection = cluster.bisection_bandwidth(); std::isfinite(bisection))
    text += fmt::format(", bisection {}", format_bandwidth(bisection));
  return text;
}

std::string cluster_table(const ClusterSpec& spec) {
  const Cluster cluster = build_cluster(spec);
  std::string text =
      fmt::format("{}{}\n{} GPUs in {} nodes, {}{}\n", spec.name,
                  spec.description.empty() ? "" : ": " + spec.description, cluster.gpus(),
                  cluster.nodes(), spec.network.topology.kind(), network_text(spec, cluster));
  for (const std::string& line : disturbances(spec, spec.jitter))
    text += "disturbed: " + line + '\n';
  text += '\n';
  Table groups;
  for (const char* header : {"nodes", "count", "GPUs each", "GPU", "speed", "memory"})
    groups.column(header);
  std::size_t gpu = 0;
  for (const NodeGroup& group : spec.nodes) {
    groups.row({group.name, std::to_string(group.count), std::to_string(group.gpus), group.gpu,
                fmt::format("{:g}", group.speed),
                group.gpus > 0 ? format_bytes(cluster.device(gpu).memory_bytes()) : ""});
    gpu += group.count * group.gpus;
  }
  text += groups.text() + '\n' + ways(cluster).text();
  if (!spec.sources.empty()) text += "\nsources\n";
  for (const auto& [subject, source] : spec.sources)
    text += fmt::format("  {}: {}\n", subject, source);
  return text;
}

void show_cluster(const ShowOptions& options) {
  const ClusterSpec spec = load_cluster_spec(options.name, options.set);
  options.output.print({[&] { return cluster_table(spec); }, [&] { return write_cluster(spec); }});
}

std::string stack_table(const Stack& stack) {
  std::string text = fmt::format("{}: {}\n\n", stack.name, stack.description);
  Table table;
  for (const char* header : {"constant", "value", "+-", "what it does"}) table.column(header);
  std::string sources;
  for (const StackField& field : stack_fields()) {
    const StackConstant& constant = stack.*field.constant;
    if (!constant.stated()) continue;
    table.row({std::string(field.key), format_stack_value(field, constant.value),
               fmt::format("{:.0f} %", 100 * constant.uncertainty), std::string(field.meaning)});
    sources += fmt::format("  {}: {}\n", field.key, constant.source);
  }
  return sources.empty() ? text : text + table.text() + "\nsources\n" + sources;
}

void show_stack(const ShowOptions& options) {
  const Stack stack = load_stack(options.name, options.set);
  options.output.print({[&] { return stack_table(stack); }, [&] { return write_stack(stack); }});
}

std::string profile_table(const Profile& profile) {
  std::string text = fmt::format("{}: {} on {}, {}\n{}\nsigma {:.0f} % of a step\n\n",
                                 to_string(profile.source), profile.model, profile.device,
                                 profile.precision, profile.description, 100 * profile.uncertainty);
  Table table;
  for (const char* header : {"batch", "forward", "backward", "layers"})
    table.column(header, Align::right);
  for (const BatchTimes& times : profile.batches) {
    std::string forward = "?", backward = "?";
    try {
      const StepCosts costs =
          step_costs(make_model(profile.model), profile, times.batch.value_or(1));
      forward = format_duration(costs.forward_s());
      backward = format_duration(costs.backward_s());
    } catch (const InputError&) {  // of a model that is not shipped
    }
    table.row({times.batch ? std::to_string(*times.batch) : "not stated", forward, backward,
               times.layers.empty() ? "whole net" : std::to_string(times.layers.size())});
  }
  return text + table.text();
}

void show_profile(const ShowOptions& options) {
  const Profile profile = load_profile(options.name);
  options.output.print(
      {[&] { return profile_table(profile); }, [&] { return profile_json(profile); }});
}

void show_algorithm(const ShowOptions& options) {
  const ScheduleEntry& entry = find_schedule(options.name);
  const auto table = [&] {
    return fmt::format("{}: {}\n\noptions  {}\npaper    {}\n", entry.name, entry.title,
                       entry.options, entry.paper);
  };
  const auto json = [&] {
    return Json{{"name", entry.name},
                {"title", entry.title},
                {"options", entry.options},
                {"paper", entry.paper}};
  };
  options.output.print({table, json});
}

void show_experiment(const ShowOptions& options) {
  const Json json = load_experiment(options.name).json;
  options.output.print({[&] { return json.dump(2) + '\n'; }, [&] { return json; }});
}

void show_gpu(const ShowOptions& options) {
  const GpuSpec& gpu = find_gpu(options.name);
  const Json json{{"name", gpu.name},
                  {"aliases", gpu.aliases},
                  {"compute_capability", fmt::format("{}.{}", gpu.cc_major, gpu.cc_minor)},
                  {"sms", gpu.sms},
                  {"boost_hz", gpu.boost_hz},
                  {"fp32_flops", gpu.fp32_flops},
                  {"tf32_flops", gpu.tf32_flops},
                  {"fp16_flops", gpu.fp16_flops},
                  {"bf16_flops", gpu.bf16_flops},
                  {"memory_bytes", gpu.memory_bytes},
                  {"memory_bandwidth", gpu.memory_bandwidth},
                  {"l2_bytes", gpu.l2_bytes},
                  {"pcie", {{"generation", gpu.pcie_generation}, {"lanes", gpu.pcie_lanes}}},
                  {"nvlink_bandwidth", gpu.nvlink_bandwidth},
                  {"watts", gpu.watts},
                  {"source", gpu.source}};
  const auto table = [&] {
    std::string text;
    for (const auto& [key, value] : json.items())
      text += fmt::format("{:<20}{}\n", key,
                          value.is_string() ? value.get<std::string>() : value.dump());
    return text;
  };
  options.output.print({table, [&] { return json; }});
}

void show_result(const ShowOptions& options) {
  const RunResult result = result_from_json(load_json(options.name), options.name);
  const auto table = [&] {
    const Experiment experiment = read_experiment(result.experiment, options.name);
    return run_report(result, disturbances(experiment.cluster, experiment.jitter));
  };
  options.output.print({table, [&] { return to_json(result); }});
}

void show_comparison(const ShowOptions& options) {
  const Comparison comparison = comparison_from_json(load_json(options.name), options.name);
  options.output.print({[&] { return comparison_report(comparison); },
                        [&] { return to_json(comparison); },
                        [&] { return comparison_csv(comparison); }});
}

struct Kind {
  const char* name;
  void (*show)(const ShowOptions&);
  bool (*has)(const std::string&);
};

template <class Names>
bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// In any spelling, by its aliases, and with options.
bool is_model(const std::string& name) {
  try {
    (void)make_model(split_options(name).name);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

bool is_no_name(const std::string&) {
  return false;
}

const Kind kKinds[] = {
    {"result", show_result, is_no_name},
    {"comparison", show_comparison, is_no_name},
    {"model", show_model, [](const std::string& n) { return is_model(n); }},
    {"cluster", show_cluster, [](const std::string& n) { return contains(shipped_clusters(), n); }},
    {"stack", show_stack, [](const std::string& n) { return contains(shipped_stacks(), n); }},
    {"profile", show_profile, [](const std::string& n) { return contains(shipped_profiles(), n); }},
    {"algorithm", show_algorithm,
     [](const std::string& n) {
       for (const ScheduleEntry& entry : schedules())
         if (entry.name == n) return true;
       return false;
     }},
    {"experiment", show_experiment,
     [](const std::string& n) { return shipped_experiments().contains(n); }},
    {"gpu", show_gpu, [](const std::string& n) {
       return known_gpu(n) != nullptr;  // in any case, and by its aliases
     }}};

// The kind of a file, from its "format".
std::string format_kind(const std::string& path) {
  const Json json = load_json(path);
  if (is_hugging_face_config(json)) return "model";
  const std::string format =
      json.is_object() && json.contains("format") && json["format"].is_string()
          ? json["format"].get<std::string>()
          : "";
  for (const Kind& kind : kKinds)
    if (format.starts_with(fmt::format("paceline-{}-", kind.name))) return kind.name;
  throw InputError(fmt::format("{}: $.format: '{}' is nothing that can be shown", path, format));
}

const Kind& kind_of(const ShowOptions& options) {
  std::vector<std::string> kinds, found, names;
  for (const Kind& kind : kKinds) kinds.emplace_back(kind.name);
  std::string wanted = options.kind;
  if (wanted.empty() && is_path(options.name)) wanted = format_kind(options.name);
  for (const Kind& kind : kKinds) {
    if (wanted == kind.name) return kind;
    if (wanted.empty() && kind.has(options.name)) found.emplace_back(kind.name);
  }
  if (!wanted.empty()) throw InputError(unknown_name("kind", wanted, kinds));
  if (found.size() > 1)
    throw InputError(
        fmt::format("'{}' is the name of several things: use 'paceline show {} {}' or "
                    "'paceline show {} {}'",
                    options.name, found[0], options.name, found[1], options.name));
  if (found.size() == 1)
    for (const Kind& kind : kKinds)
      if (found.front() == kind.name) return kind;
  for (const std::string& name : model_names()) names.push_back(name);
  for (const std::string& name : shipped_clusters()) names.push_back(name);
  for (const std::string& name : shipped_stacks()) names.push_back(name);
  for (const std::string& name : shipped_profiles()) names.push_back(name);
  for (const ScheduleEntry& entry : schedules()) names.push_back(entry.name);
  for (const auto& [name, text] : shipped_experiments()) names.push_back(name);
  for (const std::string& name : gpu_names()) names.push_back(name);
  const std::string near = nearest_name(options.name, names);
  throw InputError(fmt::format("nothing is called '{}'{} (see 'paceline list')", options.name,
                               near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

}  // namespace

void add_show(CLI::App& app) {
  CLI::App* command = app.add_subcommand("show",
                                         "One model, cluster, stack, profile, algorithm, "
                                         "experiment or GPU, or a saved result or comparison");
  command->footer(
      "Examples:\n"
      "  paceline show resnet50\n"
      "  paceline show 4x4-1080ti-10gbe --set network.bandwidth=25Gbps\n"
      "  paceline show profile reference-wfbp\n"
      "  paceline show saved.json --csv\n"
      "  paceline show cluster 16x1-1080ti-1gbe --json > mine.json");
  const auto options = std::make_shared<ShowOptions>();
  const auto words = std::make_shared<std::vector<std::string>>();
  command
      ->add_option("what", *words, "[KIND] NAME, or a file; KIND where a name stands for several")
      ->required()
      ->expected(1, 2);
  command->add_option("--set", options->set,
                      "override a field of a cluster or a constant of a stack");
  options->output.add_to(*command, true);
  command->callback([options, words] {
    options->name = words->back();
    if (words->size() == 2) options->kind = words->front();
    const Kind& kind = kind_of(*options);
    if (!options->set.empty() && std::string_view(kind.name) != "cluster")
      throw InputError(fmt::format(
          "--set is of clusters, and '{}' is a{} {}", options->name,
          std::string_view("aeiou").find(kind.name[0]) != std::string_view::npos ? "n" : "",
          kind.name));
    kind.show(*options);
  });
}

}  // namespace paceline
