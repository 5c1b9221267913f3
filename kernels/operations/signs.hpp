#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/operations/whole_vector.hpp"

// What is sent in a bit or two an element: signs, votes, chunk-wise selections, and the Adam that lives with them. `sent` is
// what arrives; the least bytes count its code. What is no number stays none.
namespace paceline::kernels {

/// -1, 0 or 1
struct Sign {
  static constexpr std::string_view name = "sign";
  static constexpr auto reads = names("x");
  static constexpr auto writes = names("sent");
  static constexpr double bytes_per_element = 4 + 0.125;
  PACELINE_DEVICE float operator()(float x) const {
    return x == x ? static_cast<float>((x > 0) - (x < 0)) : x;
  }
};

/// signSGD's vote (Bernstein et al., ICML 2018, arXiv 1802.04434): the sign of the sum over `voters` blocks that lie one
/// behind the other; a tie is 0.
struct MajorityVote {
  static constexpr std::string_view name = "majority_vote";
  static constexpr auto reads = names("blocks");
  static constexpr auto writes = names("vote");
  std::size_t voters = 1;
  [[nodiscard]] double least_bytes(double elements) const {
    return elements * (static_cast<double>(voters) + 1) / 8;
  }
  void operator()(Inputs in, Outputs out) const {
    const std::size_t count = out[0].size();
    for (std::size_t i = 0; i < count; ++i) {
      float sum = 0;
      for (std::size_t v = 0; v < voters; ++v) sum += in[0][v * count + i];
      out[0][i] = Sign{}(sum);
    }
  }
};

/// The mean over `parts` blocks that lie one behind the other, weighted by 1 / parts.
struct MeanOfBlocks {
  static constexpr std::string_view name = "mean_of_blocks";
  static constexpr auto reads = names("blocks");
  static constexpr auto writes = names("mean");
  std::size_t parts = 1;
  [[nodiscard]] double least_bytes(double elements) const {
    return elements * (static_cast<double>(parts) / 8 + 4);
  }
  void operator()(Inputs in, Outputs out) const {
    const std::size_t count = out[0].size();
    for (std::size_t i = 0; i < count; ++i) {
      float sum = 0;
      for (std::size_t p = 0; p < parts; ++p) sum += in[0][p * count + i];
      out[0][i] = sum / static_cast<float>(parts);
    }
  }
};

/// One bit with error feedback [code microsoft/DeepSpeed, runtime/comm/nccl.py]: b = x + error; sent = sign(b) |b|_2 / sqrt(n),
/// with sign(0) = 1; error = b - sent.
struct SignCompress {
  static constexpr std::string_view name = "sign_compress";
  static constexpr auto reads = names("x", "error");
  static constexpr auto writes = names("sent", "error");
  [[nodiscard]] double least_bytes(double elements) const { return elements * (4 * 4 + 0.125); }
  void operator()(Inputs in, Outputs out) const {
    double square = 0;
    const std::size_t n = in[0].size();
    for (std::size_t i = 0; i < n; ++i) square += std::pow(double{in[0][i]} + in[1][i], 2);
    const auto scale =
        n > 0 ? static_cast<float>(std::sqrt(square / static_cast<double>(n))) : 0.0f;
    for (std::size_t i = 0; i < n; ++i) {
      const float sum = in[0][i] + in[1][i];
      const float sent = sum < 0 ? -scale : scale;
      out[0][i] = sum == sum ? sent : sum;
      out[1][i] = sum == sum ? sum - sent : 0.0f;
    }
  }
};

/// SparseLoCo (arXiv 2508.15706): of each chunk the `density` largest magnitudes, at least one; with `bits` 2 as their sign
/// and one of two sizes, the mean of the larger and of the smaller half of those kept [derived: the paper's levels are not
/// stated here]; with 32 as they are. residual = x - sent.
struct ChunkTopK {
  static constexpr std::string_view name = "chunk_top_k";
  static constexpr auto reads = names("x");
  static constexpr auto writes = names("sent", "residual");
  std::size_t chunk = 4096;
  double density = 0.01;
  int bits = 2;
  [[nodiscard]] double least_bytes(double elements) const {
    return elements * (2 * 4 + density * (bits + 12) / 8);
  }
  void operator()(Inputs in, Outputs out) const {
    const std::span<const float> x = in[0];
    std::fill(out[0].begin(), out[0].end(), 0.0f);
    std::copy(x.begin(), x.end(), out[1].begin());
    std::vector<std::size_t> order;
    for (std::size_t first = 0; first < x.size(); first += chunk) {
      const std::size_t count = std::min(chunk, x.size() - first);
      const auto kept = std::clamp<std::size_t>(
          static_cast<std::size_t>(std::llround(density * static_cast<double>(count))), 1, count);
      order.resize(count);
      std::iota(order.begin(), order.end(), first);
      // A NaN is sent before anything else: the others must see it.
      const auto size = [&](std::size_t i) { return x[i] == x[i] ? std::abs(x[i]) : INFINITY; };
      std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept),
                        order.end(), [&](std::size_t a, std::size_t b) {
                          return size(a) != size(b) ? size(a) > size(b) : a < b;
                        });
      const std::size_t half = (kept + 1) / 2;
      const auto mean = [&](std::size_t from, std::size_t to) {
        double sum = 0;
        for (std::size_t i = from; i < to; ++i) sum += std::abs(x[order[i]]);
        return to > from ? static_cast<float>(sum / static_cast<double>(to - from)) : 0.0f;
      };
      const float large = mean(0, half), small = mean(half, kept);
      for (std::size_t k = 0; k < kept; ++k) {
        const std::size_t i = order[k];
        out[0][i] =
            bits >= 32 || x[i] != x[i] ? x[i] : std::copysign(k < half ? large : small, x[i]);
        out[1][i] = x[i] == x[i] ? x[i] - out[0][i] : 0.0f;
      }
    }
  }
};

