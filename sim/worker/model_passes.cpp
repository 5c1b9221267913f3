#include "sim/worker/model_passes.hpp"

namespace paceline {

PassTimes::PassTimes(const ModelShape& model, std::int64_t accumulation, double overhead)
    : forward_s{0},
      backward_s{0},
      backward_position(model.tensors.size()),
      backward_order(model.backward_order),
      earlier(accumulation - 1),
      overhead_s(overhead) {
  for (const ModelShape::Item& tensor : model.tensors)
    forward_s.push_back(forward_s.back() + tensor.forward_s);
  for (std::uint32_t i = 0; i < backward_order.size(); ++i) {
    backward_position[backward_order[i]] = i;
    backward_s.push_back(backward_s.back() + model.tensors[backward_order[i]].backward_s);
  }
}

ModelPasses::Piece ModelPasses::forward_to(std::uint32_t position) {
  if (position < forward_) position = forward_;
  Piece piece{(times_.forward_s[position] - times_.forward_s[forward_]) * factor_, -1, forward_,
              position};
  if (forward_ == 0 && position > 0) {
    piece.earlier = times_.earlier;
    piece.seconds += times_.overhead_s;
  }
  if (position - forward_ == 1) piece.tensor = static_cast<std::int32_t>(forward_);
  forward_ = position;
  return piece;
}

}  // namespace paceline
