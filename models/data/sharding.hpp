#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/data/dataset.hpp"

namespace paceline {

/// How the training samples are dealt to workers. Every worker gets equally many.
enum class ShardingKind {
  iid,        ///< at random; of a text, one contiguous stretch each
  dirichlet,  ///< each worker has a mix of classes of its own, drawn from Dirichlet(alpha, ...)
  by_label,   ///< sorted by class and cut into pieces, of which each worker gets a few at random
};
std::string to_string(ShardingKind kind);
/// Throws InputError with the nearest name.
ShardingKind sharding_kind_from_string(std::string_view name);

struct Sharding {
  ShardingKind kind = ShardingKind::iid;
  double alpha = 0.5;       ///< dirichlet: small is uneven (Hsu et al., arXiv 1909.06335)
  std::int64_t pieces = 2;  ///< by_label: per worker (McMahan et al., arXiv 1602.05629)
  std::uint64_t seed = 1;
};

/// Indices of training samples, [worker]; each sample goes to at most one worker, and fewer than
/// `workers` (by_label: pieces*workers) to none. Throws InputError if there are fewer samples than
/// workers (or pieces), if alpha or pieces is not positive, or if a text is to be dealt by class.
std::vector<std::vector<std::int64_t>> deal_samples(const Dataset& data, const Sharding& sharding,
                                                    std::int64_t workers);

}  // namespace paceline
