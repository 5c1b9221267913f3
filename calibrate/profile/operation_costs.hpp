#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/defaults.hpp"
#include "calibrate/profile/assumption.hpp"
#include "kernels/operations/list.hpp"
#include "kernels/operations/selector.hpp"

namespace paceline {

/// t = latency + bytes / bandwidth.
struct CopyCost {
  double latency_s = 0;
  double bandwidth = 0;  ///< B/s
  bool operator==(const CopyCost&) const = default;
};

/// What one kernel takes: a line through measurements over sizes. `pairs` are the k of a selection,
/// or what a sparse kernel reads.
struct KernelCost {
  double fixed_s = 0, per_element_s = 0, per_pair_s = 0;
  double residual = 0;  ///< mean relative error of the line at what was measured
  [[nodiscard]] double seconds(double elements, double pairs = 0) const {
    return fixed_s + per_element_s * elements + per_pair_s * pairs;
  }
  bool operator==(const KernelCost&) const = default;
};

/// Of kernels::kOperations, the names that a profile may price: no measured line may be below its
/// least bytes. Throws InputError with the nearest name.
const kernels::OperationInfo& find_kernel(std::string_view name);

/// What a profile knows of the device's operations; anything absent comes from the GPU
/// specification.
struct OperationModel {
  std::optional<double> launch_s;          ///< per kernel
  std::optional<double> memory_bandwidth;  ///< B/s reached by streaming kernels, reads plus writes
  std::optional<double>
      select_efficiency;  ///< share of it that selection and sorting kernels reach, counting the
                          ///< bytes that top_k() books: a kernel that moves fewer may exceed 1
  std::optional<double> torch_legacy_s;  ///< s of t = s n log2 n
  std::optional<CopyCost> host_to_device_pinned;
  std::optional<CopyCost> host_to_device_pageable;
  std::optional<CopyCost> device_to_host_pinned;
  std::optional<CopyCost> device_to_host_pageable;
  std::optional<double>
      host_bandwidth;  ///< B/s of updates in the memory of the host; absent: the cluster's
  std::optional<Selector> top_k;  ///< the selector that the profile's software used
  /// By name (kernels::kOperations): as measured, instead of bytes over bandwidth.
  std::map<std::string, KernelCost, std::less<>> kernels = {};
  bool operator==(const OperationModel&) const = default;
};

struct Profile;
struct GpuSpec;

/// Seconds that the operations of schedules take on one device, as functions of their sizes.
/// Elements are fp32 unless bytes are given. A kernel that the profile prices is taken from there,
/// but never under its least bytes at the streaming bandwidth, nor under a launch: the line is of
/// graph replays, and a schedule launches from the host.
class OperationCosts {
 public:
  /// Every field of `model` must be set but torch_legacy_s, which a CPU has not, and
  /// host_bandwidth.
  OperationCosts(OperationModel model, std::string description,
                 std::vector<Assumption> assumptions = {});

  [[nodiscard]] double launch() const { return *model_.launch_s; }
  /// Any of kernels::kOperations: as the profile prices it, else a launch and its least bytes.
  [[nodiscard]] double kernel(std::string_view name, double elements, double pairs = 0) const;
  /// An operation on vectors by its own line, else as a streaming kernel of its least bytes.
  [[nodiscard]] double operation(std::string_view name, double elements, double least_bytes) const;
  /// Whether the profile has a line of its own for it.
  [[nodiscard]] bool measures(std::string_view name) const {
    return model_.kernels.find(name) != model_.kernels.end();
  }
  /// A streaming kernel that reads and writes `bytes_moved` in all.
  [[nodiscard]] double elementwise(double bytes_moved) const;
  /// The optimiser in place: 3 passes (read parameter and gradient, write parameter), and 2 for each
  /// slot of its state: none, momentum, or Adam's two.
  [[nodiscard]] double optimizer_update(double elements, int slots = 1) const;

  /// The sparsification of one tensor with error feedback: accumulate, find the k largest, extract
  /// them. torch_legacy is s n log2 n and nothing else, the model that the papers' times follow.
  [[nodiscard]] double top_k(double elements, double k, Selector selector) const;
  /// The selector of the profile's software (radix_select unless the profile says otherwise).
  [[nodiscard]] Selector default_top_k() const { return *model_.top_k; }
  /// No exact top-k with error feedback can be faster: 16 bytes per element (accumulate reads 8 and
  /// writes 4, one pass reads 4) at the streaming bandwidth.
  [[nodiscard]] double top_k_floor(double elements) const;

  /// Adds `pairs` (32-bit index, fp32 value) into a dense tensor. Each pair costs 8 bytes read and
  /// a 32-byte sector read and written.
  [[nodiscard]] double scatter_add(double pairs) const;
  /// To `bits` per element with error feedback: reads gradient and residual, writes residual and
  /// code.
  [[nodiscard]] double quantize(double elements, double bits) const;
  /// Reads the code, writes fp32.
  [[nodiscard]] double dequantize(double elements, double bits) const;

  [[nodiscard]] double copy_h2d(double bytes, bool pinned = true) const;
  [[nodiscard]] double copy_d2h(double bytes, bool pinned = true) const;
  /// An update on a host (a parameter server's) that reads and writes `bytes_moved` in all: at the
  /// bandwidth that the profile has measured or at that of the host's memory, whichever is less;
  /// where neither is known (`memory_bandwidth` infinite) at kAssumedHostBandwidth.
  [[nodiscard]] double host_update(double bytes_moved, double memory_bandwidth) const;
  static const Default kAssumedHostBandwidth;

  /// What of the model is nobody's measurement.
  [[nodiscard]] const std::vector<Assumption>& assumptions() const { return assumptions_; }
  [[nodiscard]] const OperationModel& model() const { return model_; }
  [[nodiscard]] const std::string& description() const { return description_; }

 private:
  [[nodiscard]] std::optional<double> measured(std::string_view kernel, double elements,
                                               double pairs) const;
  [[nodiscard]] double select(const char* kernel, double elements, double k, double launches,
                              double bytes) const;

  OperationModel model_;
  std::string description_;
  std::vector<Assumption> assumptions_;
};

/// At what hosts update where neither profile nor cluster says it.
Assumption assumed_host_bandwidth();

/// From the data sheet and the measured ceilings of `gpu` where there are any (analytic.hpp).
OperationModel analytic_operations(const GpuSpec& gpu);
OperationCosts operation_costs(const GpuSpec& gpu);
/// What the profile gives, completed from the specification of its device. Throws InputError if
/// something is missing and the device is not in the table.
OperationCosts operation_costs(const Profile& profile);

}  // namespace paceline
