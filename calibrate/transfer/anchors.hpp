#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "calibrate/profile/profile.hpp"
#include "calibrate/transfer/transfer.hpp"
#include "kernels/backend.hpp"

namespace paceline {

/// One of DeepBench's kernels as it was timed here.
struct MeasuredAnchor {
  std::string law, key;  ///< as in DeepBenchPoint
  Timing hot;            ///< over and over on the same buffers, as DeepBench does
  Timing cold;           ///< over `buffers` sets of more than twice the L2 in turn
  int buffers = 1;
  int sm_mhz = 0;  ///< median beside the samples; 0: not known
  int dropped = 0;
  bool warm = true;
  bool operator==(const MeasuredAnchor&) const = default;
};

/// Kernels of DeepBench timed on one device, fp32: one JSON file.
///
///     {"format": "paceline-anchors-1", "source": "measured", "device": "NVIDIA H200",
///      "precision": "fp32", "software": {"cuDNN": "9.19.0"}, "kernels": [{"law": "gemm",
///      "key": "1760 16 1760 N N", "hot": {"median": "58us", "p25": "57us", "p75": "59us"},
///      "cold": {...}, "buffers": 9, "sm_mhz": 1980, "dropped": 0, "warm": true}, ...],
///      "metadata": {...}}
struct AnchorSet {
  std::string device;
  std::map<std::string, std::string> software;
  std::vector<MeasuredAnchor> kernels;
  Json metadata = Json::object();
  bool operator==(const AnchorSet&) const = default;
};

/// Throws InputError "file: $.kernels[3].hot: ..." for anything the format does not allow.
AnchorSet read_anchors(const Json& json, const std::string& file);
/// read_anchors(anchors_json(a)) == a, exactly.
Json anchors_json(const AnchorSet& anchors);
AnchorSet load_anchors(const std::filesystem::path& file);

/// The kernels of `source` that DeepBench timed on a GPU of its own, by its name of that GPU.
std::vector<TransferAnchor> pair_anchors(const AnchorSet& source, std::string_view deepbench_gpu);
/// Throws InputError if `anchors` are not of the device and the libraries of `profile`: kappa would
/// correct for another machine.
void check_anchors(const AnchorSet& anchors, const Profile& profile, const std::string& file);

struct AnchorProgress {
  std::size_t done = 0, of = 0;
  double left_seconds = 0;
};

struct AnchorOptions {
  std::size_t most_kernels = SIZE_MAX;  ///< those of the least work
  double warm_up_seconds = 0.15;        ///< of each kernel, at most
  double seconds = 2;                   ///< of sampling, each, at most
  std::string tool = "paceline", device = {};
  std::map<std::string, std::string> software = {};
  Json device_record = Json::object();
  std::function<void(const AnchorProgress&)> progress = {};
  std::function<void(const AnchorSet&)> measured = {};  ///< after each: to be saved
  const std::atomic<bool>* stop = nullptr;              ///< no other kernel is begun then
};

/// Times DeepBench's convolutions, matrix products (as passes of a dense layer) and LSTMs. On a GPU
/// by replays of CUDA graphs like the operators of a profile, on a CPU one by one; random data,
/// hot and cold. The backward passes of an LSTM need its forward pass: they are what comes on top.
/// What fails (no memory) is left out and named in the metadata. `known`: what an earlier call
/// gave, which is taken over. Throws InputError if that is of another device or software.
AnchorSet measure_anchors(kernels::Backend& backend, const AnchorOptions& options,
                          const std::optional<AnchorSet>& known = {});

}  // namespace paceline
