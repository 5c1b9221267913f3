#pragma once

#include <cstdint>
#include <vector>

#include "platforms/cluster.hpp"
#include "sim/network/collectives/plan.hpp"
#include "sim/network/max_min.hpp"
#include "sim/network/network.hpp"

namespace paceline {

/// A plan laid over a cluster: what each message costs, which links it uses, what may be merged.
/// All times are exact while no other traffic shares the links.
class PreparedPlan {
 public:
  struct Message {
    std::uint32_t from, to;  // ranks
    double share;
    double alpha;
    double seconds_per_byte;  // of the narrowest link, or of the busiest where sharing is by design
    double loaded_seconds_per_byte;  // of the busiest link, with all messages of the round on it
  };
  struct RankRound {  // what one rank does in one round
    std::uint32_t round;
    std::int32_t send, receive;  // message indices, -1: none
  };
  // Flow fidelity: all messages of a stage between two ranks are one hop. A group: those that start
  // after the same latency.
  struct HopGroup {
    double alpha;
    FluidNetwork::Set hops;
  };
  struct Stage {
    std::uint32_t first_round, last_round;  // [first, last)
    /// The ranks do not go in step: what the stage takes beyond the time of its flows is paid as one
    /// delay, the same for all hops. Else every hop pays its own latencies.
    bool filled;
    std::vector<FluidFlow>
        flows;  // filled: the same hops for the max-min solver, per byte of the collective
    double fluid_s_per_byte = -1;  // filled: all hops at once, alone; solved when first asked for
    std::vector<HopGroup> groups;
    double busiest_s_per_byte = 0;  // of the link that all hops together load most
  };

  PreparedPlan(Plan plan, const Cluster& cluster, const std::vector<Endpoint>& members);

  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] const std::vector<Endpoint>& members() const { return members_; }
  [[nodiscard]] const std::vector<Message>& messages() const { return messages_; }
  [[nodiscard]] const std::vector<std::vector<RankRound>>& rank_rounds() const {
    return rank_rounds_;
  }
  [[nodiscard]] const std::vector<Stage>& stages() const { return stages_; }
  [[nodiscard]] const std::vector<LinkId>& links() const { return links_; }
  /// A link that two messages of one round share although not by design; -1: none.
  [[nodiscard]] std::int64_t contended_link() const { return contended_link_; }

  /// Seconds for `bytes`: the longest chain of messages, all ranks starting together. Sends are
  /// buffered: a message is on the wire alpha after its rank has received all of its earlier
  /// rounds, but not before the rank's last message has left, nor before the last one to the same
  /// rank is there. Round a ring that is x_r(k+1) = max(x_{r-1}(k) + alpha_{r-1} + b_{r-1}, x_r(k) +
  /// b_r), x_r(k) being when rank r begins its message k and b its bytes over its bandwidth.
  double closed_s(double bytes);
  /// The same where hops of the collective share links although not by design: as its flows take
  /// when nothing else is on the network.
  double alone_s(double bytes);
  /// The delay of a filled stage: what it adds to the longest chain, with all messages of a round
  /// on the links at once, less what its hops need as flows.
  double stage_fill_s(std::size_t stage, double bytes);
  /// Share of closed_s(bytes) that is latency: the error bound of flow fidelity under contention.
  double alpha_share(double bytes);

  /// Collectives that have followed the plan: per use they cost two additions, and what a rank or a
  /// link had of them is made on demand. A collective counts from its start on.
  struct Uses {
    double count = 0, bytes = 0;
    Uses& operator-=(const Uses& other) {
      count -= other.count;
      bytes -= other.bytes;
      return *this;
    }
  };
  void count(double bytes) {
    uses_.count += 1;
    uses_.bytes += bytes;
  }
  [[nodiscard]] const Uses& uses() const { return uses_; }
  [[nodiscard]] double sent_bytes(std::uint32_t rank, const Uses& uses) const {
    return sent_share_[rank] * uses.bytes;
  }
  [[nodiscard]] double sent_messages(std::uint32_t rank, const Uses& uses) const {
    return message_count_[rank] * uses.count;
  }
  /// What collectives of so many bytes bring to each link.
  void add_link_bytes(std::vector<double>& link_bytes, double bytes) const;

 private:
  /// A date, and what a byte more of the collective adds to it.
  struct Date {
    double s = 0, per_byte = 0;
    bool operator<(const Date& other) const { return s < other.s; }
  };
  struct Ends {
    double bytes;
    std::vector<Date> stage;
  };
  using Pace = double Message::*;
  std::vector<Date> walk(double bytes, Pace pace);
  [[nodiscard]] Date arrival(const Message& message, double bytes, Pace pace) const;
  double stage_end_s(std::size_t stage, double bytes, Pace pace);
  void prepare_stages(const Cluster& cluster);

  Plan plan_;
  std::vector<Endpoint> members_;
  std::vector<Message> messages_;             // of all rounds, in order
  std::vector<std::uint32_t> first_message_;  // by round, and one past the end
  std::vector<std::vector<RankRound>> rank_rounds_;
  std::vector<Stage> stages_;
  std::vector<LinkId> links_;
  std::vector<double> bandwidth_;  // of all links of the cluster
  std::int64_t contended_link_ = -1;
  bool walks_long_ = false;
  std::vector<Ends> ends_, loaded_ends_;  // by bytes, ascending
  std::vector<Date> received_, sent_, arriving_;
  std::vector<double> sent_share_, message_count_, link_share_;
  Uses uses_;
};

}  // namespace paceline
