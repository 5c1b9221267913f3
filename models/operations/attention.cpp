#include "models/operations/attention.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

void AttentionOp::infer(Inference& i) const {
  const TensorShape& query = i.sequence();
  Inference::at_least(heads, 1, "heads");
  Inference::probability(dropout);
  for (std::size_t k = 0; k < i.inputs(); ++k)
    if (i.shape(k) != query) i.refuse_shapes("needs equal shapes, but", k);
  if (query[1] % heads != 0)
    throw InputError(fmt::format("{} heads do not divide {} features", heads, query[1]));
  i.output(query);
}

}  // namespace paceline
