#include "models/data/sharding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "models/data/random_stream.hpp"
#include "models/data/shuffle.hpp"

namespace paceline {
namespace {

using Shards = std::vector<std::vector<std::int64_t>>;

constexpr std::uint64_t kDealing = 0, kMixing = 1;  // random streams

// log of a Gamma(shape) variate (Marsaglia & Tsang 2000). In logarithms, as variates of small shape
// underflow.
double log_gamma_variate(double shape, RandomStream& random) {
  if (shape < 1)
    return log_gamma_variate(shape + 1, random) + std::log((random.word() + .5) * 0x1p-32) / shape;
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = random.normal(), root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root, u = (random.word() + .5) * 0x1p-32;
    if (std::log(u) < .5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

std::vector<double> dirichlet(double alpha, std::int64_t classes, RandomStream& random) {
  std::vector<double> mix;
  for (std::int64_t c = 0; c < classes; ++c) mix.push_back(log_gamma_variate(alpha, random));
  const double largest = *std::max_element(mix.begin(), mix.end());
  for (double& share : mix) share = std::exp(share - largest);
  return mix;
}

Shards pieces_of(const std::vector<std::int64_t>& samples, std::int64_t count) {
  const std::int64_t size = static_cast<std::int64_t>(samples.size()) / count;
  Shards pieces;
  for (std::int64_t i = 0; i < count; ++i)
    pieces.emplace_back(samples.begin() + i * size, samples.begin() + (i + 1) * size);
  return pieces;
}

// `samples` is shuffled.
Shards deal_dirichlet(const Dataset& data, const std::vector<std::int64_t>& samples, double alpha,
                      std::int64_t workers, RandomStream& random) {
  Shards left(static_cast<std::size_t>(data.classes()));  // samples of each class
  for (const std::int64_t i : samples)
    left[static_cast<std::size_t>(data.label(Split::train, i))].push_back(i);
  Shards shards(static_cast<std::size_t>(workers));
  const std::size_t size = samples.size() / static_cast<std::size_t>(workers);
  for (auto& shard : shards) {
    std::vector<double> mix = dirichlet(alpha, data.classes(), random);
    while (shard.size() < size) {
      double total = 0;
      for (std::size_t c = 0; c < mix.size(); ++c) total += left[c].empty() ? 0 : mix[c];
      if (total < 1e-300) {  // all that this worker likes is gone: what is left, in equal parts
        std::fill(mix.begin(), mix.end(), 1.0);
        continue;
      }
      double u = random.uniform() * total;
      std::size_t chosen = mix.size();
      for (std::size_t c = 0; c < mix.size(); ++c) {
        if (left[c].empty()) continue;
        chosen = c;
        if ((u -= mix[c]) < 0) break;
      }
      shard.push_back(left[chosen].back());
      left[chosen].pop_back();
    }
  }
  return shards;
}

Shards deal_by_label(const Dataset& data, std::vector<std::int64_t> samples, std::int64_t pieces,
                     std::int64_t workers, RandomStream& random) {
  std::stable_sort(samples.begin(), samples.end(), [&](std::int64_t a, std::int64_t b) {
    return data.label(Split::train, a) < data.label(Split::train, b);
  });
  Shards cut = pieces_of(samples, workers * pieces);
  shuffle(cut, random);
  Shards shards(static_cast<std::size_t>(workers));
  for (std::size_t i = 0; i < cut.size(); ++i) {
    auto& shard = shards[i / static_cast<std::size_t>(pieces)];
    shard.insert(shard.end(), cut[i].begin(), cut[i].end());
  }
  return shards;
}

void check(const Dataset& data, const Sharding& sharding, std::int64_t workers) {
  if (workers < 1) throw InputError(fmt::format("{} workers, expected 1 or more", workers));
  if (!(sharding.alpha > 0 && std::isfinite(sharding.alpha)))
    throw InputError(fmt::format("sharding: alpha must be positive, found {}", sharding.alpha));
  if (sharding.pieces < 1)
    throw InputError(fmt::format("sharding: pieces must be 1 or more, found {}", sharding.pieces));
  if (data.sequential() && sharding.kind != ShardingKind::iid)
    throw InputError(fmt::format("sharding '{}' needs classes, but data set '{}' is a text",
                                 to_string(sharding.kind), data.name()));
  const std::int64_t parts =
      workers * (sharding.kind == ShardingKind::by_label ? sharding.pieces : 1);
  if (data.size(Split::train) < parts)
    throw InputError(fmt::format("data set '{}' has {} training samples, too few for {} parts",
                                 data.name(), data.size(Split::train), parts));
}

}  // namespace

std::string to_string(ShardingKind kind) {
  switch (kind) {
    case ShardingKind::iid:
      return "iid";
    case ShardingKind::dirichlet:
      return "dirichlet";
    case ShardingKind::by_label:
      return "by_label";
  }
  return "?";
}

ShardingKind sharding_kind_from_string(std::string_view name) {
  std::vector<std::string> names;
  for (const ShardingKind kind :
       {ShardingKind::iid, ShardingKind::dirichlet, ShardingKind::by_label}) {
    names.push_back(to_string(kind));
    if (names.back() == name) return kind;
  }
  throw InputError(unknown_name("sharding", name, names));
}

Shards deal_samples(const Dataset& data, const Sharding& sharding, std::int64_t workers) {
  check(data, sharding, workers);
  std::vector<std::int64_t> samples(static_cast<std::size_t>(data.size(Split::train)));
  std::iota(samples.begin(), samples.end(), 0);
  if (data.sequential()) return pieces_of(samples, workers);
  RandomStream dealing(sharding.seed, kDealing), mixing(sharding.seed, kMixing);
  shuffle(samples, dealing);
  switch (sharding.kind) {
    case ShardingKind::dirichlet:
      return deal_dirichlet(data, samples, sharding.alpha, workers, mixing);
    case ShardingKind::by_label:
      return deal_by_label(data, std::move(samples), sharding.pieces, workers, mixing);
    default:
      return pieces_of(samples, workers);
  }
}

}  // namespace paceline
