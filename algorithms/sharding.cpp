#include "algorithms/sharding.hpp"

namespace paceline {

std::vector<std::vector<Shard>> shard_tensors(const ModelShape& model, std::size_t servers,
                                              std::int64_t split_above) {
  std::vector<std::vector<Shard>> result(model.tensors.size());
  for (TensorId t = 0; t < model.tensors.size(); ++t) {
    const ModelShape::Item& item = model.tensors[t];
    if (item.elements < split_above || servers == 1) {
      const auto server = static_cast<std::uint32_t>(std::size_t{t} * 9973 % servers);
      result[t].push_back({server, t, item.offset, item.elements});
      continue;
    }
    const auto count = static_cast<std::int64_t>(servers);
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int64_t from = item.elements * s / count, to = item.elements * (s + 1) / count;
      result[t].push_back({static_cast<std::uint32_t>(s), t, item.offset + from, to - from});
    }
  }
  return result;
}

}  // namespace paceline
