#pragma once

#include <optional>
#include <vector>

#include "calibrate/import/trace.hpp"
#include "models/graph.hpp"

// What the framework called, and how long the GPU worked for each call.
namespace paceline {

/// One operation of the framework as it ran, forward or backward.
struct Call {
  TraceEvent event;
  OpKind kind = op_kind<InputOp>;
  bool backward = false;
  bool counter = false;  ///< batch-norm's own count of batches, an addition of one
  double gpu_us = 0;
};

/// The steps of a trace.
struct Windows {
  std::vector<TraceEvent> steps;  ///< empty: the whole trace is one
  [[nodiscard]] std::size_t size() const { return std::max<std::size_t>(1, steps.size()); }
  [[nodiscard]] std::optional<std::size_t> of(double date) const;
};

/// The calls of known kinds that lie in no other such call of their thread, in order of time.
std::vector<Call> outermost_calls(const Trace& trace);

/// Microseconds of kernels.
struct GpuTime {
  std::vector<double> of_window;  ///< launched in it
  double without_launch = 0;
};

/// Adds each kernel to the call that launched it.
GpuTime book_kernels(const Trace& trace, const Windows& windows, std::vector<Call>& calls);

}  // namespace paceline
