#include <algorithm>
#include <array>
#include <tuple>

#include "sim/network/collectives/plan.hpp"

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
  bool up;              // reduce: child to parent; else broadcast: parent to child
  unsigned colour = 2;  // 0, 1: rounds of this parity are its own; 2: not coloured yet
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
    colour();
  }

  // List scheduling, one send and one receive per rank and round. First the messages whose colour's
  // round it is, reduce before broadcast: no two of either kind share a port, so all that are ready
  // leave, the reduction takes 2 chunks + O(log N) rounds, and so does the broadcast behind it
  // (Sanders, Speck, Traeff 2009, section 2). Then, on the ports left over, whatever else is ready,
  // the oldest chunk first.
  Plan run() {
    Plan plan{"double_binary_tree", ranks_, {}};
    const double share = 1.0 / (2.0 * static_cast<double>(chunks_));
    std::vector<Channel*> order;
    for (Channel& c : channels_) order.push_back(&c);
    while (!order.empty()) {
      const auto turn = [colour = plan.rounds.size() % 2](const Channel* c) {
        return std::tuple(c->colour != colour, !c->up, c->sent);
      };
      std::stable_sort(order.begin(), order.end(),
                       [&](const Channel* a, const Channel* b) { return turn(a) < turn(b); });
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
    // As flows: all that mainly reduces, then all that mainly broadcasts. At once, sharing the
    // ports evenly instead of taking turns, they would take 8 % longer than the schedule.
    for (std::size_t r = plan.rounds.size() / 2; r < plan.rounds.size(); ++r)
      plan.rounds[r].stage = 1;
    return plan;
  }

 private:
  // Two colours for the edges of both trees together, such that a rank's edges to its parents
  // differ and so do those to its children. A rank has at most two of each: as links between
  // senders and receivers the edges form paths and even cycles, along which the colours alternate.
  void colour() {
    std::vector<std::vector<Channel*>> to_parents(ranks_), to_children(ranks_);
    for (Channel& c : channels_)
      if (c.up) {
        to_parents[c.from].push_back(&c);
        to_children[c.to].push_back(&c);
      }
    const auto walk = [&](Channel* c, unsigned colour, bool at_sender) {
      while (c != nullptr && c->colour == 2) {
        c->colour = colour;
        colour = 1 - colour;
        const auto& edges = at_sender ? to_parents[c->from] : to_children[c->to];
        at_sender = !at_sender;
        c = edges.size() < 2 ? nullptr : edges[edges[0] == c ? 1 : 0];
      }
    };
    for (Channel& c : channels_) {
      if (!c.up || c.colour != 2) continue;
      walk(&c, 0, true);
      const auto& siblings = to_children[c.to];  // the path's other direction
      if (siblings.size() == 2) walk(siblings[siblings[0] == &c ? 1 : 0], 1, true);
    }
    // A channel down stands behind the one up of its edge.
    for (std::size_t i = 0; i < channels_.size(); i += 2)
      channels_[i + 1].colour = channels_[i].colour;
  }

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

extern const AllReduceAlgorithm kDoubleBinaryTree{
    1, "double_binary_tree",
    [](const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
      return plan_double_binary_tree(static_cast<std::uint32_t>(node_of.size()), options.chunks);
    }};

}  // namespace paceline
