// What collectives compute, not how long they take: every plan is replayed on symbolic data. Each
// rank's copy of each segment is the list of the ranks summed into it; in the end every rank must
// hold every segment with every rank in it exactly once.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "tests/sim/plan_replay.hpp"

namespace paceline {
namespace {

TEST(Plans, RingSumsEverySegmentEverywhere) {
  for (std::uint32_t n = 1; n <= 40; ++n) {
    const Plan plan = plan_ring(n);
    expect_single_ported(plan);
    const auto rounds = unrolled(plan);
    EXPECT_EQ(rounds.size(), 2 * (n - 1));
    Replay replay(n, n);
    for (std::size_t k = 0; k < rounds.size(); ++k) {
      EXPECT_EQ(rounds[k]->messages.size(), n);
      replay_ring_round(
          *rounds[k], static_cast<std::int64_t>(k), n, 1.0 / n, [](std::uint32_t r) { return r; },
          [&](const PlanMessage& m, std::uint32_t segment, Receipt receipt) {
            replay.move(m.from, m.to, segment, receipt);
          });
      replay.end_round();
    }
    EXPECT_TRUE(replay.everyone_has_everything()) << n;
  }
}

// What a rank sends is what it got first (Bruck) or last (neighbour exchange).
void expect_gathers(const Plan& plan, std::size_t rounds, bool first) {
  SCOPED_TRACE(plan.name + " of " + std::to_string(plan.ranks));
  expect_single_ported(plan);
  EXPECT_EQ(unrolled(plan).size(), rounds);
  std::vector<std::vector<std::uint32_t>> has(plan.ranks);
  for (std::uint32_t r = 0; r < plan.ranks; ++r) has[r].push_back(r);
  for (const PlanRound* round : unrolled(plan)) {
    const auto before = has;
    for (const PlanMessage& m : round->messages) {
      const auto& from = before[m.from];
      const auto count = std::lround(m.share * plan.ranks);
      ASSERT_LE(count, std::ssize(from));
      has[m.to].insert(has[m.to].end(), first ? from.begin() : from.end() - count,
                       first ? from.begin() + count : from.end());
    }
  }
  for (std::vector<std::uint32_t>& blocks : has) {
    EXPECT_EQ(blocks.size(), plan.ranks);  // and none twice
    EXPECT_EQ(std::set<std::uint32_t>(blocks.begin(), blocks.end()).size(), plan.ranks);
  }
}

TEST(Plans, ShorterAllGathersBringEveryBlockToEveryRankOnce) {
  for (std::uint32_t n = 1; n <= 40; ++n) {
    expect_gathers(plan_bruck_all_gather(n), std::bit_width(n - 1), true);
    if (n % 2 == 0) expect_gathers(plan_neighbour_all_gather(n), n / 2, false);
  }
  EXPECT_EQ(plan_neighbour_all_gather(7).name, "ring all-gather");
}

TEST(Plans, AllGatherBringsEveryBlockToEveryRank) {
  for (std::uint32_t n = 1; n <= 40; ++n) {
    const Plan plan = plan_all_gather(n);
    expect_single_ported(plan);
    const auto rounds = unrolled(plan);
    EXPECT_EQ(rounds.size(), n - 1);
    std::vector<std::set<std::uint32_t>> has(n);
    for (std::uint32_t r = 0; r < n; ++r) has[r].insert(r);
    for (std::size_t k = 0; k < rounds.size(); ++k) {
      const auto before = has;
      for (const PlanMessage& m : rounds[k]->messages) {
        EXPECT_DOUBLE_EQ(m.share, 1.0 / n);
        const std::uint32_t block =
            modulo(static_cast<std::int64_t>(m.from) - static_cast<std::int64_t>(k), n);
        EXPECT_TRUE(before[m.from].count(block));
        has[m.to].insert(block);
      }
    }
    for (const auto& blocks : has) EXPECT_EQ(blocks.size(), n);
  }
}

// Halving-doubling: each of the p participants keeps an interval of the p segments. In the halving
// half it gives away the half that its partner keeps, in the doubling half it gives what it has.
TEST(Plans, HalvingDoublingSumsEverySegmentEverywhereForAnyN) {
  for (std::uint32_t n = 2; n <= 40; ++n) {
    const Plan plan = plan_halving_doubling(n);
    expect_single_ported(plan);
    const std::uint32_t p = std::bit_floor(n), folded = n - p;
    const auto rounds = unrolled(plan);
    const auto levels = static_cast<std::size_t>(std::countr_zero(p));
    ASSERT_EQ(rounds.size(), 2 * levels + (folded > 0 ? 2 : 0));
    Replay replay(n, p);
    std::map<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>> kept;  // [first, last)
    std::size_t at = 0;
    std::set<std::uint32_t> resting;
    const auto fold = [&](Receipt receipt) {
      for (const PlanMessage& m : rounds[at]->messages) {
        EXPECT_DOUBLE_EQ(m.share, 1);
        if (receipt == Receipt::add)
          resting.insert(m.from);
        else
          EXPECT_TRUE(resting.count(m.to));
        for (std::uint32_t s = 0; s < p; ++s) replay.move(m.from, m.to, s, receipt);
      }
      EXPECT_EQ(rounds[at]->messages.size(), folded);
      replay.end_round();
      ++at;
    };
    if (folded > 0) fold(Receipt::add);
    for (std::uint32_t r = 0; r < n; ++r)
      if (!resting.count(r)) kept[r] = {0, p};
    ASSERT_EQ(kept.size(), p);
    for (std::size_t level = 0; level < levels; ++level, ++at) {
      auto after = kept;
      for (const PlanMessage& m : rounds[at]->messages) {
        ASSERT_TRUE(kept.count(m.from) && kept.count(m.to));
        ASSERT_EQ(kept[m.from], kept[m.to]) << "partners must hold the same interval";
        const auto [first, last] = kept[m.from];
        const std::uint32_t middle = (first + last) / 2;
        EXPECT_DOUBLE_EQ(m.share, static_cast<double>(middle - first) / p);
        const bool to_lower = m.to < m.from;
        after[m.to] = to_lower ? std::pair(first, middle) : std::pair(middle, last);
        for (std::uint32_t s = to_lower ? first : middle; s < (to_lower ? middle : last); ++s)
          replay.move(m.from, m.to, s, Receipt::add);
      }
      replay.end_round();
      kept = after;
    }
    for (const auto& [rank, interval] : kept) EXPECT_EQ(interval.second - interval.first, 1U);
    for (std::size_t level = 0; level < levels; ++level, ++at) {
      auto after = kept;
      for (const PlanMessage& m : rounds[at]->messages) {
        const auto [first, last] = kept[m.from];
        EXPECT_DOUBLE_EQ(m.share, static_cast<double>(last - first) / p);
        for (std::uint32_t s = first; s < last; ++s)
          replay.move(m.from, m.to, s, Receipt::overwrite);
        after[m.to] = {std::min(first, kept[m.to].first), std::max(last, kept[m.to].second)};
        EXPECT_EQ(after[m.to].second - after[m.to].first, 2 * (last - first))
            << "intervals must be neighbours";
      }
      replay.end_round();
      kept = after;
    }
    if (folded > 0) fold(Receipt::overwrite);
    EXPECT_TRUE(replay.everyone_has_everything()) << n;
  }
}

// The trees, built here top-down from the definition: in-order binary trees whose leaves are the
// odd ranks, rank 0 above the rest; the second one mirrored (even N) or shifted by one (odd N).
void add_subtree(std::uint32_t first, std::uint32_t last, std::uint32_t parent,
                 std::vector<std::int64_t>& parents) {
  // The ranks [first, last) hang below `parent`; the top one is the multiple of the highest power
  // of two among them.
  if (first >= last) return;
  std::uint32_t top = first;
  for (std::uint32_t r = first; r < last; ++r)
    if (std::countr_zero(r) > std::countr_zero(top)) top = r;
  parents[top] = parent;
  add_subtree(first, top, top, parents);
  add_subtree(top + 1, last, top, parents);
}

struct TwoTrees {
  struct Edge {
    int tree;
    std::uint32_t from, to;
    bool up;
    std::vector<std::size_t> needs;  // edges that must have carried a chunk before this one can
  };
  explicit TwoTrees(std::uint32_t n) : inner(n, 0) {
    std::vector<std::int64_t> parents(n, -1);
    add_subtree(1, n, 0, parents);
    for (const int tree : {0, 1}) {
      const auto label = [&](std::int64_t r) {
        const auto rank = static_cast<std::uint32_t>(r);
        return tree == 0 ? rank : n % 2 == 0 ? n - 1 - rank : (rank + 1) % n;
      };
      const std::size_t base = edges.size();  // edge base + 2(r-1): r upwards; + 1: r downwards
      std::vector<int> children(n, 0);
      for (std::uint32_t r = 1; r < n; ++r) {
        const std::uint32_t child = label(r), up = label(parents[r]);
        edges.push_back({tree, child, up, true, {}});
        edges.push_back({tree, up, child, false, {}});
        ++children[up];
      }
      for (std::uint32_t r = 1; r < n; ++r) {
        Edge& down = edges[base + 2 * (r - 1) + 1];
        for (std::uint32_t c = 1; c < n; ++c) {
          if (parents[c] == r) edges[base + 2 * (r - 1)].needs.push_back(base + 2 * (c - 1));
          if (parents[r] == 0 && parents[c] == 0) down.needs.push_back(base + 2 * (c - 1));
        }
        if (parents[r] > 0)
          down.needs.push_back(base + 2 * (static_cast<std::size_t>(parents[r]) - 1) + 1);
      }
      for (std::uint32_t r = 0; r < n; ++r) inner[r] += children[r] >= 2;
    }
  }
  std::vector<Edge> edges;
  std::vector<int> inner;  // in how many trees a rank has two children
};

// Plans do not say which chunk a message carries, and some pairs of ranks are neighbours in both
// trees: looks for a reading under which every edge carries its chunks in order and nobody sends
// what it does not have.
class Reading {
 public:
  Reading(const TwoTrees& trees, const Plan& plan, std::int64_t chunks)
      : trees_(trees), chunks_(chunks), sent_(trees.edges.size(), 0) {
    for (std::size_t r = 0; r < plan.rounds.size(); ++r)
      for (const PlanMessage& m : plan.rounds[r].messages) messages_.push_back({r, m});
    edge_of.resize(messages_.size());
    found = read(0);
  }
  bool found = false;
  std::vector<std::size_t> edge_of;  // by message