/// 1 at the k largest magnitudes (the lower index of equals, a NaN before all), 0 elsewhere.
struct TopKMask {
  static constexpr std::string_view name = "top_k_mask";
  static constexpr auto reads = names("x");
  static constexpr auto writes = names("mask");
  std::size_t k = 1;
  [[nodiscard]] double least_bytes(double elements) const {
    return elements * 4 + static_cast<double>(k) * 4;
  }
  void operator()(Inputs in, Outputs out) const {
    const std::span<const float> x = in[0];
    std::vector<std::size_t> order(x.size());
    std::iota(order.begin(), order.end(), 0);
    const std::size_t kept = std::min(k, x.size());
    const auto size = [&](std::size_t i) { return x[i] == x[i] ? std::abs(x[i]) : INFINITY; };
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                      [&](std::size_t a, std::size_t b) {
                        return size(a) != size(b) ? size(a) > size(b) : a < b;
                      });
    std::fill(out[0].begin(), out[0].end(), 0.0f);
    for (std::size_t i = 0; i < kept; ++i) out[0][order[i]] = 1;
  }
};

/// What of x is sent where the mask is not 0, and what stays.
struct SplitByMask {
  static constexpr std::string_view name = "split_by_mask";
  static constexpr auto reads = names("x", "mask");
  static constexpr auto writes = names("sent", "residual");
  struct Result {
    float sent, residual;
  };
  PACELINE_DEVICE Result operator()(float x, float mask) const {
    return mask != 0 ? Result{x, 0.0f} : Result{0.0f, x};
  }
};

/// Adam's means: m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g g.
struct AdamMeans {
  static constexpr std::string_view name = "adam_means";
  static constexpr auto reads = names("gradient", "mean", "square");
  static constexpr auto writes = names("mean", "square");
  Parameter beta1 = 0.9, rest1 = 0.1, beta2 = 0.999, rest2 = 0.001;
  struct Result {
    float mean, square;
  };
  PACELINE_DEVICE Result operator()(float g, float m, float v) const {
    return {beta1 * m + rest1 * g, beta2 * v + rest2 * g * g};
  }
};

/// x - rate m / (sqrt(v) + epsilon): Adam's step without bias correction, as 1-bit Adam's after its warm-up.
struct AdamStep {
  static constexpr std::string_view name = "adam_step";
  static constexpr auto reads = names("weights", "mean", "square");
  static constexpr auto writes = names("weights");
  Parameter rate = 1e-3, epsilon = 1e-8;
  PACELINE_DEVICE float operator()(float x, float m, float v) const {
    return x - rate * m / (std::sqrt(v) + epsilon);
  }
};

}  // namespace paceline::kernels
