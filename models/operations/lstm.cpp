#include "models/operations/lstm.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

void LstmOp::infer(Inference& i) const {
  const TensorShape& x = i.sequence();
  Inference::at_least(hidden, 1, "hidden");
  if (biases < 0 || biases > 2)
    throw InputError(fmt::format("an LSTM has 0, 1 or 2 biases, found {}", biases));
  i.output({x[0], hidden});
  i.parameter("weight_ih", {4 * hidden, x[1]});
  i.parameter("weight_hh", {4 * hidden, hidden});
  if (biases == 1) i.parameter("bias", {4 * hidden});
  if (biases == 2) {
    i.parameter("bias_ih", {4 * hidden});
    i.parameter("bias_hh", {4 * hidden});
  }
}

SampleCosts LstmOp::costs(const Sizes& s) const {
  SampleCosts c = parameter_costs(s);
  const auto steps = static_cast<double>(s.output[0]);
  const auto h = static_cast<double>(hidden);
  const auto vectors = static_cast<double>(biases);
  const double input_weights = 4 * h * static_cast<double>(s.input[1]);
  const double recurrent_weights = 4 * h * h;
  c.macs = steps * (input_weights + recurrent_weights);
  c.forward_flops = 2 * c.macs + steps * h * (9 + 4 * vectors);
  c.backward_data_flops = 2 * c.macs + 22 * steps * h;
  c.backward_weight_flops = 2 * c.macs + 4 * vectors * steps * h;
  const double gates_and_cell = 5 * s.out;
  c.forward_bytes = kElementBytes * (s.in + s.out + gates_and_cell);
  c.backward_weight_bytes = kElementBytes * (s.in + s.out + 4 * s.out);
  c.backward_bytes = c.backward_weight_bytes +
                     kElementBytes * (gates_and_cell + s.out + 4 * s.out + s.in_gradient);
  c.parameter_bytes = kElementBytes * (input_weights + steps * recurrent_weights + 4 * vectors * h);
  return c;
}

}  // namespace paceline
