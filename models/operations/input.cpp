#include "models/operations/input.hpp"

#include <cmath>

#include "base/error.hpp"

namespace paceline {

void InputOp::infer(Inference& i) const {
  if (shape.empty()) throw InputError("an input needs a shape");
  Inference::at_least(entries, 0, "entries");
  i.output(shape);
}

void OpaqueOp::infer(Inference& i) const {
  Inference::at_least(elements, 1, "elements");
  if (!(flops >= 0 && bytes >= 0 && std::isfinite(flops) && std::isfinite(bytes)))
    throw InputError("flops and bytes must not be negative");
  i.output({1});
  i.parameter_of_same_name({elements});
}

}  // namespace paceline
