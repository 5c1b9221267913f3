#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// One message of a collective between two of its ranks. Its size is `share` times the collective's
/// bytes.
struct PlanMessage {
  std::uint32_t from;
  std::uint32_t to;
  double share;
};

/// Messages that belong to the same round: every rank sends at most one and receives at most one. A
/// rank starts its next round when both its messages of this one are through (a loop of
/// MPI_Sendrecv).
struct PlanRound {
  std::int64_t repeat = 1;
  std::uint32_t stage =
      0;  ///< rounds of one stage are merged into one flow per hop at flow fidelity
  bool shared_links = false;  ///< messages share links by design (hierarchical: g rings on one NIC)
  std::vector<PlanMessage> messages;
};

/// What a collective algorithm sends, independent of sizes and of the cluster.
struct Plan {
  std::string name;
  std::uint32_t ranks = 0;
  std::vector<PlanRound> rounds;
};

struct AllReduceOptions;

/// An algorithm of all-reduce: one file of this folder, found by the build. `node_of[r]` is the node
/// of rank r; throws InputError where the algorithm cannot serve them.
struct AllReduceAlgorithm {
  using MakePlan = Plan (*)(const AllReduceOptions& options,
                            const std::vector<std::uint32_t>& node_of);
  int place;  ///< in lists of names
  std::string_view name;
  MakePlan plan;
  MakePlan plan_of_small = nullptr;  ///< of small messages; null: there is one plan for all
};

/// One of the algorithms.
class AllReduce {
 public:
  constexpr explicit AllReduce(const AllReduceAlgorithm& algorithm) : algorithm_(&algorithm) {}
  [[nodiscard]] std::string_view name() const { return algorithm_->name; }
  [[nodiscard]] Plan plan(const AllReduceOptions& options,
                          const std::vector<std::uint32_t>& node_of) const {
    return algorithm_->plan(options, node_of);
  }
  [[nodiscard]] bool depends_on_size() const { return algorithm_->plan_of_small != nullptr; }
  [[nodiscard]] Plan plan_of_small(const AllReduceOptions& options,
                                   const std::vector<std::uint32_t>& node_of) const {
    return algorithm_->plan_of_small(options, node_of);
  }
  bool operator==(const AllReduce&) const = default;

  static const AllReduce ring, double_binary_tree, halving_doubling, hierarchical,
      hierarchical_tree, automatic;

 private:
  const AllReduceAlgorithm* algorithm_;
};
/// Those that files of this folder define, in order of place.
const std::vector<const AllReduceAlgorithm*>& all_reduce_algorithms();
AllReduce all_reduce_from_name(std::string_view name);  ///< throws InputError
std::string to_string(AllReduce algorithm);
std::vector<std::string> all_reduce_names();

/// Options of the algorithms.
struct AllReduceOptions {
  AllReduce algorithm = AllReduce::ring;
  std::int64_t chunks = 8;  ///< of each tree's half of the data (double binary tree)
};

/// `node_of[r]` is the node of rank r: only the hierarchical ones look at it. Where nodes have as many
/// ranks each, they divide the data among a node's ranks; else the first rank of each node sends for
/// it, with pipelined chains of `chunks` pieces inside (as Horovod where nodes are not alike).
Plan plan_all_reduce(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of);

/// Ring: 2(N-1) rounds of S/N to the next rank (Patarasuk and Yuan 2009).
Plan plan_ring(std::uint32_t ranks);
/// Two binary trees, each for half of the data in `chunks` pieces, reduce up then broadcast down,
/// pipelined; a rank is inner in one tree and leaf in the other, and their edges have two colours
/// whose rounds alternate, so that every port is always busy: 4 chunks + O(log N) rounds of S/(2
/// chunks), 2 S/B for many chunks (Sanders, Speck, Traeff 2009, "Two-tree algorithms for full
/// bandwidth broadcast, reduction and scan").
Plan plan_double_binary_tree(std::uint32_t ranks, std::int64_t chunks);
/// Recursive halving, then doubling; ranks beyond the power of two are folded in first
/// (Rabenseifner 2004; Thakur, Rabenseifner, Gropp 2005).
Plan plan_halving_doubling(std::uint32_t ranks);
/// Reduce-scatter inside each node, one ring per local rank between the nodes, all-gather inside.
Plan plan_hierarchical(std::uint32_t nodes, std::uint32_t ranks_per_node);
/// The same with a double binary tree per local rank between the nodes.
Plan plan_hierarchical_tree(std::uint32_t nodes, std::uint32_t ranks_per_node, std::int64_t chunks);
/// Ring all-gather: N-1 rounds; the collective's bytes are those of all blocks together.
Plan plan_all_gather(std::uint32_t ranks);
/// ceil(log2 N) rounds, in which what a rank has doubles (Bruck et al. 1997).
Plan plan_bruck_all_gather(std::uint32_t ranks);
/// N/2 rounds with the two neighbours in turn, of one block, then of two (Chen et al. 2005); of an
/// odd number of ranks the ring.
Plan plan_neighbour_all_gather(std::uint32_t ranks);
/// Ring reduce-scatter: the first half of the ring's all-reduce, N-1 rounds of S/N.
Plan plan_reduce_scatter(std::uint32_t ranks);
/// From `root` down the chain of ranks in `pieces`, pipelined: (N-1) alpha + (N-2+p)/p S/B.
Plan plan_chain_broadcast(std::uint32_t ranks, std::uint32_t root, std::int64_t pieces);
/// From `root` down a binomial tree: ceil(log2 N) rounds of the whole.
Plan plan_tree_broadcast(std::uint32_t ranks, std::uint32_t root);
/// N-1 rounds; in round k every rank sends 1/N of its buffer k ranks on (Thakur, Rabenseifner, Gropp 2005: pairwise
/// exchange): (N-1)(alpha + S/(N B)), S being one rank's buffer.
Plan plan_all_to_all(std::uint32_t ranks);
/// gTop-k: ceil(log2 N) rounds of the whole block up a binary tree, then a broadcast down it.
Plan plan_gtop_k(std::uint32_t ranks);
/// Dissemination barrier: ceil(log2 N) rounds of empty messages (Hensgen, Finkel, Manber 1988).
Plan plan_barrier(std::uint32_t ranks);

}  // namespace paceline
