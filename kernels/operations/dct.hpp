#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/operations/signs.hpp"

// DeMo's compression (Peng et al., arXiv 2411.19870 [code bloc97/DeMo]): the cosine transform of a matrix in small blocks.
namespace paceline::kernels {

/// A tensor as a matrix of blocks, h x w elements each.
struct DctTensor {
  std::size_t offset = 0, rows = 1, columns = 1;
  std::size_t h = 1, w = 1;
  [[nodiscard]] std::size_t blocks() const { return rows / h * (columns / w); }
};

/// The largest divisor of n that is not above `most`: the side of a block.
inline std::size_t block_side(std::size_t n, std::size_t most) {
  for (std::size_t side = std::min(n, most); side > 1; --side)
    if (n % side == 0) return side;
  return 1;
}

/// Orthonormal DCT-II of n points: row k, column i.
inline std::vector<double> dct_matrix(std::size_t n) {
  std::vector<double> matrix(n * n);
  const auto points = static_cast<double>(n);
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t i = 0; i < n; ++i)
      matrix[k * n + i] = std::sqrt((k == 0 ? 1 : 2) / points) *
                          std::cos(std::numbers::pi / points * (static_cast<double>(i) + 0.5) *
                                   static_cast<double>(k));
  return matrix;
}

/// The blocks of some tensors, one after the other: f(where each element of a block lies, h, w).
class DctLayout {
 public:
  explicit DctLayout(std::vector<DctTensor> tensors = {})
      : tensors_(std::make_shared<const std::vector<DctTensor>>(std::move(tensors))) {}

  template <class F>
  void for_each_block(F f) const {
    std::vector<std::size_t> at;
    for (const DctTensor& t : *tensors_)
      for (std::size_t y = 0; y < t.rows; y += t.h)
        for (std::size_t x = 0; x < t.columns; x += t.w) {
          at.resize(t.h * t.w);
          for (std::size_t i = 0; i < at.size(); ++i)
            at[i] = t.offset + (y + i / t.w) * t.columns + x + i % t.w;
          f(at, t.h, t.w);
        }
  }
  /// How many entries the k largest of each block are.
  [[nodiscard]] std::size_t kept(std::size_t k) const {
    std::size_t sum = 0;
    for (const DctTensor& t : *tensors_) sum += t.blocks() * std::min(k, t.h * t.w);
    return sum;
  }

 private:
  std::shared_ptr<const std::vector<DctTensor>> tensors_;
};

/// Transforms blocks in place, with the matrices that it has made.
class Dct {
 public:
  /// `block`, h x w: of its columns and of its rows.
  void operator()(std::vector<double>& block, std::size_t h, std::size_t w, bool back) {
    lines(block, h, w, w, 1, back);
    lines(block, w, 1, h, w, back);
  }

 private:
  // `count` lines of n points each, `stride` apart, beginning `step` after one another.
  void lines(std::vector<double>& block, std::size_t n, std::size_t stride, std::size_t count,
             std::size_t step, bool back) {
    std::vector<double>& matrix = matrices_[n];
    if (matrix.empty()) matrix = dct_matrix(n);
    line_.resize(n);
    for (std::size_t l = 0; l < count; ++l) {
      for (std::size_t k = 0; k < n; ++k) {
        line_[k] = 0;
        for (std::size_t i = 0; i < n; ++i)
          line_[k] += matrix[back ? i * n + k : k * n + i] * block[l * step + i * stride];
      }
      for (std::size_t k = 0; k < n; ++k) block[l * step + k * stride] = line_[k];
    }
  }

  std::map<std::size_t, std::vector<double>> matrices_;
  std::vector<double> line_;
};

/// Of each block's transform the k largest magnitudes (the lower index of equals, a NaN before all), a mask of where they
/// are, and x without them. Bytes as the released code's passes: two products out and two home, a selection, a difference.
struct DctTopK {
  static constexpr std::string_view name = "dct_top_k";
  static constexpr auto reads = names("x");
  static constexpr auto writes = names("coefficients", "mask", "residual");
  DctLayout layout;
  std::size_t k = 32;
  [[nodiscard]] double least_bytes(double elements) const {
    return elements * (2 * 8 + 4 + 2 * 8 + 3 * 4);
  }
  void operator()(Inputs in, Outputs out) const {
    for (const std::span<float>& result : out) std::fill(result.begin(), result.end(), 0.0f);
    Dct transform;
    std::vector<double> block, rest;
    std::vector<std::size_t> order;
    layout.for_each_block([&](const std::vector<std::size_t>& at, std::size_t h, std::size_t w) {
      block.resize(at.size());
      for (std::size_t i = 0; i < at.size(); ++i) block[i] = in[0][at[i]];
      transform(block, h, w, false);
      order.resize(at.size());
      std::iota(order.begin(), order.end(), 0);
      const std::size_t kept = std::min(k, at.size());
      const auto size = [&](std::size_t i) {
        return block[i] == block[i] ? std::abs(block[i]) : INFINITY;
      };
      std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept),
                        order.end(), [&](std::size_t a, std::size_t b) {
                          return size(a) != size(b) ? size(a) > size(b) : a < b;
                        });
      rest.assign(at.size(), 0);
      for (std::size_t e = 0; e < kept; ++e) {
        const std::size_t i = order[e];
        out[0][at[i]] = static_cast<float>(block[i]);
        out[1][at[i]] = 1;
        rest[i] = out[0][at[i]];
      }
      transform(rest, h, w, true);
      for (std::size_t i = 0; i < at.size(); ++i) {
        const auto left = static_cast<float>(in[0][at[i]] - rest[i]);
        out[2][at[i]] = left == left ? left : 0.0f;
      }
    });
  }
};

/// The sign of what coefficients / senders are transformed back to: each coefficient is the mean over those that sent it.
struct DctSign {
  static constexpr std::string_view name = "dct_sign";
  static constexpr auto reads = names("coefficients", "senders");
  static constexpr auto writes = names("sign");
  DctLayout layout;
  [[nodiscard]] double least_bytes(double elements) const { return elements * (2 * 8 + 2 * 4); }
  void operator()(Inputs in, Outputs out) const {
    Dct transform;
    std::vector<double> block;
    layout.for_each_block([&](const std::vector<std::size_t>& at, std::size_t h, std::size_t w) {
      block.resize(at.size());
      for (std::size_t i = 0; i < at.size(); ++i) {
        const double senders = in[1][at[i]];
        block[i] = senders != 0 ? in[0][at[i]] / senders : 0;
      }
      transform(block, h, w, true);
      for (std::size_t i = 0; i < at.size(); ++i)
        out[0][at[i]] = Sign{}(static_cast<float>(block[i]));
    });
  }
};

}  // namespace paceline::kernels
