#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "platforms/gpus.hpp"

namespace paceline {

/// Where times come from. `interpolated` never stands in a file: step_costs() gives it to costs
/// between two recorded batches.
enum class ProfileSource { measured, transferred, published, analytic, interpolated };
std::string to_string(ProfileSource source);
/// Throws InputError with the nearest name.
ProfileSource profile_source_from_string(std::string_view name);

/// A time in seconds: the median of what was measured and, where known, the quartiles.
struct Timing {
  double median_s = 0;
  std::optional<double> p25_s;
  std::optional<double> p75_s;
  bool operator==(const Timing&) const = default;
};

/// The three passes of one operation of the model (a layer) at one batch. A time that is known only
/// for the whole backward pass of the layer stands in `backward_data`.
struct LayerTimes {
  std::string name;  ///< the operation's name in the model
  Timing forward;
  Timing backward_data;
  Timing backward_weight;
  bool operator==(const LayerTimes&) const = default;
};

/// How the times of a whole network are spread over its tensors: an equal share for each tensor, or
/// in proportion to the analytic times of the profile's device.
enum class Spread { uniform, analytic };

/// Times of a whole network, as papers publish them: `step` alone (forward and backward together),
/// or `forward` with `backward` (the total) or with `backward_per_tensor`, the time before each
/// tensor's gradient (the form in which WFBP is usually explained; uniform only). Spread evenly, a
/// third of `step` is forward.
struct WholeNetTimes {
  std::optional<Timing> step;
  std::optional<Timing> forward;
  std::optional<Timing> backward;
  std::optional<Timing> backward_per_tensor;
  Spread spread = Spread::analytic;
  bool operator==(const WholeNetTimes&) const = default;
};

/// The times at one batch size: of each layer, or of the whole network.
struct BatchTimes {
  std::optional<std::int64_t> batch;  ///< samples per step; absent if the source does not state it
  std::vector<LayerTimes> layers;  ///< in the model's forward order; empty if `whole_net` is given
  std::optional<WholeNetTimes> whole_net;
  std::optional<Timing> iteration;      ///< the whole iteration timed at once
  std::optional<double> closure_ratio;  ///< sum of the layers / whole iteration
  double input_pipeline_s = 0;          ///< per step, the device waits this long for its input
  /// As the profile's, at this batch: hidden behind the device's work where that takes longer.
  std::optional<double> host_overhead_per_op_s;
  bool operator==(const BatchTimes&) const = default;
};

/// What the device was measured to reach.
struct Ceilings {
  std::optional<double> sgemm_flops;       ///< FLOP/s of large fp32 matrix products
  std::optional<double> memory_bandwidth;  ///< B/s, reads and writes together
  std::optional<double> l2_bandwidth;      ///< B/s
  bool operator==(const Ceilings&) const = default;
};

/// Seconds per layer and per operation of one model on one device in one precision and software:
/// one JSON file. Times are strings with units, or objects of a median and quartiles:
///
///     {"format": "paceline-profile-1", "source": "measured", "uncertainty": 0.02, "device": "T4",
///      "model": "lenet5", "precision": "fp32", "software": {"cuDNN": "9.1.0"},
///      "host_overhead_per_op": "3us", "ceilings": {"sgemm": "4.67TFLOPS", "memory_bandwidth":
///      "245GB/s"}, "operations": {"launch": "4us", "top_k": "radix_select",
///                     "host_to_device_pinned": {"latency": "9us", "bandwidth": "12GB/s"},
///                     "kernels": {"sort": {"fixed": "9us", "per_element": "0.03ns", "per_pair":
///                     "0s", "residual": 0.04}, ...}},
///      "batches": [{"batch": 32, "closure_ratio": 0.98, "input_pipeline": "0s", "layers": [
///        {"name": "conv1", "forward": {"median": "70us", "p25": "69us", "p75": "72us"},
///         "backward_data": "0s", "backward_weight": "110us"}, {..., "backward": "90us"}, ...]}],
///      "metadata": {...}}
///
/// Layers are the model's timed_operations() (analytic.hpp). In place of "layers" a batch may have
/// "whole_net": {"forward": "90ms", "backward": "120ms", "spread": "analytic"}.
struct Profile {
  ProfileSource source = ProfileSource::analytic;
  double uncertainty = 0;       ///< relative sigma of the time of a step
  std::string device;           ///< name in the GPU specification table where it is one of those
  std::optional<GpuSpec> card;  ///< what is known of the device where the table does not say it
  std::string model;            ///< name of the model the layers belong to
  std::string precision = "fp32";
  std::string description;  ///< one line: origin, method, what to beware of
  std::map<std::string, std::string>
      software;                       ///< name -> version, as the loaded libraries report it
  std::optional<std::string> parent;  ///< hash of the profile this one was transferred from
  std::vector<BatchTimes> batches;    ///< ascending; a batch that is not stated stands alone
  double host_overhead_per_op_s =
      0;  ///< time added per operation and pass by the host's launching of it
  Ceilings ceilings;
  OperationModel
      operations;      ///< cost models of the operations of schedules; what is absent is analytic
  OwnedJson metadata;  ///< all else that was recorded, an object: clocks, driver, host, date
  bool operator==(const Profile&) const = default;
};

/// The card of the profile's device; null if nothing is known of it.
const GpuSpec* card_of(const Profile& profile);

/// Throws InputError "file: $.batches[0].layers[3].forward: ..." for anything the format does not
/// allow: unknown keys and names, times that are negative or not finite, quartiles out of order,
/// batches not ascending.
Profile read_profile(const Json& json, const std::string& file);
/// The JSON of `profile`; read_profile(profile_json(p)) == p, exactly.
Json profile_json(const Profile& profile);

/// A profile file, or the shipped profile of that name (without ".json"); a file wins. Throws
/// InputError naming the nearest shipped name.
Profile load_profile(const std::string& file_or_name);
/// Throws InputError, and leaves the file as it is, for a profile that could not be read again.
void save_profile(const std::filesystem::path& file, const Profile& profile);

/// Names of the profiles embedded in the program, sorted.
std::vector<std::string> shipped_profiles();

}  // namespace paceline
