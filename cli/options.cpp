#include "options.hpp"
#include "base/json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <charconv>
#include <set>
#include <type_traits>

#include "base/error.hpp"
#include "calibrate/profile/precision.hpp"
#include "experiments/axes.hpp"
#include "experiments/one_gpu.hpp"
#include "sim/network/collectives/plan.hpp"
#include "table.hpp"

namespace paceline {

ExperimentOptions::ExperimentOptions(CLI::App& command) {
  command.add_option("experiment", file_,
                     "experiment file, result file, or name of a shipped experiment");
  const auto flag = [&](const char* name, auto& value, const std::string& help) {
    CLI::Option* option = command.add_option(name, value, help);
    option->group("Experiment (overrides the file)");
    if constexpr (std::is_same_v<decltype(value), std::optional<std::int64_t>&>)
      option->transform(whole_number());
  };
  flag("-m,--model", model_,
       "model: a name ('paceline list models') or a file, and options: bert-large:seq=64");
  flag("-b,--batch", batch_, "samples per GPU and micro-batch");
  flag("-c,--cluster", cluster_, "cluster: a name ('paceline list clusters') or a file");
  flag("--gpu-spec", gpu_,
       "GPU in every node of the cluster: a name ('paceline list gpus'), a file, or JSON");
  flag("--stack", stack_, "software: a name ('paceline list stacks') or a file (ideal)");
  flag("--set", set_,
       "override a field of the cluster (network.bandwidth=25Gbps) or stack (stack.KEY=VALUE)");
  flag("-s,--schedule", schedule_, "schedule and options: NAME[:KEY=VALUE]... (s-sgd)");
  flag("-p,--profile", profile_, "times: analytic, a shipped profile, or a file (analytic)");
  flag("--one-gpu", one_gpu_, "times: samples per second of one GPU, as measured: 253/s");
  flag("--step", step_, "times: a whole step of one GPU, update included, as measured: 163ms");
  flag("--all-reduce", all_reduce_,
       fmt::format("{} (ring); double_binary_tree:chunks=N", fmt::join(all_reduce_names(), ", ")));
  flag("--precision", precision_,
       fmt::format("what a step computes in: {} (fp32)", fmt::join(precision_names(), ", ")));
  flag("--wire", wire_, "gradients on the wire: fp32, fp16 or bf16 (what they are computed in)");
  flag("--accumulation", accumulation_, "micro-batches per step (1)");
  flag("--optimizer", optimizer_, "sgd, momentum or adam (momentum)");
  flag("--recompute", recompute_,
       "activations computed again in the backward pass: none, selective, full (none)");
  flag("--top-k", top_k_, "cost model of selection (the profile's)");
  flag("--gpus", gpus_, "GPUs that train: 0-7 (all)");
  flag("--servers", servers_, "number of parameter servers (all hosts that may be one)");
  flag("--batch-split", batch_split_, "equal, or proportional to the GPUs' speed (equal)");
  flag("--slow-while-sending", slow_while_sending_, "share of compute lost while on the wire (0)");
  flag("--jitter", jitter_, "spread of compute: lognormal:0.1, normal:CV, gamma:CV, profile, none");
  flag("--seed", seed_, "of the jitter (1)");
  flag("--steps", steps_, "iterations (100, in whole cycles of the schedule)");
  flag("--fidelity", fidelity_, "of the network: auto, closed, flow or step (auto)");
  flag("--network", network_,
       "what solves shared links at flow and step: flat, simgrid or auto, which is flat (auto)");
  flag("--baseline", baseline_,
       "S-SGD that \"x S-SGD\" is over: a merging rule, s-sgd:KEY=VALUE..., best or none (ddp)");
  command
      .add_flag("--no-extrapolation", no_extrapolation_,
                "simulate every iteration, also of a steady state")
      ->group("Experiment (overrides the file)");
  add_training_flags(command);
}

void ExperimentOptions::put_one_gpu(Json& job) const {
  if (profile_.has_value() + one_gpu_.has_value() + step_.has_value() > 1)
    throw InputError("--profile, --one-gpu and --step: expected one of them");
  for (const auto& [name, value] : {std::pair("--one-gpu", one_gpu_), std::pair("--step", step_)}) {
    if (!value) continue;
    if (!OneGpuTime::from_text(*value))
      throw InputError(fmt::format(
          "{} '{}': expected samples per second, 253/s, or a whole step, 163ms", name, *value));
    job["profile"] = *value;
  }
}

ExperimentText ExperimentOptions::text() const {
  ExperimentText found{Json{{"format", "paceline-experiment-1"}}, "command line"};
  if (!file_.empty()) found = load_experiment(file_);
  override(found.json);
  return found;
}

void ExperimentOptions::override(Json& json) const {
  if (!json.is_object()) return;  // the reader says what is wrong
  // A result's experiment has its jobs in a list: the flags speak of the first.
  Json& job = json.contains("jobs") && json["jobs"].is_array() && !json["jobs"].empty() &&
                      json["jobs"][0].is_object()
                  ? json["jobs"][0]
                  : json;
  put(job, "model", model_);
  put(job, "batch", batch_);
  put(job, "precision", precision_);
  put(job, "wire", wire_);
  put(job, "accumulation", accumulation_);
  put(job, "profile", profile_);
  put_one_gpu(job);
  if (schedule_) job["schedule"] = schedule_from_option(*schedule_);
  if (all_reduce_) job["all_reduce"] = all_reduce_from_option(*all_reduce_);
  put(job, "optimizer", optimizer_);
  put(job, "recompute", recompute_);
  put(job, "top_k", top_k_);
  put(job, "gpus", gpus_);
  put(job, "servers", servers_);
  put(job, "batch_split", batch_split_);
  put(job, "slow_while_sending", slow_while_sending_);
  put(job, "steps", steps_);
  put_training(job);
  put(json, "cluster", cluster_);
  put(json, "stack", stack_);
  if (gpu_) json["gpu"] = gpu_->starts_with('{') ? parse_json(*gpu_, "--gpu-spec") : Json(*gpu_);
  if (jitter_) json["jitter"] = jitter_from_option(*jitter_);
  put(json, "seed", seed_);
  put(json, "fidelity", fidelity_);
  put(json, "network", network_);
  put(json, "baseline", baseline_);
  if (no_extrapolation_) json["extrapolate"] = false;
  std::set<std::string> paths;
  for (const std::string& assignment : set_) {
    const std::string path = assignment.substr(0, assignment.find('='));
    if (!paths.insert(path).second)
      throw InputError(fmt::format("--set {}: '{}' is given twice", assignment, path));
    json["set"].push_back(assignment);
  }
}

const CLI::Validator& whole_number() {
  static const CLI::Validator validator(
      [](std::string& text) -> std::string {
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error == std::errc::result_out_of_range)
          return fmt::format("{} is beyond the range of whole numbers, {} to {}", text, INT64_MIN,
                             INT64_MAX);
        if (error != std::errc{} || end != text.data() + text.size())
          return fmt::format("expected a whole number, found '{}'", text);
        text = fmt::format("{}", value);
        return "";
      },
      "");
  return validator;
}

void add_progress_flag(CLI::App& command) {
  command.add_flag_callback("--progress", ask_for_progress,
                            "also without a terminal: a line on stderr every 5 s");
}

}  // namespace paceline
