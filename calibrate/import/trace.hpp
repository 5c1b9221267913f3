#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.hpp"

// A Chrome trace as Kineto writes it, reduced to what the importer needs.
namespace paceline {

struct TraceEvent {
  std::string name;
  double start = 0, duration = 0;  ///< microseconds
  std::size_t thread = 0;          ///< one number per pair of process and thread
  [[nodiscard]] double end() const { return start + duration; }
};

struct Trace {
  struct Kernel {
    std::int64_t correlation;
    double duration;
  };
  std::vector<TraceEvent> operations;                     ///< of the CPU
  std::vector<TraceEvent> steps;                          ///< "ProfilerStep#n", ascending
  std::unordered_map<std::int64_t, TraceEvent> launches;  ///< by correlation
  std::vector<Kernel> kernels;
  Json record = Json::object();  ///< what it says of itself: GPU, versions of CUDA
  std::string gpu;               ///< name of the GPU; "" if it does not say
};

/// Throws InputError "file: $.traceEvents[7].cat: ..." for events of other types than Kineto
/// writes, for events of two processes or two GPUs, for kernels that appear twice, and if there are
/// no kernels or nothing that launched them.
Trace read_trace(const Json& json, const std::string& file);

}  // namespace paceline
