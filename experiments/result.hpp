#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "calibrate/profile/assumption.hpp"
#include "sim/job_figures.hpp"
#include "sim/link_use.hpp"
#include "sim/network/engine.hpp"
#include "sim/training_log.hpp"

namespace paceline {

/// Where one iteration goes, mean over the workers, in seconds; the fields add up to the iteration.
struct TimeSplit {
  double forward_s = 0;  ///< with the input pipeline
  double backward_s = 0;
  double update_s = 0;
  double sparsification_s = 0;  ///< selection, scatter, quantisation
  double arithmetic_s = 0;      ///< other operations of the schedule on the compute stream
  double software_s = 0;        ///< the host's work for communication, computation waiting
  double exposed_communication_s = 0;
  double exposed_copies_s = 0;  ///< between host and device, and on the host
  double waiting_s = 0;         ///< for other workers or the server

  [[nodiscard]] double compute_s() const { return forward_s + backward_s; }
  [[nodiscard]] double total_s() const {
    return forward_s + backward_s + update_s + sparsification_s + arithmetic_s + software_s +
           exposed_communication_s + exposed_copies_s + waiting_s;
  }
};

/// How much of the communication the computation hides, mean over the workers, in seconds an iteration.
struct Overlap {
  double compute_s = 0;  ///< the compute stream is busy, with whatever
  double communication_s =
      0;                ///< on the wire, in collectives or with servers; side by side counts once
  double active_s = 0;  ///< either of both
  /// (compute + communication - active) / communication; absent where nothing is sent.
  std::optional<double> efficiency;
  double hidden_by_forward_s = 0, hidden_by_backward_s = 0;
  double hidden_by_rest_s = 0;  ///< update, sparsification, arithmetic and software
};

/// One layer in a cycle of the schedule, on the first worker; dates from the cycle's begin, those of the
/// passes of its first step. Absent: it does not do that.
struct LayerRow {
  std::string layer;
  std::int64_t elements = 0;
  std::optional<double> forward_from_s, forward_until_s, backward_from_s, backward_until_s;
  std::optional<double> sent_from_s, sent_until_s;  ///< by the collectives that begin in the cycle
  double sent_bytes = 0;                            ///< of those collectives
  double exposed_s = 0;                             ///< on the wire and nothing computed meanwhile
};
struct LayerTable {
  std::int64_t steps = 0;  ///< of the cycle
  double seconds = 0;      ///< of the cycle
  std::vector<LayerRow> layers;
};

/// What the whole cluster costs, by the prices of its file; dollars, or another currency of theirs.
struct Cost {
  double dollars_per_hour = 0;
  double dollars_per_iteration = 0;
  std::optional<double> samples_per_dollar;
  std::optional<double> dollars_to_target;  ///< of a training that has reached it
};

/// What the whole cluster draws, by the powers of its file.
struct Energy {
  double watts = 0;                               ///< mean over the measured part
  double gpus_j = 0, nodes_j = 0, network_j = 0;  ///< an iteration
  double joules_per_iteration = 0;
  std::optional<double> samples_per_joule;
  std::optional<double> joules_to_target;
};

/// What no run with these costs can beat; a simulated value below it is our bug.
struct Floor {
  std::string name;  ///< "compute", "wire"
  double iteration_s = 0;
  std::string made_of;
};

/// A paper's formula for this run, and whether the simulated value is better than it says.
struct EvaluatedBound {
  std::string name, formula, source;
  std::optional<double> iteration_s;
  std::optional<double> speedup;
  std::string over;               ///< what `speedup` refers to
  std::optional<bool> exceeded;   ///< absent: not compared
  std::optional<bool> reference;  ///< true: of another way to run it, never exceeded
};

/// Of one GPU, by the law of docs/memory.md.
struct MemoryUse {
  std::string gpu;
  double card_bytes = 0;
  double weights_bytes = 0;
  double gradients_bytes = 0;
  double optimizer_bytes = 0;
  double activations_bytes = 0;
  double schedule_bytes = 0;              ///< copies and whole units that the schedule keeps
  std::optional<double> framework_bytes;  ///< context, copies of its own; absent in older results

