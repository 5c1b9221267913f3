#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "calibrate/profile/profile.hpp"
#include "kernels/backend.hpp"
#include "models/data/batch.hpp"
#include "models/graph.hpp"

namespace paceline {

struct MeasureProgress {
  std::int64_t batch = 0;
  double fraction = 0;      ///< of all batches together
  double left_seconds = 0;  ///< estimate
};

/// "[=====     ] batch 32, about 3 min 20 s left"; without an estimate below 2 %.
std::string progress_text(const MeasureProgress& progress);

struct MeasureOptions {
  double warm_up_seconds = 2;  ///< at most; ends once ten running medians in a row agree in 1 %
  double seconds = 10;         ///< of sampling per batch, at most
  int least_rounds = 10;       ///< taken even if `seconds` are over
  int most_rounds = 1000;
  double standard_error = 0.005;  ///< sampling ends once the median's is below this share
  std::uint64_t seed = 1;         ///< of parameters and random samples
  /// "fp32", or on a GPU "tf32": products and convolutions may round what they read.
  std::string precision = "fp32";
  bool operators = true;  ///< GPU: also time every different layer alone, cold and hot
  /// GPU: size of the largest vector that schedules' operations are timed on, if it fits there.
  std::size_t most_elements = 100'000'000;
  /// GPU: take ceilings, copies and schedules' operations from this profile of the same GPU.
  std::optional<Profile> operations_from = {};
  /// The batch of a step, whose making then counts as input pipeline; without it random samples are
  /// loaded that exist already.
  std::function<void(std::int64_t batch, std::int64_t step, Batch& out)> next_batch = {};
  std::string tool = "paceline";  ///< with version, for the record
  /// Name of the device and what the record says of it; by default the CPU's.
  std::string device = {};
  std::map<std::string, std::string> software = {};
  Json device_record = Json::object();
  std::function<void(const MeasureProgress&)> progress = {};
  /// The profile so far, after every batch: to be saved, so that nothing is lost.
  std::function<void(const Profile&)> measured = {};
  const std::atomic<bool>* stop = nullptr;  ///< set by Ctrl-C: the batch under way is kept if it
                                            ///< has `least_rounds` rounds, and no other is begun
};

/// Times training steps of `model` on `backend`, fp32, at each of `batches`.
///
/// Rounds alternate two forms of the same step, so that both meet the same state of the machine:
/// one in which every layer is timed where it runs (real cache contents), by Backend::measure, and
/// one timed whole. A time is dropped if the operating system took the core away meanwhile. Medians
/// and quartiles remain. The iteration is loading the samples, forward and backward; the layers'
/// medians and the loading over its median are the closure ratio. Kinds that the backend fuses into
/// their predecessor (ReLU) take 0 s; a backward pass is timed as one and stands in backward_data.
/// Every batch's record has the date, and of each layer FLOPs, least bytes and the tails.
///
/// A GPU (kernels::CudaBackend) is timed by CUDA graphs instead: replays of forward and backward
/// whole, and with events between the layers. The closure ratio is then of the layers over the
/// graph, without loading; what the host's launching adds when the same work is launched eagerly is
/// the batch's host_overhead_per_op_s. Loading is by the host's clock.
///
/// On a CPU the cost models of operations come from SGD updates with momentum after each step,
/// error-feedback top-k of model size and copies; metadata has their residuals. `known`: a profile
/// that an earlier call gave; its batches are taken over, and of a GPU's operations and operators
/// what was measured before an interruption. Throws InputError, before anything is measured, if it
/// is of another model, device, precision or software or not such a measurement, if a batch cannot
/// fit the memory, or if the model cannot be trained.
Profile measure_profile(const Model& model, kernels::Backend& backend,
                        std::vector<std::int64_t> batches, const MeasureOptions& options,
                        const std::optional<Profile>& known = {});

/// A plain training loop, as an independent check of a profile: seconds per step of loading,
/// forward, backward and momentum SGD, measured around whole steps only.
struct TrainingLoopTime {
  Timing step;
  int steps = 0;
  int dropped = 0;        ///< while the core was taken away
  bool cpu_time = false;  ///< too few steps had the core to themselves: CPU time of the thread
};
TrainingLoopTime time_training_loop(const Model& model, kernels::Backend& backend,
                                    std::int64_t batch, const MeasureOptions& options);

/// "fp32" or "tf32", from now on. Throws InputError for others, and for what the backend has not.
void use_precision(const std::string& precision, kernels::Backend& backend);

/// Throws InputError if a batch cannot fit the backend's memory: parameters and activations alone
/// exceed it.
void check_fits_memory(const Model& model, kernels::Backend& backend, std::int64_t batch);

}  // namespace paceline
