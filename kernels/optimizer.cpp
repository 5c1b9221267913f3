#include "kernels/optimizer.hpp"

#include <cmath>

#include "kernels/blend.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels::reference {

void sgd_step(const SgdOptions& options, std::span<const float> gradient, std::span<float> velocity,
              std::span<float> weights) {
  const auto rate = static_cast<float>(options.learning_rate);
  const auto momentum = static_cast<float>(options.momentum);
  const auto decay = static_cast<float>(options.weight_decay);
  if (momentum == 0) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      weights[i] -= rate * (gradient[i] + decay * weights[i]);
    return;
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const float d = gradient[i] + decay * weights[i];
    velocity[i] = momentum * velocity[i] + d;
    weights[i] -= rate * (options.nesterov ? d + momentum * velocity[i] : velocity[i]);
  }
}

void adamw_step(const AdamWOptions& options, std::int64_t step, std::span<const float> gradient,
                std::span<float> mean, std::span<float> square, std::span<float> weights) {
  const auto beta1 = static_cast<float>(options.beta1), beta2 = static_cast<float>(options.beta2);
  const auto rest1 = static_cast<float>(1 - options.beta1);
  const auto rest2 = static_cast<float>(1 - options.beta2);
  const double mean_bias = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double square_bias = 1 - std::pow(options.beta2, static_cast<double>(step));
  const auto rate = static_cast<float>(options.learning_rate / mean_bias);
  const auto root_bias = static_cast<float>(std::sqrt(square_bias));
  const auto epsilon = static_cast<float>(options.epsilon);
  const auto keep = static_cast<float>(1 - options.learning_rate * options.weight_decay);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    mean[i] = beta1 * mean[i] + rest1 * gradient[i];
    square[i] = beta2 * square[i] + rest2 * gradient[i] * gradient[i];
    weights[i] = keep * weights[i] - rate * mean[i] / (std::sqrt(square[i]) / root_bias + epsilon);
  }
}

double sum_of_squares(std::span<const float> x) {
  return interleaved_sum<double>(static_cast<std::int64_t>(x.size()), [&](std::int64_t i) {
    const double value = x[static_cast<std::size_t>(i)];
    return value * value;
  });
}

double clip_norm(double limit, std::span<float> x) {
  const double norm = std::sqrt(sum_of_squares(x));
  if (norm > limit && std::isfinite(norm)) scale(limit / norm, x);
  return norm;
}

}  // namespace paceline::kernels::reference
