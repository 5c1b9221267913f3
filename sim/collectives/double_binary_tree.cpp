#include <algorithm>
#include <array>
#include <tuple>

#include "sim/collectives/plan.hpp"

namespace paceline {
namespace {

// An in-order binary tree over ranks 0..n-1 with rank 0 on top: odd ranks are leaves, even ones
// inner.
std::uint32_t parent_of(std::uint32_t rank, std::uint32_t ranks) {
  const std::uint32_t low = rank & (~rank + 1);
  const std::uint32_t up = (rank ^ low) | (low << 1);
  return up < ranks ? up : rank ^ low;
}

struct Tree {
  std::vector<std::int64_t> parent;  // -1 at the root
  std::vector<std::vector<std::uint32_t>> children;
};

// The second tree relabels the ranks so that leaves become inner nodes: mirrored for even n,
// shifted for odd n.
Tree make_tree(std::uint32_t ranks, bool second) {
  const auto label = [&](std::uint32_t r) {
    if (!second) return r;
    return ranks % 2 == 0 ? ranks - 1 - r : (r + 1) % ranks;
  };
  Tree tree{std::vector<std::int64_t>(ranks, -1), std::vector<std::vector<std::uint32_t>>(ranks)};
  for (std::uint32_t r = 1; r < ranks; ++r) {
    const std::uint32_t up = parent_of(r, ranks);
    tree.parent[label(r)] = label(up);
    tree.children[label(up)].push_back(label(r));
  }
  return tree;
}

// One edge of one tree in one direction; it carries the chunks 0, 1, 2, ... in order.
struct Channel {
  std::uint32_t tree, from, to;
  bool up;  // reduce: child to parent; else broadcast: parent to child
  std::int64_t sent = 0;
};

class Scheduler {
 public:
  Scheduler(std::uint32_t ranks, std::int64_t chunks) : ranks_(ranks), chunks_(chunks) {
    for (std::uint32_t t = 0; t < 2; ++t) {
      trees_[t] = make_tree(ranks, t == 1);
      reduced_[t].assign(ranks, {});
      delivered_[t].assign(ranks, 0);
      for (std::uint32_t r = 0; r < ranks; ++r) {
        reduced_[t][r].assign(trees_[t].children[r].size(), 0);
        if (trees_[t].parent[r] < 0) continue;
        const auto up = static_cast<std::uint32_t>(trees_[t].parent[r]);
        channels_.push_back({t, r, up, true});
        channels_.push_back({t, up, r, false});
      }
    }
  }

  // Greedy list scheduling, one send and one receive per rank and round: reduce before broadcast,
  // then the oldest chunk first.
  Plan run() {
    Plan plan{"double_binary_tree", ranks_, {}};
    const double share = 1.0 / (2.0 * static_cast<double>(chunks_));
    std::vector<Channel*> order;
    for (Channel& c : channels_) order.push_back(&c);
    while (!order.empty()) {
      std::stable_sort(order.begin(), order.end(), [](const Channel* a, const Channel* b) {
        return std::tuple(!a->up, a->sent) < std::tuple(!b->up, b->sent);
      });
      std::vector<bool> sends(ranks_), receives(ranks_);
      std::vector<Channel*> chosen;
      for (Channel* c : order) {
        if (sends[c->from] || receives[c->to] || available(*c) <= c->sent) continue;
        sends[c->from] = receives[c->to] = true;
        chosen.push_back(c);
      }
      PlanRound round;
      for (Channel* c : chosen) {
        round.messages.push_back({c->from, c->to, share});
        deliver(*c);
      }
      plan.rounds.push_back(std::move(round));
      std::erase_if(order, [&](const Channel* c) { return c->sent == chunks_; });
    }
    return plan;
  }

 private:
  // How many chunks the sender of a channel may have sent by now.
  std::int64_t available(const Channel& c) const {
    const auto& from_children = reduced_[c.tree][c.from];
    const std::int64_t summed = from_children.empty()
                                    ? chunks_
                                    : *std::min_element(from_children.begin(), from_children.end());
    if (c.up) return summed;
    return trees_[c.tree].parent[c.from] < 0 ? summed : delivered_[c.tree][c.from];
  }
  void deliver(Channel& c) {
    ++c.sent;
    if (!c.up) {
      ++delivered_[c.tree][c.to];
      return;
    }
    const auto& children = trees_[c.tree].children[c.to];
    const auto child = std::find(children.begin(), children.end(), c.from) - children.begin();
    ++reduced_[c.tree][c.to][static_cast<std::size_t>(child)];
  }

  std::uint32_t ranks_;
  std::int64_t chunks_;
  std::array<Tree, 2> trees_;
  std::vector<Channel> channels_;
  std::array<std::vector<std::vector<std::int64_t>>, 2>
      reduced_;                                         // [tree][rank][child]: chunks received
  std::array<std::vector<std::int64_t>, 2> delivered_;  // [tree][rank]: chunks broadcast to it
};

}  // namespace

Plan plan_double_binary_tree(std::uint32_t ranks, std::int64_t chunks) {
  if (ranks < 2) return {"double_binary_tree", ranks, {}};
  return Scheduler(ranks, chunks).run();
}

}  // namespace paceline
