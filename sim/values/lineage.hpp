#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace paceline {

/// Version numbers over the flat parameter vector, constant by pieces; kNone where there is none.
class Versions {
 public:
  static constexpr std::int64_t kNone = -1;

  Versions() { set_all(kNone); }
  /// The newest within [offset, offset + elements).
  [[nodiscard]] std::int64_t newest(std::int64_t offset, std::int64_t elements) const {
    auto piece = std::prev(from_.upper_bound(offset));
    std::int64_t found = piece->second;
    for (++piece; piece != from_.end() && piece->first < offset + elements; ++piece)
      found = std::max(found, piece->second);
    return found;
  }
  void set(std::int64_t offset, std::int64_t elements, std::int64_t version) {
    const std::int64_t end = offset + elements;
    const std::int64_t beyond = std::prev(from_.upper_bound(end))->second;
    from_.erase(from_.lower_bound(offset), from_.upper_bound(end));
    from_[offset] = version;
    from_[end] = beyond;
  }
  void set_all(std::int64_t version) {
    from_.clear();
    from_.emplace(INT64_MIN, version);
  }

 private:
  std::map<std::int64_t, std::int64_t> from_;  // until the next one's key
};

/// Where data come from, for effective staleness: which update of the model they contain (weights),
/// and at which version of the weights they were computed (gradients). What is made of several
/// tensors takes the newest of each.
struct Lineage {
  Versions version, read_at;
};

}  // namespace paceline
