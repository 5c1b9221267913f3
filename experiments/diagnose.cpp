#include "experiments/diagnose.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "experiments/one_gpu.hpp"
#include "experiments/run.hpp"
#include "experiments/stack_fit.hpp"
#include "experiments/validate.hpp"

namespace paceline {
namespace {

const Default kHolds{"diagnose.holds", 0.03, "",
                     "relative error from which a prediction needs a suspect"};
const Default kWorthwhile{"diagnose.worthwhile", 0.01, "",
                          "share of the step that a remedy must save"};

using Change = void (*)(Experiment&);

void drop(Stack& stack, std::initializer_list<StackConstant Stack::*> constants) {
  const Stack ideal;
  for (const auto constant : constants) stack.*constant = ideal.*constant;
}

struct Cause {
  const char* name;
  Change without;
};

const Cause kCauses[] = {
    {"wire (bytes over the network)",
     [](Experiment& e) {
       e.cluster.network.bandwidth = kInfinity;
       for (NodeGroup& group : e.cluster.nodes) group.nic.reset();
       drop(e.stack, {&Stack::flow_bandwidth, &Stack::port_efficiency});
     }},
    {"latency of the network",
     [](Experiment& e) {
       NetworkSpec& network = e.cluster.network;
       network.latency = network.overhead = network.switch_latency = 0;
     }},
    {"PCIe and NVLink inside the nodes",
     [](Experiment& e) {
       for (NodeGroup& group : e.cluster.nodes) {
         group.pcie = LinkSpec{};
         if (group.nvlink) group.nvlink = LinkSpec{};
         group.bridge.reset();
         group.roots.reset();
       }
     }},
    {"software, per tensor and collective",
     [](Experiment& e) {
       drop(e.stack,
            {&Stack::compute_per_tensor, &Stack::compute_per_collective, &Stack::channel_per_tensor,
             &Stack::channel_per_collective, &Stack::negotiation_per_worker,
             &Stack::negotiation_cycle, &Stack::fusion_copy_bandwidth});
     }},
    {"staging over the host",
     [](Experiment& e) {
       drop(e.stack, {&Stack::staging_per_parameter, &Stack::staging_per_selected});
     }},
    {"computation slowed while sending",
     [](Experiment& e) {
       drop(e.stack, {&Stack::compute_lost_while_sending, &Stack::hidden_communication_stretch});
       for (JobDescription& job : e.jobs) job.slow_while_sending = 0;
     }},
    {"jitter and stragglers", [](Experiment& e) {
       e.jitter = {};
       e.cluster.stragglers.clear();
     }}};

struct Try {
  const char* what;
  Change change;
};

bool has_buckets(const Experiment& e) {
  return e.jobs.front().schedule.value("name", "") == "s-sgd";
}

const Try kTries[] = {
    {"merge tensors into buckets of 25 MiB (s-sgd:overlap=ddp)",
     [](Experiment& e) {
       if (has_buckets(e)) e.jobs.front().schedule = {{"name", "s-sgd"}, {"overlap", "ddp"}};
     }},
    {"merge tensors as MG-WFBP (s-sgd:overlap=mg-wfbp)",
     [](Experiment& e) {
       if (has_buckets(e)) e.jobs.front().schedule = {{"name", "s-sgd"}, {"overlap", "mg-wfbp"}};
     }},
    {"all-reduce in place of parameter servers",
     [](Experiment& e) {
       if (e.jobs.front().schedule.value("name", "").starts_with("ps-"))
         e.jobs.front().schedule = {{"name", "s-sgd"}, {"overlap", "ddp"}};
     }},
    {"send gradients in fp16 (wire: fp16)",
     [](Experiment& e) {
       e.jobs.front().wire = "fp16";
       e.jobs.front().payload_bits = 16;
     }},
    {"hierarchical all-reduce",
     [](Experiment& e) {
       const bool several = std::any_of(e.cluster.nodes.begin(), e.cluster.nodes.end(),
                                        [](const NodeGroup& group) { return group.gpus > 1; });
       if (several && e.jobs.front().gpus.size() > e.cluster.nodes.front().gpus)
         e.jobs.front().all_reduce.algorithm = all_reduce_from_name("hierarchical");
     }},
    {"twice the batch per GPU by two micro-batches (per sample)",
     [](Experiment& e) { e.jobs.front().accumulation *= 2; }},
    {"a network of four times the bandwidth",
     [](Experiment& e) { e.cluster.network.bandwidth *= 4; }},
    {"latency of RDMA (3 us)", [](Experiment& e) {
       NetworkSpec& network = e.cluster.network;
       network.latency = std::min(network.latency, 3e-6);
       network.overhead = std::min(network.overhead, 1e-6);
     }}};

// Seconds of a step of as many samples as `like` has.
double step_of(const Experiment& experiment, const Experiment& like) {
  const double samples = static_cast<double>(experiment.jobs.front().accumulation) /
                         static_cast<double>(like.jobs.front().accumulation);
  return run_alone(experiment, {.uncertainty = false}).job.iteration_time_s / samples;
}

Experiment changed(Experiment experiment, Change change) {
  change(experiment);
  return experiment;
}

std::vector<double> steps_of(const std::vector<Experiment>& experiments, const Experiment& like,
                             unsigned parallel) {
  std::vector<std::function<Json()>> tasks;
  for (const Experiment& experiment : experiments)
    tasks.push_back([&experiment, &like] { return Json(step_of(experiment, like)); });
  std::vector<double> steps;
  for (const Json& step : run_isolated(tasks, parallel)) steps.push_back(step.get<double>());
  return steps;
}

DiagnosedPoint diagnosed(const PublishedRow& row, const Experiment& experiment, unsigned parallel) {
  std::vector<Experiment> experiments;
  for (const Cause& cause : kCauses) experiments.push_back(changed(experiment, cause.without));
  const std::vector<double> without = steps_of(experiments, experiment, parallel);
  const Replay whole = replay(row);
  DiagnosedPoint point{row.name, row.measured_s, whole.predicted_s, whole.one_gpu_s, {}};
  for (std::size_t i = 0; i < without.size(); ++i)
    if (const double gain = whole.predicted_s - without[i]; gain > 1e-4 * whole.predicted_s)
      point.shares.push_back({kCauses[i].name, gain});
  std::sort(point.shares.begin(), point.shares.end(),
            [](const LossShare& a, const LossShare& b) { return a.gain_s > b.gain_s; });
  return point;
}

// Every constant alone, fitted to the points.
std::vector<Suspect> suspects_of(const std::vector<PublishedRow>& rows, const Stack& stack,
                                 unsigned parallel) {
  std::vector<Suspect> suspects;
  for (const StackField& field : stack_fields()) {
    if (field.constant == &Stack::step_jitter) continue;  // needs long runs
    if (!can_be_fitted(field)) continue;
    StackFitSettings settings{{std::string(field.key)}, parallel, {}};
    const StackFit fit = fit_stack(rows, stack, settings);
    const FittedConstant& constant = fit.constants.front();
    if (fit.error_after < 0.7 * fit.error_before)
      suspects.push_back({constant.key, constant.value, fit.error_after});
  }
  std::sort(suspects.begin(), suspects.end(),
            [](const Suspect& a, const Suspect& b) { return a.error < b.error; });
  return suspects;
}

std::vector<Remedy> remedies_of(const Experiment& experiment, double step_s, unsigned parallel) {
  std::vector<Experiment> experiments;
  for (const Try& attempt : kTries) experiments.push_back(changed(experiment, attempt.change));
  const std::vector<double> steps = steps_of(experiments, experiment, parallel);
  std::vector<Remedy> remedies;
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i] < (1 - kWorthwhile) * step_s) remedies.push_back({kTries[i].what, steps[i]});
  std::sort(remedies.begin(), remedies.end(),
            [](const Remedy& a, const Remedy& b) { return a.step_s < b.step_s; });
  return remedies;
}

}  // namespace

