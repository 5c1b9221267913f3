#include "models/operations/attention.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

void AttentionOp::infer(Inference& i) const {
  TensorShape query = i.sequence();
  Inference::at_least(heads, 1, "heads");
  Inference::at_least(kv_heads, 0, "kv_heads");
  Inference::probability(dropout);
  if (heads % key_heads() != 0)
    throw InputError(fmt::format("{} kv_heads do not divide {} heads", key_heads(), heads));
  if (i.inputs() == 2) throw InputError("takes Q, K and V, or one input that holds all three");
  if (i.inputs() == 1) {
    const std::int64_t all = heads + 2 * key_heads();
    if (query[1] % all != 0)
      throw InputError(
          fmt::format("{} features are not those of {} heads of Q, K and V", query[1], all));
    query[1] = query[1] / all * heads;
  } else {
    if (query[1] % heads != 0)
      throw InputError(fmt::format("{} heads do not divide {} features", heads, query[1]));
    const std::int64_t width = query[1] / heads * key_heads();
    if (i.sequence(1)[1] != width) i.refuse_shapes("needs as many features for each head, but", 1);
    if (i.shape(2) != i.shape(1)) i.refuse_shapes("needs K and V of equal shapes, but", 2);
  }
  i.output(query);
  if (relative_buckets > 0)
    i.parameter("relative_attention_bias.weight", {relative_buckets, heads});
}

}  // namespace paceline
