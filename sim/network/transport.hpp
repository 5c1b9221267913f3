#pragma once

#include <memory>
#include <string>
#include <vector>

#include "platforms/cluster.hpp"
#include "sim/link_use.hpp"
#include "sim/network/network.hpp"
#include "sim/network/prepared_plan.hpp"
#include "sim/time/clock.hpp"

namespace paceline {

/// How collectives and messages are carried. `closed`: closed forms on the clock, blind to
/// contention. `flow`: one fluid flow per hop. `step`: every message. `automatic`: closed until two
/// transfers would share a link, then the run is discarded and repeated at flow.
enum class Fidelity : std::uint8_t { closed, flow, step, automatic };
const std::vector<std::string>& fidelity_names();  ///< in the order of the enumeration
const char* to_string(Fidelity fidelity);

/// Carries messages between endpoints and runs prepared collectives; counts the bytes of messages.
class Transport {
 public:
  /// `network` may be null at closed and automatic fidelity.
  Transport(const Cluster& cluster, Clock& clock, Fidelity fidelity, FluidNetwork* network);
  ~Transport();

  /// One message: alpha, then the bytes over the route. Calls fire(self, argument) when it has
  /// arrived.
  void send(Endpoint from, Endpoint to, double bytes, Clock::Fire fire, void* self,
            std::uint64_t argument);
  /// One collective, all ranks starting now. The plan must outlive the run.
  void run(PreparedPlan& plan, double bytes, Clock::Fire fire, void* self, std::uint64_t argument);

  /// Time of one message alone on the network.
  [[nodiscard]] double message_s(Endpoint from, Endpoint to, double bytes);

  /// A link changes to `factor` times its bandwidth from now on. Closed forms know only of messages
  /// that start later: `automatic` leaves them for traffic under way on the link, and for a later
  /// collective over it.
  void scale_link(LinkId link, double factor);

  /// Why `automatic` must leave closed form ("" while it need not), with the link and date.
  [[nodiscard]] const std::string& contention() const { return contention_; }
  /// Times two transfers shared a link at closed fidelity, or its bandwidth was not that which they
  /// were dated with, where that is not accounted for.
  [[nodiscard]] std::uint64_t ignored_conflicts() const { return ignored_conflicts_; }
  /// Largest latency share of a collective carried as flows that met somebody else on a link (another
  /// transfer, a changed bandwidth, its own hops although not by design): what contention may be
  /// wrong by. Of those that met nobody flows are exact.
  [[nodiscard]] double flow_error_bound() const { return flow_error_bound_; }

  [[nodiscard]] const Cluster& cluster() const { return cluster_; }
  [[nodiscard]] Fidelity fidelity() const { return fidelity_; }
  /// Of messages outside of collectives. What is still to pass: as if each went on evenly for as
  /// long as it takes alone.
  [[nodiscard]] LinkTotals link_totals();

 private:
  struct Done {
    Clock::Fire fire;
    void* self;
    std::uint64_t argument;
  };
  class FlowRun;
  class StepRun;
  struct MessageRun;

  [[nodiscard]] bool guarded() const {
    return fidelity_ == Fidelity::automatic || fidelity_ == Fidelity::closed;
  }
  [[nodiscard]] double just_after_now() const;
  bool check_free(const std::vector<LinkId>& links);  // reports those that are not
  void occupy(const std::vector<LinkId>& links, double until);
  void occupy(const PreparedPlan& plan, double until);
  void check_unchanged(const std::vector<LinkId>& links);  // reports the first that is not
  void settle();
  void report_contention(LinkId link, const char* why);
  void enter(const std::vector<LinkId>& links);
  void leave(const std::vector<LinkId>& links);
  static void finish(const Done& done) { done.fire(done.self, done.argument); }

  const Cluster& cluster_;
  Clock& clock_;
  Fidelity fidelity_;
  FluidNetwork* network_;
  // Closed fidelity. Collectives of one plan that follow one another only note until when the last
  // one takes; its links are marked once somebody else wants to know.
  std::vector<double> busy_until_;  // by link
  const PreparedPlan* occupant_ = nullptr;
  double occupant_until_ = 0;
  std::vector<double> link_factor_;  // current share of each link's bandwidth
  bool changed_ = false;             // one of them has been
  std::string contention_;
  std::uint64_t ignored_conflicts_ = 0;
  double flow_error_bound_ = 0;
  // Flow fidelity, by link: transfers that are on it, and the newest event at which one met another.
  std::vector<std::uint32_t> users_;
  std::vector<std::uint64_t> met_;
  std::uint64_t events_ = 0;
  std::vector<double> link_bytes_;
  Route route_;

  // Records of what is under way, reused.
  std::vector<std::unique_ptr<FlowRun>> flow_runs_;
  std::vector<FlowRun*> free_flow_runs_;
  std::vector<std::unique_ptr<StepRun>> step_runs_;
  std::vector<StepRun*> free_step_runs_;
  std::vector<std::unique_ptr<MessageRun>> message_runs_;
  std::vector<MessageRun*> free_message_runs_;
};

}  // namespace paceline