 private:
  bool read(std::size_t i) {
    if (i == messages_.size())
      return std::all_of(sent_.begin(), sent_.end(), [&](std::int64_t n) { return n == chunks_; });
    const bool new_round = i == 0 || messages_[i].first != messages_[i - 1].first;
    if (!new_round) return assign(i);
    if (failed_.count({i, sent_})) return false;
    const std::vector<std::int64_t> before = before_;
    before_ = sent_;
    if (assign(i)) return true;
    failed_.insert({i, sent_});
    before_ = before;
    return false;
  }
  bool assign(std::size_t i) {
    const PlanMessage& m = messages_[i].second;
    std::vector<std::size_t> candidates;
    for (std::size_t e = 0; e < trees_.edges.size(); ++e) {
      const TwoTrees::Edge& edge = trees_.edges[e];
      if (edge.from == m.from && edge.to == m.to && sent_[e] < chunks_ &&
          std::all_of(edge.needs.begin(), edge.needs.end(),
                      [&](std::size_t need) { return before_[need] > sent_[e]; }))
        candidates.push_back(e);
    }
    std::stable_sort(candidates.begin(), candidates.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(!trees_.edges[a].up, sent_[a]) < std::pair(!trees_.edges[b].up, sent_[b]);
    });
    for (const std::size_t e : candidates) {
      edge_of[i] = e;
      ++sent_[e];
      if (read(i + 1)) return true;
      --sent_[e];
    }
    return false;
  }

