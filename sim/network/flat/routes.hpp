#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "platforms/cluster.hpp"

namespace paceline {

/// The routes that transfers have taken, each worked out once and then known by a small number.
class RouteTable {
 public:
  using Id = std::uint32_t;

  explicit RouteTable(const Cluster& cluster) : cluster_(cluster) {}

  /// Open addressing: a node-based map would be half of what a message costs that shares nothing.
  Id of(Endpoint from, Endpoint to) {
    const std::uint64_t key = std::uint64_t{from} << 32 | to;
    if (!slots_.empty())
      for (std::size_t i = place(key); slots_[i].id != kNone; i = (i + 1) & (slots_.size() - 1))
        if (slots_[i].key == key) return slots_[i].id;
    return add(key, from, to);
  }
  [[nodiscard]] std::span<const LinkId> links(Id id) const {
    return {links_.data() + first_[id], links_.data() + first_[id + 1]};
  }
  /// Bytes/s that one transfer gets at most, whatever the links.
  [[nodiscard]] double most(Id id) const { return most_[id]; }
  [[nodiscard]] std::size_t size() const { return first_.size() - 1; }

 private:
  static constexpr Id kNone = UINT32_MAX;
  struct Slot {
    std::uint64_t key = 0;
    Id id = kNone;
  };
  [[nodiscard]] std::size_t place(std::uint64_t key) const {  // Fibonacci hashing
    return static_cast<std::size_t>(key * 0x9E3779B97F4A7C15ULL >> shift_);
  }
  Id add(std::uint64_t key, Endpoint from, Endpoint to);
  void put(Slot slot);

  const Cluster& cluster_;
  std::vector<std::uint32_t> first_{0};  // by route, and one past the end: into links_
  std::vector<LinkId> links_;
  std::vector<double> most_;
  std::vector<Slot> slots_;  // a power of two of them, at most half of them taken
  int shift_ = 64;
  Route route_;
};

}  // namespace paceline
