#include "models/operations/arrange.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

void SubsamplePadOp::infer(Inference& i) const {
  const TensorShape& x = i.image();
  Inference::at_least(stride, 1, "stride");
  if (channels < x[0])
    throw InputError(fmt::format("{} output channels are fewer than the {} of '{}'", channels, x[0],
                                 i.name_of(0)));
  i.output({channels, (x[1] + stride - 1) / stride, (x[2] + stride - 1) / stride});
}

}  // namespace paceline
