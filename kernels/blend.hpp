#pragma once

#include <span>

// Arithmetic between whole models and gradients, each a flat vector; spans of one call have equal
// length. An output may be the same memory as an input.
namespace paceline::kernels {

/// OD-SGD's local update (arXiv 2005.06728): see reference::od_sgd_local_update.
struct OdSgdOptions {
  double learning_rate = 0.5;  ///< eta_loc
  double weight_decay = 0;
  double lambda = 0;   ///< strength of the delay compensation
  double rescale = 1;  ///< 1/(N*B) when the gradient is a sum over B samples
};

namespace reference {

/// y += a*x
void axpy(double a, std::span<const float> x, std::span<float> y);
/// x *= a
void scale(double a, std::span<float> x);
/// out = a - b
void subtract(std::span<const float> a, std::span<const float> b, std::span<float> out);
/// x = (1-a)*x + a*z, Overlap-Local-SGD's pull towards the mean.
void interpolate(double a, std::span<const float> z, std::span<float> x);
/// CoCoD-SGD (arXiv 1906.12043): x = mean + (x - start). The mean of the models of all workers at
/// the start of the round, plus this worker's own progress since.
void add_progress(std::span<const float> mean, std::span<const float> start, std::span<float> x);
/// DC-ASGD (arXiv 1609.08326): out = g + lambda * g*g*(w - backup), `backup` being the weights at
/// which g was taken.
void delay_compensate(double lambda, std::span<const float> gradient,
                      std::span<const float> weights, std::span<const float> backup,
                      std::span<float> out);
/// The same with lambda / sqrt(square + 1e-7) per element, after square = decay*square +
/// (1-decay)*g*g.
void delay_compensate_adaptive(double lambda, double decay, std::span<const float> gradient,
                               std::span<const float> weights, std::span<const float> backup,
                               std::span<float> square, std::span<float> out);
/// local = w - eta_loc * (g + wd*w + lambda * g*g*(w - previous)), g = rescale*gradient. `weights`
/// and `previous` are the global weights of this and the preceding pull.
void od_sgd_local_update(const OdSgdOptions& options, std::span<const float> gradient,
                         std::span<const float> weights, std::span<const float> previous,
                         std::span<float> local);

}  // namespace reference
}  // namespace paceline::kernels