  const TwoTrees& trees_;
  std::int64_t chunks_;
  std::vector<std::pair<std::size_t, PlanMessage>> messages_;
  std::vector<std::int64_t> sent_, before_;
  std::set<std::pair<std::size_t, std::vector<std::int64_t>>> failed_;
};

TEST(Plans, DoubleBinaryTreeSumsEveryChunkEverywhere) {
  for (std::uint32_t n = 2; n <= 40; ++n) {
    const TwoTrees trees(n);
    // No rank is inside both trees, or the ports of the inner ranks would be the bottleneck.
    for (std::uint32_t r = 0; r < n; ++r) EXPECT_LE(trees.inner[r], 1) << r << " of " << n;
    for (const std::int64_t chunks : {1, 3, 8}) {
      SCOPED_TRACE(std::to_string(n) + " ranks, " + std::to_string(chunks) + " chunks");
      const Plan plan = plan_double_binary_tree(n, chunks);
      expect_single_ported(plan);
      const Reading reading(trees, plan, chunks);
      ASSERT_TRUE(reading.found);
      Replay replay(n, static_cast<std::size_t>(2 * chunks));
      std::vector<std::int64_t> sent(trees.edges.size(), 0);
      std::size_t i = 0;
      for (const PlanRound* round : unrolled(plan)) {
        for (const PlanMessage& m : round->messages) {
          EXPECT_DOUBLE_EQ(m.share, 1 / (2.0 * static_cast<double>(chunks)));
          const std::size_t e = reading.edge_of[i++];
          const TwoTrees::Edge& edge = trees.edges[e];
          replay.move(m.from, m.to, static_cast<std::size_t>(edge.tree * chunks + sent[e]++),
                      edge.up ? Receipt::add : Receipt::overwrite);
        }
        replay.end_round();
      }
      EXPECT_TRUE(replay.everyone_has_everything());
    }
  }
}

TEST(Plans, GlobalTopKMergesEveryBlockOnceAndBringsTheResultBack) {
  for (std::uint32_t n = 1; n <= 40; ++n) {
    const Plan plan = plan_gtop_k(n);
    expect_single_ported(plan);
    const auto rounds = unrolled(plan);
    const auto levels = static_cast<std::size_t>(std::bit_width(n - 1));
    EXPECT_EQ(rounds.size(), 2 * levels);
    Replay replay(n, 1);
    for (std::size_t k = 0; k < rounds.size(); ++k) {
      for (const PlanMessage& m : rounds[k]->messages) {
        EXPECT_DOUBLE_EQ(m.share, 1);
        replay.move(m.from, m.to, 0, k < levels ? Receipt::add : Receipt::overwrite);
      }
      replay.end_round();
    }
    EXPECT_TRUE(replay.everyone_has_everything()) << n;
  }
}

TEST(Plans, BarrierLetsNobodyPassBeforeAllHaveCome) {
  for (std::uint32_t n = 1; n <= 70; ++n) {
    const Plan plan = plan_barrier(n);
    expect_single_ported(plan);
    std::vector<std::set<std::uint32_t>> heard(n);
    for (std::uint32_t r = 0; r < n; ++r) heard[r].insert(r);
    for (const PlanRound* round : unrolled(plan)) {
      const auto before = heard;
      for (const PlanMessage& m : round->messages) {
        EXPECT_EQ(m.share, 0);
        heard[m.to].insert(before[m.from].begin(), before[m.from].end());
      }
    }
    for (const auto& names : heard) EXPECT_EQ(names.size(), n) << n;
  }
}

TEST(Plans, NamesAreReadAndMisspeltOnesRefused) {
  for (const std::string& name : all_reduce_names())
    EXPECT_EQ(to_string(all_reduce_from_name(name)), name);
  try {
    all_reduce_from_name("rign");
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("ring"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace paceline
