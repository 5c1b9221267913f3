#pragma once

#include <cmath>

#include "kernels/operations/operation.hpp"

// Arithmetic between models and gradients, and what schedules do to gradients that come late.
namespace paceline::kernels {

struct Fill {
  static constexpr std::string_view name = "fill";
  static constexpr auto reads = names();
  static constexpr auto writes = names("out");
  Parameter value = 0;
  PACELINE_DEVICE float operator()() const { return value; }
};

/// a x; a copy with a = 1
struct Scale {
  static constexpr std::string_view name = "scale";
  static constexpr auto reads = names("x");
  static constexpr auto writes = names("out");
  Parameter a = 0.5;
  PACELINE_DEVICE float operator()(float x) const { return a * x; }
};

/// y + a x
struct Axpy {
  static constexpr std::string_view name = "axpy";
  static constexpr auto reads = names("x", "y");
  static constexpr auto writes = names("out");
  Parameter a = 0.5;
  PACELINE_DEVICE float operator()(float x, float y) const { return y + a * x; }
};

/// a x + b y: sums and differences of tensors, momenta, pulls towards a mean
struct Combine {
  static constexpr std::string_view name = "combine";
  static constexpr auto reads = names("x", "y");
  static constexpr auto writes = names("out");
  Parameter a = 0.5, b = 0.5;
  PACELINE_DEVICE float operator()(float x, float y) const { return a * x + b * y; }
};

/// CoCoD-SGD (Shen et al., arXiv 1906.12043): mean + (x - start), the mean of all models at the
/// start of the round, plus this worker's own progress since.
struct AddProgress {
  static constexpr std::string_view name = "add_progress";
  static constexpr auto reads = names("mean", "start", "x");
  static constexpr auto writes = names("out");
  PACELINE_DEVICE float operator()(float mean, float start, float x) const {
    return mean + (x - start);
  }
};

/// DC-ASGD (Zheng et al., arXiv 1609.08326, eq. 10): g + lambda g g (w - backup), `backup` being
/// the weights at which g was taken.
struct DelayCompensate {
  static constexpr std::string_view name = "delay_compensate";
  static constexpr auto reads = names("gradient", "weights", "backup");
  static constexpr auto writes = names("out");
  Parameter lambda = 0.04;
  PACELINE_DEVICE float operator()(float g, float w, float backup) const {
    return g + lambda * g * g * (w - backup);
  }
};

/// DC-ASGD-a (the same paper, section 5): lambda / sqrt(square + 1e-7) per element, after square =
/// decay square + (1 - decay) g g.
struct DelayCompensateAdaptive {
  static constexpr std::string_view name = "delay_compensate_adaptive";
  static constexpr auto reads = names("gradient", "weights", "backup", "square");
  static constexpr auto writes = names("out", "square");
  Parameter lambda, decay, rest;
  explicit DelayCompensateAdaptive(double strength = 0.04, double kept = 0.95)
      : lambda(strength), decay(kept), rest(1 - kept) {}
  struct Result {
    float out, square;
  };
  PACELINE_DEVICE Result operator()(float g, float w, float backup, float before) const {
    const float square = decay * before + rest * g * g;
    return {g + lambda / std::sqrt(square + 1e-7f) * g * g * (w - backup), square};
  }
};

/// OD-SGD's local update (Xu et al., arXiv 2005.06728): w - eta_loc (g + wd w + lambda g g (w -
/// previous)), g = rescale gradient. `weights` and `previous` are the global weights of this and
/// the preceding pull; rescale is 1/N of a gradient that is summed over N workers.
struct OdSgdLocalUpdate {
  static constexpr std::string_view name = "od_sgd_local_update";
  static constexpr auto reads = names("gradient", "weights", "previous");
  static constexpr auto writes = names("local");
  Parameter rate = 0.5, decay = 0, lambda = 0.04, rescale = 1;
  PACELINE_DEVICE float operator()(float gradient, float w, float previous) const {
    const float g = rescale * gradient;
    return w - rate * (g + decay * w + lambda * g * g * (w - previous));
  }
};

/// Deep Gradient Compression's masking (Lin et al., arXiv 1712.01887, section 3.1): the momentum
/// where the residual is not zero: what was sent loses its momentum too.
struct MaskMomentum {
  static constexpr std::string_view name = "mask_momentum";
  static constexpr auto reads = names("momentum", "residual");
  static constexpr auto writes = names("out");
  PACELINE_DEVICE float operator()(float momentum, float residual) const {
    return residual == 0 ? 0.0f : momentum;
  }
};

/// MXNet's and CD-SGD's 2-bit quantiser [code Tugraph/CD-SGD]: r += g; r >= threshold sends
/// +threshold, r <= -threshold sends -threshold, and what was sent leaves the residual r. A NaN is
/// sent and the residual cleared: the receiver sees it. `sent` is what arrives; on the wire it is 2
/// bits (quantize.hpp), so the least bytes count it as those.
struct TwoBitQuantize {
  static constexpr std::string_view name = "two_bit_quantize";
  static constexpr auto reads = names("gradient", "residual");
  static constexpr auto writes = names("sent", "residual");
  static constexpr double bytes_per_element = 3 * 4 + 0.25;
  Parameter threshold = 0.5;
  struct Result {
    float sent, residual;
  };
  PACELINE_DEVICE Result operator()(float gradient, float residual) const {
    const float limit = threshold;
    const float r = residual + gradient;
    if (r >= limit) return {limit, r - limit};
    if (r <= -limit) return {-limit, r + limit};
    if (r == r) return {0.0f, r};
    return {r, 0.0f};
  }
};

}  // namespace paceline::kernels
