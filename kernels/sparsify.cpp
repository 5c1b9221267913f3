#include "kernels/sparsify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "base/error.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels::reference {
namespace {

// Orders like the magnitude; NaN above infinity.
std::uint32_t key(float x) {
  return std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFu;
}

// The `rank`-th largest key (rank >= 1) of x, and how many keys are larger.
struct Threshold {
  std::uint32_t key;
  std::size_t larger;
};

// Radix select: a histogram of the leading 11 bits leaves the candidates of one bin.
Threshold ranked_key(std::span<const float> x, std::size_t rank) {
  constexpr int shift = 20;
  std::array<std::size_t, 2048> histogram{};
  for (float value : x) ++histogram[key(value) >> shift];
  std::size_t bin = histogram.size() - 1, above = 0;
  while (above + histogram[bin] < rank) above += histogram[bin--];

  std::vector<std::uint32_t> candidates;
  candidates.reserve(histogram[bin]);
  for (float value : x)
    if (key(value) >> shift == bin) candidates.push_back(key(value));
  const auto nth = candidates.begin() + static_cast<std::ptrdiff_t>(rank - above - 1);
  std::nth_element(candidates.begin(), nth, candidates.end(), std::greater<>{});
  const auto larger = std::count_if(candidates.begin(), nth,
                                    [&](std::uint32_t candidate) { return candidate > *nth; });
  return {*nth, above + static_cast<std::size_t>(larger)};
}

// Keeps the largest of the parallel arrays indices and values; returns how many were written.
std::int64_t keep_largest(std::span<const std::int32_t> indices, std::span<const float> values,
                          SparseOutput out) {
  const std::size_t kept = std::min(indices.size(), out.indices.size());
  top_k(values, {out.indices.first(kept), out.values.first(kept)});
  for (std::int32_t& position : out.indices.first(kept))
    position = indices[static_cast<std::size_t>(position)];
  return static_cast<std::int64_t>(kept);
}

}  // namespace

void top_k(std::span<const float> x, SparseOutput out) {
  const std::size_t k = out.indices.size();
  if (k > x.size())
    throw InputError(fmt::format("top-k: cannot select {} of {} elements", k, x.size()));
  if (k == 0) return;
  const Threshold threshold = ranked_key(x, k);
  std::size_t ties = k - threshold.larger, written = 0;
  for (std::size_t i = 0; written < k; ++i) {
    const std::uint32_t magnitude = key(x[i]);
    if (magnitude < threshold.key) continue;
    if (magnitude == threshold.key) {
      if (ties == 0) continue;
      --ties;
    }
    out.indices[written] = static_cast<std::int32_t>(i);
    out.values[written++] = x[i];
  }
}

void clear_at(std::span<const std::int32_t> indices, std::span<float> x) {
  for (std::int32_t i : indices) x[static_cast<std::size_t>(i)] = 0;
}

float sampled_threshold(std::span<const float> x, std::int64_t k, std::int64_t stride,
                        std::uint64_t seed) {
  if (x.empty() || k < 1 || stride < 1)
    throw InputError(
        fmt::format("sampled threshold: needs elements, k and stride of at least 1, "
                    "found {}, {} and {}",
                    x.size(), k, stride));
  const auto step = std::min(static_cast<std::size_t>(stride), x.size());
  std::vector<float> sample;
  for (std::size_t i = seed % step; i < x.size(); i += step) sample.push_back(x[i]);
  const auto wanted = std::llround(static_cast<double>(k) / static_cast<double>(step));
  const auto rank = std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1, sample.size());
  return std::bit_cast<float>(ranked_key(sample, rank).key);
}

float gaussian_threshold(std::span<const float> x, std::int64_t k) {
  const auto n = static_cast<std::int64_t>(x.size());
  if (k < 1 || k > n)
    throw InputError(fmt::format("Gaussian threshold: cannot select {} of {} elements", k, n));
  const double count = static_cast<double>(n);
  const auto at = [&](std::int64_t i) { return double(x[static_cast<std::size_t>(i)]); };
  const double mean = interleaved_sum<double>(n, at) / count;
  const double squares =
      interleaved_sum<double>(n, [&](std::int64_t i) { return (at(i) - mean) * (at(i) - mean); });
  const double deviation = std::sqrt(squares / std::max(count - 1, 1.0));
  // The (1 - k/2n) quantile of the standard normal is sqrt(2) * erf^-1(1 - k/n).
  const double share = static_cast<double>(k) / count;
  auto threshold =
      static_cast<float>(mean + std::numbers::sqrt2 * boost::math::erf_inv(1 - share) * deviation);
  for (int correction = 0; correction < 3; ++correction) {
    const std::int64_t reaching = count_reaching(x, threshold);
    if (3 * reaching < 2 * k)
      threshold *= 0.5f;
    else if (3 * reaching > 4 * k)
      threshold *= 1.5f;
    else
      break;
  }
  return threshold;
}

std::int64_t count_reaching(std::span<const float> x, float threshold) {
  const std::uint32_t limit = threshold > 0 || threshold != threshold ? key(threshold) : 0;
  std::int64_t count = 0;
  for (float value : x) count += key(value) >= limit;
  return count;
}

std::int64_t select_reaching(std::span<const float> x, float threshold, SparseOutput out) {
  const std::uint32_t limit = threshold > 0 || threshold != threshold ? key(threshold) : 0;
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (key(x[i]) >= limit) {
      indices.push_back(static_cast<std::int32_t>(i));
      values.push_back(x[i]);
    }
  return keep_largest(indices, values, out);
}

void scatter_add(std::span<const SparseView> blocks, double scale, std::span<float> sum) {
  const auto factor = static_cast<float>(scale);
  for (const SparseView& block : blocks)
    for (std::size_t i = 0; i < block.indices.size(); ++i)
      sum[static_cast<std::size_t>(block.indices[i])] += factor * block.values[i];
}

std::int64_t merge_top_k(SparseView a, SparseView b, SparseOutput out) {
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  std::size_t i = 0, j = 0;
  while (i < a.indices.size() || j < b.indices.size()) {
    const std::int32_t from_a = i < a.indices.size() ? a.indices[i] : INT32_MAX;
    const std::int32_t from_b = j < b.indices.size() ? b.indices[j] : INT32_MAX;
    indices.push_back(std::min(from_a, from_b));
    if (from_a < from_b)
      values.push_back(a.values[i++]);
    else if (from_b < from_a)
      values.push_back(b.values[j++]);
    else
      values.push_back(a.values[i++] + b.values[j++]);
  }
  return keep_largest(indices, values, out);
}

}  // namespace paceline::kernels::reference
