// Plans of collectives replayed on symbolic data: each rank's copy of each segment is the list of the
// ranks summed into it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "sim/network/collectives/plan.hpp"

namespace paceline {

using Sum = std::vector<std::uint8_t>;  // how often each rank's contribution is in it

enum class Receipt : bool { add, overwrite };

class Replay {
 public:
  Replay(std::uint32_t ranks, std::size_t segments) : data_(ranks) {
    for (std::uint32_t r = 0; r < ranks; ++r)
      data_[r].assign(segments, [&] {
        Sum own(ranks, 0);
        own[r] = 1;
        return own;
      }());
    next_ = data_;
  }
  /// In the round under way; what is sent is what the sender held before the round.
  void move(std::uint32_t from, std::uint32_t to, std::size_t segment, Receipt receipt) {
    Sum& target = next_[to][segment];
    const Sum& sent = data_[from][segment];
    if (receipt == Receipt::overwrite)
      target = sent;
    else
      for (std::size_t i = 0; i < sent.size(); ++i)
        target[i] = static_cast<std::uint8_t>(target[i] + sent[i]);
  }
  void end_round() { data_ = next_; }
  [[nodiscard]] const Sum& at(std::uint32_t rank, std::size_t segment) const {
    return data_[rank][segment];
  }
  [[nodiscard]] bool everyone_has_everything() const {
    for (const auto& rank : data_)
      for (const Sum& sum : rank)
        if (!std::all_of(sum.begin(), sum.end(), [](std::uint8_t n) { return n == 1; }))
          return false;
    return true;
  }

 private:
  std::vector<std::vector<Sum>> data_, next_;  // [rank][segment]
};

/// The plan's rounds with their repetitions written out.
inline std::vector<const PlanRound*> unrolled(const Plan& plan) {
  std::vector<const PlanRound*> rounds;
  for (const PlanRound& round : plan.rounds)
    rounds.insert(rounds.end(), static_cast<std::size_t>(round.repeat), &round);
  return rounds;
}

inline void expect_single_ported(const Plan& plan) {
  for (const PlanRound& round : plan.rounds) {
    std::set<std::uint32_t> senders, receivers;
    for (const PlanMessage& m : round.messages) {
      EXPECT_NE(m.from, m.to);
      EXPECT_LT(m.from, plan.ranks);
      EXPECT_LT(m.to, plan.ranks);
      EXPECT_TRUE(senders.insert(m.from).second) << m.from << " sends twice in one round";
      EXPECT_TRUE(receivers.insert(m.to).second) << m.to << " receives twice in one round";
    }
  }
}

inline std::uint32_t modulo(std::int64_t value, std::uint32_t n) {
  const std::int64_t m = n;
  return static_cast<std::uint32_t>((value % m + m) % m);
}

// Ring: in round k rank r passes on segment r - k, summed; after N-1 rounds it owns r + 1.
inline void replay_ring_round(
    const PlanRound& round, std::int64_t k, std::uint32_t n, double share,
    const std::function<std::uint32_t(std::uint32_t)>& place,
    const std::function<void(const PlanMessage&, std::uint32_t, Receipt)>& move) {
  for (const PlanMessage& m : round.messages) {
    EXPECT_DOUBLE_EQ(m.share, share);
    EXPECT_EQ(place(m.to), (place(m.from) + 1) % n);
    const bool reducing = k < static_cast<std::int64_t>(n) - 1;
    const std::int64_t segment =
        reducing ? place(m.from) - k : place(m.from) + 1 - (k - (static_cast<std::int64_t>(n) - 1));
    move(m, modulo(segment, n), reducing ? Receipt::add : Receipt::overwrite);
  }
}

}  // namespace paceline
