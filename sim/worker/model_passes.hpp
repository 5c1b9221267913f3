#pragma once

#include <cstdint>
#include <vector>

#include "algorithms/model_shape.hpp"

namespace paceline {

/// What the passes of one training step take on an undisturbed device: cumulative over the tensors.
struct PassTimes {
  /// `accumulation` micro-batches per step; `overhead_s` once per step, before forward.
  PassTimes(const ModelShape& model, std::int64_t accumulation, double overhead_s);

  std::vector<double> forward_s;                 ///< [i]: through tensors 0..i-1
  std::vector<double> backward_s;                ///< [i]: through the first i of backward_order
  std::vector<std::uint32_t> backward_position;  ///< of each tensor in backward_order
  const std::vector<TensorId>& backward_order;
  std::int64_t earlier;  ///< micro-batches before the last one, whose gradient nobody waits for
  double overhead_s;
};

/// How far one worker's passes of the current step have been enqueued.
class ModelPasses {
 public:
  /// A piece of a pass, from where the last one ended.
  struct Piece {
    double seconds = 0;
    std::int32_t tensor = -1;        ///< if it is that of a single one
    std::uint32_t from = 0, to = 0;  ///< positions
    std::int64_t earlier = 0;  ///< whole micro-batches, forward and backward, that come before it
    [[nodiscard]] bool empty() const { return from == to; }  ///< enqueued already
  };

  explicit ModelPasses(const PassTimes& times) : times_(times) {}
  /// Passes of a new step, at `factor` times the profile's times.
  void begin_step(double factor) {
    forward_ = backward_ = 0;
    factor_ = factor;
  }
  [[nodiscard]] double factor() const { return factor_; }
  [[nodiscard]] double whole_forward_s() const { return times_.forward_s.back() * factor_; }
  [[nodiscard]] double whole_backward_s() const { return times_.backward_s.back() * factor_; }
  /// The forward pass as far as `position` tensors.
  [[nodiscard]] Piece forward_to(std::uint32_t position);
  /// The backward pass as far as the first `position` tensors of its order.
  [[nodiscard]] Piece backward_to(std::uint32_t position) {
    // A gradient that is on its way already takes no time of its own: the stream is in order.
    if (position <= backward_) return {};
    Piece piece{(times_.backward_s[position] - times_.backward_s[backward_]) * factor_, -1,
                backward_, position};
    if (position - backward_ == 1)
      piece.tensor = static_cast<std::int32_t>(times_.backward_order[backward_]);
    backward_ = position;
    return piece;
  }
  /// The piece that yields this tensor's gradient.
  [[nodiscard]] Piece backward_through(TensorId tensor) {
    return backward_to(times_.backward_position[tensor] + 1);
  }

 private:
  const PassTimes& times_;
  std::uint32_t forward_ = 0, backward_ = 0;  // tensors whose pass is enqueued
  double factor_ = 1;
};

}  // namespace paceline
