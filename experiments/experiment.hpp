#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/worker.hpp"
#include "base/json.hpp"
#include "calibrate/profile/precision.hpp"
#include "experiments/training.hpp"
#include "models/activation_memory.hpp"
#include "platforms/spec.hpp"
#include "platforms/stack.hpp"
#include "sim/job_options.hpp"
#include "sim/network/engine.hpp"
#include "sim/network/transport.hpp"

namespace paceline {

/// How the samples of a step are dealt to workers of different speed.
enum class BatchSplit : std::uint8_t { equal, proportional };

/// One training job as the user describes it, everything but `steps` resolved.
struct JobDescription : JobOptions {
  Json model_json;  ///< the name of a shipped model, or its JSON form
  std::shared_ptr<const Model> model;
  std::string model_name, model_title;
  Precision precision = Precision::fp32;
  std::optional<std::string> wire;    ///< of wire_names(); absent: the precision's own
  std::optional<std::int64_t> batch;  ///< samples per GPU and micro-batch; absent: as the profile's
  /// "analytic", the name of a shipped profile, the JSON of one, or an object of such by GPU name.
  Json profile = "analytic";
  Json schedule;                          ///< {"name": ..., its options...}
  std::optional<std::int64_t> steps;      ///< absent: enough of the schedule's cycles
  std::optional<std::string> top_k;       ///< cost model of selection; absent: the profile's
  Recompute recompute = Recompute::none;  ///< in the backward pass
  BatchSplit batch_split = BatchSplit::equal;
  std::optional<std::int64_t> servers;  ///< parameter servers; absent: every host that may be one
  std::optional<TrainingDescription> training;  ///< on real values; absent: time only
  bool clips = false;  ///< pays for clipping without training: beside a run that clips
};

/// What its gradients are sent in.
std::string wire_of(const JobDescription& job);

/// For messages: "job 'two'", or "experiment" where there is but one that has no name.
std::string who(const JobDescription& job);

/// A question to the simulator: jobs on a cluster. "format": "paceline-experiment-1";
/// docs/experiment.md says what the keys mean.
struct Experiment {
  std::string name;
  std::string description;
  ClusterSpec cluster;
  Stack stack;                       ///< the software of the cluster
  std::vector<JobDescription> jobs;  ///< the first one is what is asked about
  Fidelity fidelity = Fidelity::automatic;
  NetworkEngine network = NetworkEngine::automatic;
  bool extrapolate = true;
  std::uint64_t seed = 1;
  Jitter jitter;
  Json baseline;  ///< what "x S-SGD" is measured against (baseline.hpp); null: DDP's buckets
};

/// Reads one point: `json` must have no "vary". Paths in it are relative to the folder of `file`,
/// or else to the working folder. Throws InputError "file: $.path: ...".
Experiment read_experiment(const Json& json, const std::string& file);

/// Everything written out, defaults, cluster and files included: read_experiment of it gives the
/// same simulation on another machine.
Json write_experiment(const Experiment& experiment);
/// Of what write_experiment has written: all that decides what a run comes to. Left out are name,
/// description and the target accuracy, whose date is read off the run. Keys in alphabetical order.
Json what_decides(Json experiment);

/// The keys of an experiment that say what runs (all but format, name, description, vary, jobs).
const std::vector<std::string>& experiment_keys();

}  // namespace paceline
