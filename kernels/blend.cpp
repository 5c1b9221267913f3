#include "kernels/blend.hpp"

#include <cmath>
#include <cstddef>

namespace paceline::kernels::reference {

void axpy(double a, std::span<const float> x, std::span<float> y) {
  const auto factor = static_cast<float>(a);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += factor * x[i];
}

void scale(double a, std::span<float> x) {
  const auto factor = static_cast<float>(a);
  for (float& value : x) value *= factor;
}

void subtract(std::span<const float> a, std::span<const float> b, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = a[i] - b[i];
}

void interpolate(double a, std::span<const float> z, std::span<float> x) {
  const auto pull = static_cast<float>(a);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = (1 - pull) * x[i] + pull * z[i];
}

void add_progress(std::span<const float> mean, std::span<const float> start, std::span<float> x) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = mean[i] + (x[i] - start[i]);
}

void delay_compensate(double lambda, std::span<const float> gradient,
                      std::span<const float> weights, std::span<const float> backup,
                      std::span<float> out) {
  const auto strength = static_cast<float>(lambda);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float g = gradient[i];
    out[i] = g + strength * g * g * (weights[i] - backup[i]);
  }
}

void delay_compensate_adaptive(double lambda, double decay, std::span<const float> gradient,
                               std::span<const float> weights, std::span<const float> backup,
                               std::span<float> square, std::span<float> out) {
  const auto strength = static_cast<float>(lambda), keep = static_cast<float>(decay);
  const auto rest = static_cast<float>(1 - decay);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float g = gradient[i];
    square[i] = keep * square[i] + rest * g * g;
    out[i] = g + strength / std::sqrt(square[i] + 1e-7f) * g * g * (weights[i] - backup[i]);
  }
}

void od_sgd_local_update(const OdSgdOptions& options, std::span<const float> gradient,
                         std::span<const float> weights, std::span<const float> previous,
                         std::span<float> local) {
  const auto rate = static_cast<float>(options.learning_rate);
  const auto decay = static_cast<float>(options.weight_decay);
  const auto lambda = static_cast<float>(options.lambda);
  const auto rescale = static_cast<float>(options.rescale);
  for (std::size_t i = 0; i < local.size(); ++i) {
    const float g = rescale * gradient[i], w = weights[i];
    local[i] = w - rate * (g + decay * w + lambda * g * g * (w - previous[i]));
  }
}

}  // namespace paceline::kernels::reference
