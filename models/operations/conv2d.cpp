#include "models/operations/conv2d.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/error.hpp"

namespace paceline {

void Conv2dOp::infer(Inference& i) const {
  const TensorShape& x = i.image();
  Inference::at_least(channels, 1, "channels");
  Inference::at_least(groups, 1, "groups");
  if (x[0] % groups != 0 || channels % groups != 0)
    throw InputError(fmt::format("{} groups do not divide {} input and {} output channels", groups,
                                 x[0], channels));
  i.output(slide(x, channels, kernel, stride, padding, false));
  i.parameter("weight", {channels, x[0] / groups, kernel.height, kernel.width});
  if (bias) i.parameter("bias", {channels});
}

InitialValues Conv2dOp::initial(std::size_t k, const TensorShape& weight) {
  const double inverse = inverse_root(element_count(weight) / weight[0]);
  return {k == 0 ? std::sqrt(6.0) * inverse : inverse};
}

}  // namespace paceline
