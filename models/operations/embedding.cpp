#include "models/operations/embedding.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

void EmbeddingOp::infer(Inference& i) const {
  Inference::at_least(features, 1, "features");
  Inference::at_least(entries, 1, "entries");
  const std::int64_t largest = i.token_entries();
  if (largest == 0 || i.shape().size() != 1)
    throw InputError(
        fmt::format("needs token numbers [steps], but '{}' is no such input", i.name_of(0)));
  if (largest > entries)
    throw InputError(fmt::format("has {} entries, but '{}' numbers its tokens up to {}", entries,
                                 i.name_of(0), largest - 1));
  i.output({i.shape()[0], features});
  i.parameter("weight", {entries, features});
}

}  // namespace paceline
