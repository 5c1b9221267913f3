#include "models/operations/softmax_loss.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

void SoftmaxLossOp::infer(Inference& i) const {
  if (!(weight > 0)) throw InputError(fmt::format("weight must be above 0, found {}", weight));
  const TensorShape& x = i.shape();
  if (x.size() > 2 || x.back() < 2)
    throw InputError(
        fmt::format("needs [classes] or [steps, classes] with 2 classes or more, but '{}' gives {}",
                    i.name_of(0), shape_text(x)));
  i.output({1});
}

}  // namespace paceline
