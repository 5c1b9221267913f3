#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// Selecting the few elements of a gradient that are sent, and adding up what arrives.
//
// Error feedback: axpy(scale, gradient, residual) with scale 1 ("raw") or the learning rate
// ("scaled"), select from the residual, clear_at what was selected.
//
// Order of magnitude: by the bits of |x|, so NaN counts as larger than infinity and is selected
// first: a diverged gradient shows at every worker instead of hiding in one residual. Equal
// magnitudes: the lower index first. Indices come out ascending. Vectors have fewer than 2^31
// elements.
namespace paceline::kernels {

/// A sparse vector: parallel arrays, indices ascending and distinct.
struct SparseView {
  std::span<const std::int32_t> indices;
  std::span<const float> values;
};
struct SparseOutput {
  std::span<std::int32_t> indices;
  std::span<float> values;
};

namespace reference {

/// The k = out.indices.size() largest elements of x, exactly. Throws InputError if k > x.size().
void top_k(std::span<const float> x, SparseOutput out);
/// x[i] = 0 for the given indices: what has been sent leaves the residual (DGC: and the momentum).
void clear_at(std::span<const std::int32_t> indices, std::span<float> x);
/// DGC (arXiv 1712.01887): a threshold that about k of the magnitudes reach, from every `stride`-th
/// element (the first is seed % stride): the round(k/stride)-th largest, at least the first, of the
/// sample.
float sampled_threshold(std::span<const float> x, std::int64_t k, std::int64_t stride,
                        std::uint64_t seed);
/// Gaussian-k (Shi et al., arXiv 1911.08772): the (1 - k/2n) quantile of the normal distribution
/// fitted to x, then at most three corrections, by 0.5 or 1.5, while fewer than 2k/3 or more than
/// 4k/3 magnitudes reach it.
float gaussian_threshold(std::span<const float> x, std::int64_t k);
/// How many magnitudes reach the threshold.
std::int64_t count_reaching(std::span<const float> x, float threshold);
/// The elements whose magnitude reaches the threshold; if they are more than out.indices.size(),
/// the top_k of them. Returns how many were written.
std::int64_t select_reaching(std::span<const float> x, float threshold, SparseOutput out);
/// sum[i] += scale*value for each block in turn, so that all replicas get the same bits.
void scatter_add(std::span<const SparseView> blocks, double scale, std::span<float> sum);
/// gTop-k (arXiv 1901.04359): adds a and b, then keeps the out.indices.size() largest of the sum,
/// or all if there are fewer. Returns how many were written.
std::int64_t merge_top_k(SparseView a, SparseView b, SparseOutput out);

}  // namespace reference
}  // namespace paceline::kernels
