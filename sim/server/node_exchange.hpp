#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "algorithms/server.hpp"
#include "sim/time/clock.hpp"
#include "sim/time/continuations.hpp"
#include "sim/time/wire_time.hpp"

namespace paceline {

/// The workers of one node before the parameter servers, where the software reduces inside the node
/// first: one push and one pull go out for all of them. The n-th push of a shard by one worker
/// belongs to the n-th of the others, and so do pulls.
class NodeExchange {
 public:
  /// `workers` of the node; its sums take `bandwidth` of the bytes that are added.
  NodeExchange(Clock& clock, Continuations& later, std::size_t workers, double bandwidth)
      : clock_(clock), later_(later), workers_(workers), bandwidth_(bandwidth) {}

  using Send = std::function<void(std::vector<Request> pushes)>;
  /// A worker's push of `bytes`. The last worker's `send` gets all of them once they are summed.
  void push(Request request, double bytes, Send send);
  /// A worker's pull: null if it is the one that asks, else the call whose answer is this one's too.
  CompletionRef pull(std::uint32_t worker, const Shard& shard, const CompletionRef& call);

  /// On the wire together.
  std::vector<WireTime*> wires;

 private:
  using Key = std::pair<std::int64_t, std::uint64_t>;  // offset of the shard, number
  struct Pull {
    CompletionRef first;
    std::size_t joined = 0;
  };
  using Numbers = std::map<std::pair<std::uint32_t, std::int64_t>, std::uint64_t>;

  Clock& clock_;
  Continuations& later_;
  std::size_t workers_;
  double bandwidth_;
  double busy_until_ = 0;
  Numbers pushed_, pulled_;  // by worker and offset
  std::map<Key, std::vector<Request>> pushes_;
  std::map<Key, Pull> pulls_;
};

}  // namespace paceline
