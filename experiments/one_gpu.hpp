#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "calibrate/profile/precision.hpp"
#include "calibrate/profile/profile.hpp"
#include "models/graph.hpp"
#include "sim/job_options.hpp"

namespace paceline {

/// The whole step of one GPU as somebody measured it, in place of a profile: "253/s" (samples per
/// second) or "163ms" (forward, backward and update of every micro-batch).
class OneGpuTime {
 public:
  /// Nothing if `text` is neither a rate nor a duration: the name of a profile, then. Throws
  /// InputError for a rate or duration that is not positive.
  static std::optional<OneGpuTime> from_text(std::string_view text);

  /// Seconds of a step of `samples` in all.
  [[nodiscard]] double step_s(std::int64_t samples) const {
    return is_rate_ ? static_cast<double>(samples) / value_ : value_;
  }

 private:
  OneGpuTime(double value, bool is_rate) : value_(value), is_rate_(is_rate) {}
  double value_;
  bool is_rate_;
};

/// A profile whose step and update together take `step_s` for `accumulation` micro-batches of
/// `batch`: the layers' shares of forward and backward, and the update, are the analytic ones of
/// `gpu` or, for one whose speeds are not known, of kStandInGpu. Its description says so; its source is
/// `published`, for want of one of its own (device_costs.cpp says "given"). Throws InputError if
/// the update alone takes longer.
Profile one_gpu_profile(const Model& model, const GpuSpec& gpu, double step_s, std::int64_t batch,
                        std::int64_t accumulation, Optimizer optimizer,
                        Precision precision = Precision::fp32);

}  // namespace paceline
