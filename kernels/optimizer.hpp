#pragma once

#include <cstdint>
#include <span>

#include "kernels/operations/update.hpp"

// Updates of a flat parameter vector. All spans of one call have equal length.
namespace paceline::kernels {

/// PyTorch's convention: d = g + weight_decay*w; v = momentum*v + d; w -= learning_rate * (nesterov
/// ? d + momentum*v : v). Weights 0 at the start make the first v equal d.
struct SgdOptions {
  double learning_rate = 0.1;
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;
};

namespace reference {

/// `velocity` may be empty if momentum is 0.
void sgd_step(const SgdOptions& options, std::span<const float> gradient, std::span<float> velocity,
              std::span<float> weights);
/// `step` counts from 1.
void adamw_step(const AdamWOptions& options, std::int64_t step, std::span<const float> gradient,
                std::span<float> mean, std::span<float> square, std::span<float> weights);
/// In double, eight interleaved partial sums added in a fixed order.
double sum_of_squares(std::span<const float> x);
/// Scales x so that its 2-norm is at most `limit`; returns the norm it had. A NaN or infinite norm
/// leaves x alone: the caller sees it in the result.
double clip_norm(double limit, std::span<float> x);

}  // namespace reference
}  // namespace paceline::kernels
