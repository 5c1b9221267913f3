#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/operations/operation.hpp"

// An optimiser's step on the weights.
namespace paceline::kernels {

/// w - rate (g + wd w)
struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr auto reads = names("gradient", "weights");
  static constexpr auto writes = names("weights");
  Parameter rate = 0.1, decay = 1e-4;
  PACELINE_DEVICE float operator()(float g, float w) const { return w - rate * (g + decay * w); }
};

/// PyTorch's convention: d = g + wd w; v = momentum v + d; w -= rate (nesterov ? d + momentum v :
/// v). v = 0 at the start makes the first v equal d.
struct SgdMomentum {
  static constexpr std::string_view name = "sgd_momentum";
  static constexpr auto reads = names("gradient", "velocity", "weights");
  static constexpr auto writes = names("velocity", "weights");
  Parameter rate = 0.1, momentum = 0.9, decay = 1e-4;
  bool nesterov = false;
  struct Result {
    float velocity, weights;
  };
  PACELINE_DEVICE Result operator()(float g, float v, float w) const {
    const float d = g + decay * w;
    const float velocity = momentum * v + d;
    return {velocity, w - rate * (nesterov ? d + momentum * velocity : velocity)};
  }
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 1e-2;
};

/// Loshchilov & Hutter, "Decoupled weight decay regularization": w *= 1 - lr wd; m, v exponential
/// means of g and g^2; w -= lr (m/(1-beta1^t)) / (sqrt(v/(1-beta2^t)) + epsilon).
struct AdamW {
  static constexpr std::string_view name = "adamw";
  static constexpr auto reads = names("gradient", "mean", "square", "weights");
  static constexpr auto writes = names("mean", "square", "weights");
  Parameter beta1, beta2, rest1, rest2, rate, root_bias, epsilon, keep;
  /// `step` counts from 1.
  explicit AdamW(const AdamWOptions& o = {}, std::int64_t step = 1)
      : beta1(o.beta1),
        beta2(o.beta2),
        rest1(1 - o.beta1),
        rest2(1 - o.beta2),
        rate(o.learning_rate / (1 - std::pow(o.beta1, static_cast<double>(step)))),
        root_bias(std::sqrt(1 - std::pow(o.beta2, static_cast<double>(step)))),
        epsilon(o.epsilon),
        keep(1 - o.learning_rate * o.weight_decay) {}
  struct Result {
    float mean, square, weights;
  };
  PACELINE_DEVICE Result operator()(float g, float m, float v, float w) const {
    const float mean = beta1 * m + rest1 * g;
    const float square = beta2 * v + rest2 * g * g;
    return {mean, square, keep * w - rate * mean / (std::sqrt(square) / root_bias + epsilon)};
  }
};

}  // namespace paceline::kernels