  [[nodiscard]] double total_bytes() const {
    return weights_bytes + gradients_bytes + optimizer_bytes + activations_bytes + schedule_bytes +
           framework_bytes.value_or(0);
  }
};

struct ProfileUse {
  std::string gpu;  ///< of the cluster
  std::size_t workers = 0;
  std::string source;
  std::string description;
  double relative_uncertainty = 0;
  double step_s = 0;  ///< forward, backward, host overhead and input of one micro-batch
};

/// What the workers did not send of one group of tensors in one step; docs/result.md has the
/// formulas.
struct CompressionPoint {
  std::int64_t step = 0;
  std::string layer;
  std::int64_t elements = 0;
  double selected = 0;  ///< entries sent by a worker; 0: not a selection
  double residual_norm = 0;
  double error = 0;
  std::optional<double> delta;  ///< of LAGS' assumption, which holds while <= 1
};

/// A training on real values.
struct TrainingOutcome {
  std::string data, sharding, backend;
  std::string weights;      ///< which were evaluated
  double memory_bytes = 0;  ///< of this machine, at least
  std::optional<double> final_training_loss;
  std::optional<double> final_loss, final_accuracy, final_spread;  ///< of the last evaluation
  std::optional<double> target;                                    ///< accuracy
  std::optional<double> time_to_target_s;  ///< the first evaluation that reached it
  std::optional<std::int64_t> steps_to_target;
  std::optional<std::int64_t> diverged_step, diverged_worker;  ///< as of TrainingLog
  /// Updates between the weights a gradient was computed at and those it went into.
  std::optional<double> staleness_mean;
  std::optional<std::int64_t> staleness_max;
  std::optional<std::vector<CompressionPoint>> compression;  ///< of a schedule that compresses
  std::vector<LossPoint> steps;
  std::vector<EvaluationPoint> evaluations;
};

/// An input that is not known exactly, and what one standard deviation of it does.
struct Influence {
  std::string input;    ///< "computation", "network bandwidth", "stack: flow_bandwidth"
  double sigma = 0;     ///< over the value
  double change_s = 0;  ///< of the iteration, with the input that much slower
};

/// What is known of a job before it runs, and stands in its result as it is.
struct JobRecord {
  std::string name;
  std::string model;
  std::string schedule;
  std::string schedule_description;
  std::size_t servers = 0;
  std::optional<std::int64_t> batch;
  std::int64_t accumulation = 1;
  std::string precision;
  std::string all_reduce;
  std::string top_k;
  std::string rounds_formula;
  double one_gpu_time_s = 0;            ///< the same samples of one worker on one GPU (the fastest)
  std::vector<ProfileUse> profiles;     ///< one per kind of GPU
  std::vector<MemoryUse> memory;        ///< one per kind of GPU; empty if the batch is not known
  std::vector<Assumption> assumptions;  ///< that may move the result, each once
};

/// One job of a run: what was known before, what the simulation said, and what follows from both.
struct JobOutcome : JobRecord, JobFigures {
  bool spread = false;  ///< iterations differ (jitter, disturbances): the quartiles say something
  double uncertainty_s = 0;  ///< one sigma of the iteration: the influences, linearly propagated
  std::vector<Influence> influences;
  std::int64_t extrapolated_steps = 0;
  TimeSplit time;
  std::optional<Overlap> overlap;  ///< absent in results of older versions
  double speedup_over_one_gpu = 0;
  double scaling_efficiency = 0;              ///< over the sum of the GPUs' speeds
  std::optional<std::string> s_sgd_baseline;  ///< which S-SGD: "s-sgd:overlap=ddp"
  std::optional<double> s_sgd_time_s, speedup_over_s_sgd;
  std::optional<double> samples_per_s;
  std::string message_sizes;  ///< "fixed", "expected" or "actual"
  std::vector<Floor> floors;
  std::vector<EvaluatedBound> bounds;
  std::optional<TrainingOutcome> training;
};

/// RunResult::fidelity of what was measured on real ranks (mpi/).
inline constexpr const char* kMeasured = "measured";

/// What a run answers. to_json() has the fields of the first job at its top level.
struct RunResult {
  std::string name;
  JobOutcome job;
  std::vector<JobOutcome> other_jobs;
  std::string cluster;
  std::string stack, stack_description;  ///< of the software
  std::string fidelity, fidelity_reason;
  std::string network = kNoNetwork;  ///< the engine of shared links
  double flow_error_bound = 0;
  std::uint64_t ignored_conflicts = 0;
  std::uint64_t events = 0;
  std::vector<LinkUse> links;        ///< the busiest ones
  std::optional<LayerTable> layers;  ///< where it was asked for
  std::optional<Cost> cost;          ///< of a cluster with prices
  std::optional<Energy> energy;      ///< of a cluster whose power is known
  std::vector<std::string> warnings;
  std::uint64_t seed = 0;
  std::string version;
  Json experiment;  ///< resolved: run it again from this
};

/// "format": "paceline-result-1"; docs/result.md lists the fields. Byte for byte the same for the
/// same input and version.
Json to_json(const RunResult& result);
/// The inverse, for what to_json wrote. Throws InputError.
RunResult result_from_json(const Json& json, const std::string& file);

}  // namespace paceline
