#pragma once

#include <vector>

#include "algorithms/worker.hpp"

namespace paceline {

/// How tensors are spread over parameter servers [code of MXNet's kvstore_dist.h, as OD-SGD uses
/// it]: a tensor of fewer than `split_above` elements goes whole to server (key * 9973) mod S, a
/// larger one is split evenly over all. result[t]: the shards of tensor t.
std::vector<std::vector<Shard>> shard_tensors(const ModelShape& model, std::size_t servers,
                                              std::int64_t split_above = 1'000'000);

}  // namespace paceline