Diagnosis diagnose(const std::vector<PublishedRow>& rows, unsigned parallel) {
  Diagnosis diagnosis;
  double error = 0;
  Experiment last;
  for (const PublishedRow& row : rows) {
    last = read_experiment(row.experiment, row.id());
    diagnosis.points.push_back(diagnosed(row, last, parallel));
    const DiagnosedPoint& point = diagnosis.points.back();
    error += std::abs(point.predicted_s / point.measured_s - 1) / static_cast<double>(rows.size());
  }
  if (error > kHolds) diagnosis.suspects = suspects_of(rows, last.stack, parallel);
  diagnosis.remedies = remedies_of(last, diagnosis.points.back().predicted_s, parallel);
  return diagnosis;
}

PublishedRow measured_point(const std::string& text, const Json& experiment) {
  const auto wrong = [&] {
    return InputError(
        fmt::format("--measured '{}': expected GPUs and a rate or a step, \"8 GPUs: 1400/s\" or "
                    "\"8: 182ms\"",
                    text));
  };
  const auto colon = text.find(':');
  if (colon == std::string::npos) throw wrong();
  std::int64_t gpus = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + colon, gpus);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + colon - end));
  if (failed != std::errc{} || gpus < 1 || (!unit.empty() && unit != " GPUs" && unit != " GPU"))
    throw wrong();
  const std::string value = text.substr(text.find_first_not_of(' ', colon + 1));
  const auto time = OneGpuTime::from_text(value);
  if (!time) throw wrong();
  PublishedRow row;
  row.set = "measured";
  row.series = experiment.value("name", "job");
  row.name = fmt::format("{} GPU{}", gpus, gpus == 1 ? "" : "s");
  row.gpus = gpus;
  row.experiment = experiment;
  row.experiment["gpus"] = fmt::format("0-{}", gpus - 1);
  const Experiment read = read_experiment(row.experiment, "command line");
  const JobDescription& job = read.jobs.front();
  if (value.ends_with("/s") && !job.batch)
    throw InputError("samples per second need the batch per GPU (--batch)");
  row.measured_s = time->step_s(gpus * job.batch.value_or(1) * job.accumulation);
  return row;
}

}  // namespace paceline
