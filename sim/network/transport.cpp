#include "sim/network/transport.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.hpp"

namespace paceline {

const std::vector<std::string>& fidelity_names() {
  static const std::vector<std::string> names{"closed", "flow", "step", "auto"};
  return names;
}

const char* to_string(Fidelity fidelity) {
  return fidelity_names().at(static_cast<std::size_t>(fidelity)).c_str();
}

namespace {

template <class T, class... Args>
T* take(std::vector<std::unique_ptr<T>>& all, std::vector<T*>& free, Args&... args) {
  if (free.empty()) {
    all.push_back(std::make_unique<T>(args...));
    return all.back().get();
  }
  T* record = free.back();
  free.pop_back();
  return record;
}

}  // namespace

struct Transport::MessageRun {
  Done done{};
  Endpoint from = 0, to = 0;
  double bytes = 0;
  Transport* transport = nullptr;
  double started = 0, alone_s = 0;
  bool under_way = false;  // a message, not a collective
  bool entered = false;    // it is on its links

  static void arrived(void* record, std::uint64_t) {
    auto* message = static_cast<MessageRun*>(record);
    message->under_way = false;
    if (message->entered) message->leave();
    message->transport->free_message_runs_.push_back(message);
    finish(Done(message->done));
  }
  void leave() const {
    transport->cluster_.route(from, to, transport->route_);
    transport->leave(transport->route_.links);
  }
};

// Flow fidelity: stage by stage, every hop waits for its latency and then moves its bytes.
class Transport::FlowRun {
 public:
  explicit FlowRun(Transport& transport) : transport_(transport) {}
  void start(PreparedPlan& plan, double bytes, const Done& done) {
    plan_ = &plan;
    bytes_ = bytes;
    done_ = done;
    stage_ = 0;
    alone_since_ = transport_.events_;
    transport_.enter(plan.links());
    start_stage();
  }

 private:
  // Nothing else has been on its links: each was last met before it began.
  [[nodiscard]] bool met_nobody() const {
    return plan_->contended_link() < 0 &&
           std::none_of(plan_->links().begin(), plan_->links().end(),
                        [&](LinkId link) { return transport_.met_[link] > alone_since_; });
  }
  void start_stage() {
    if (stage_ == plan_->stages().size()) {
      if (!met_nobody())
        transport_.flow_error_bound_ =
            std::max(transport_.flow_error_bound_, plan_->alpha_share(bytes_));
      transport_.leave(plan_->links());
      transport_.free_flow_runs_.push_back(this);
      finish(done_);
      return;
    }
    const PreparedPlan::Stage& stage = plan_->stages()[stage_];
    open_ = stage.groups.size();
    const double fill = stage.filled ? plan_->stage_fill_s(stage_, bytes_) : 0;
    for (std::size_t g = 0; g < stage.groups.size(); ++g)
      transport_.clock_.after(
          stage.groups[g].alpha + fill,
          [](void* self, std::uint64_t group) { static_cast<FlowRun*>(self)->start_group(group); },
          this, g);
  }
  void start_group(std::uint64_t group) {
    transport_.network_->transfer_all(
        plan_->stages()[stage_].groups[group].hops, bytes_,
        [](void* self, std::uint64_t) {
          auto* run = static_cast<FlowRun*>(self);
          if (--run->open_ > 0) return;
          ++run->stage_;
          run->start_stage();
        },
        this, 0);
  }

  Transport& transport_;
  PreparedPlan* plan_ = nullptr;
  double bytes_ = 0;
  Done done_{};
  std::size_t stage_ = 0;
  std::size_t open_ = 0;
  std::uint64_t alone_since_ = 0;
};

// Step fidelity: every message. Sends are buffered (PreparedPlan::closed_s): a rank's message leaves
// alpha after all of its earlier rounds have been received, one at a time at both ends.
class Transport::StepRun {
 public:
  explicit StepRun(Transport& transport) : transport_(transport) {}
  void start(PreparedPlan& plan, double bytes, const Done& done) {
    plan_ = &plan;
    bytes_ = bytes;
    done_ = done;
    ranks_.resize(plan.plan().ranks);
    open_ = 0;
    for (Rank& rank : ranks_) rank.reset();
    for (const PlanRound& round : plan.plan().rounds)
      open_ += static_cast<std::uint64_t>(round.repeat) * round.messages.size();
    if (open_ == 0) return end();
    for (std::uint32_t r = 0; r < ranks_.size(); ++r) {
      pass_without_receive(r);
      release(r);
    }
  }

 private:
  /// A place in a rank's list of rounds, repetitions counted.
  struct Place {
    std::uint32_t position = 0;
    std::int64_t repetition = 0;
    auto operator<=>(const Place&) const = default;
  };
  struct Rank {
    Place receives;             // the next message to it
    Place releases;             // the next one of it that waits for something to be received
    Place sends;                // the next one of it that is to leave
    std::vector<double> ready;  // of those from `sends` up to `releases`: alpha has gone by
    std::size_t first_ready = 0;
    bool sending = false, receiving = false;

    void reset() {
      receives = releases = sends = {};
      ready.clear();
      first_ready = 0;
      sending = receiving = false;
    }
  };

  [[nodiscard]] const std::vector<PreparedPlan::RankRound>& rounds(std::uint32_t r) const {
    return plan_->rank_rounds()[r];
  }
  void step(std::uint32_t r, Place& place) const {
    if (++place.repetition < plan_->plan().rounds[rounds(r)[place.position].round].repeat) return;
    place.repetition = 0;
    ++place.position;
  }
  [[nodiscard]] bool at_end(std::uint32_t r, const Place& place) const {
    return place.position == rounds(r).size();
  }
  void pass_without_receive(std::uint32_t r) {
    Place& place = ranks_[r].receives;
    while (!at_end(r, place) && rounds(r)[place.position].receive < 0)
      place = {place.position + 1, 0};
  }
  void pass_without_send(std::uint32_t r, Place& place) const {
    while (!at_end(r, place) && rounds(r)[place.position].send < 0) place = {place.position + 1, 0};
  }

  // Messages whose rank has received all of its earlier rounds.
  void release(std::uint32_t r) {
    Rank& rank = ranks_[r];
    for (;;) {
      pass_without_send(r, rank.releases);
      if (at_end(r, rank.releases) || rank.receives < rank.releases) return;
      const auto message = static_cast<std::size_t>(rounds(r)[rank.releases.position].send);
      const double alpha = plan_->messages()[message].alpha;
      const double when = transport_.clock_.now() + alpha;
      rank.ready.push_back(when);
      step(r, rank.releases);
      if (alpha > 0)
        transport_.clock_.at(
            when,
            [](void* self, std::uint64_t sender) {
              static_cast<StepRun*>(self)->send(static_cast<std::uint32_t>(sender));
            },
            this, r);
      else
        send(r);
    }
  }
  // The next message of a rank, if it and both its ends are ready.
  void send(std::uint32_t r) {
    Rank& rank = ranks_[r];
    if (rank.sending || rank.first_ready == rank.ready.size() ||
        rank.ready[rank.first_ready] > transport_.clock_.now())
      return;
    pass_without_send(r, rank.sends);
    const PreparedPlan::RankRound& now = rounds(r)[rank.sends.position];
    const auto message = static_cast<std::uint32_t>(now.send);
    const PreparedPlan::Message& m = plan_->messages()[message];
    Rank& to = ranks_[m.to];
    if (to.receiving || at_end(m.to, to.receives)) return;
    const PreparedPlan::RankRound& awaited = rounds(m.to)[to.receives.position];
    if (awaited.receive != now.send || to.receives.repetition != rank.sends.repetition) return;
    rank.sending = to.receiving = true;
    if (++rank.first_ready == rank.ready.size()) {
      rank.ready.clear();
      rank.first_ready = 0;
    }
    step(r, rank.sends);
    transport_.network_->transfer(
        plan_->members()[m.from], plan_->members()[m.to], m.share * bytes_,
        [](void* self, std::uint64_t arrived) {
          static_cast<StepRun*>(self)->arrive(static_cast<std::uint32_t>(arrived));
        },
        this, message);
  }
  void arrive(std::uint32_t message) {
    const PreparedPlan::Message& m = plan_->messages()[message];
    ranks_[m.from].sending = false;
    Rank& to = ranks_[m.to];
    to.receiving = false;
    step(m.to, to.receives);
    pass_without_receive(m.to);
    if (--open_ == 0) return end();
    release(m.to);
    send(m.from);
    if (!at_end(m.to, to.receives)) {  // whoever is next may have waited for this end
      const std::int32_t next = rounds(m.to)[to.receives.position].receive;
      send(plan_->messages()[static_cast<std::size_t>(next)].from);
    }
  }
  void end() {
    transport_.free_step_runs_.push_back(this);
    finish(done_);
  }

  Transport& transport_;
  PreparedPlan* plan_ = nullptr;
  double bytes_ = 0;
  Done done_{};
  std::vector<Rank> ranks_;
  std::uint64_t open_ = 0;  // messages that are not there yet
};

Transport::Transport(const Cluster& cluster, Clock& clock, Fidelity fidelity, FluidNetwork* network)
    : cluster_(cluster),
      clock_(clock),
      fidelity_(fidelity),
      network_(network),
      busy_until_(cluster.links().size(), -1),
      link_factor_(cluster.links().size(), 1),
      users_(cluster.links().size(), 0),
      met_(cluster.links().size(), 0),
      link_bytes_(cluster.links().size(), 0) {}

Transport::~Transport() = default;

void Transport::report_contention(LinkId link, const char* why) {
  ++ignored_conflicts_;
  if (fidelity_ != Fidelity::automatic || !contention_.empty()) return;
  contention_ = fmt::format("{} on link {} at {}", why, cluster_.links()[link].name,
                            format_duration(clock_.now()));
  clock_.stop();
}

// Two dates that differ only by rounding are the end of one transfer and the start of the next.
double Transport::just_after_now() const {
  return clock_.now() * (1 + 1e-12);
}

void Transport::enter(const std::vector<LinkId>& links) {
  ++events_;
  for (const LinkId link : links)
    if (users_[link]++ > 0) met_[link] = events_;
}

void Transport::leave(const std::vector<LinkId>& links) {
  for (const LinkId link : links) --users_[link];
}

bool Transport::check_free(const std::vector<LinkId>& links) {
  bool all = true;
  for (const LinkId link : links)
    if (busy_until_[link] > just_after_now()) {
      report_contention(link, "two transfers at once");
      all = false;
    }
  return all;
}

void Transport::occupy(const std::vector<LinkId>& links, double until) {
  for (const LinkId link : links) busy_until_[link] = std::max(busy_until_[link], until);
}

void Transport::occupy(const PreparedPlan& plan, double until) {
  if (&plan == occupant_ && occupant_until_ <= just_after_now()) {
    occupant_until_ = until;
    return;
  }
  settle();
  if (check_free(plan.links())) {
    occupant_ = &plan;
    occupant_until_ = until;
  } else {
    occupy(plan.links(), until);
  }
}

void Transport::settle() {
  if (occupant_ != nullptr) occupy(occupant_->links(), occupant_until_);
  occupant_ = nullptr;
}

double Transport::message_s(Endpoint from, Endpoint to, double bytes) {
  cluster_.route(from, to, route_);
  double slowest = bytes / route_.most;
  for (const LinkId link : route_.links)
    slowest = std::max(slowest, bytes / (cluster_.links()[link].bandwidth * link_factor_[link]));
  return route_.latency + slowest;
}

void Transport::send(Endpoint from, Endpoint to, double bytes, Clock::Fire fire, void* self,
                     std::uint64_t argument) {
  const double seconds = message_s(from, to, bytes);  // leaves the route in route_
  for (const LinkId link : route_.links) link_bytes_[link] += bytes;
  MessageRun* run = take(message_runs_, free_message_runs_);
  const bool enters = fidelity_ == Fidelity::flow && bytes > 0;
  *run = {{fire, self, argument}, from, to, bytes, this, clock_.now(), seconds, true, enters};
  if (enters) enter(route_.links);
  if (guarded()) {
    if (bytes > 0) {
      settle();
      check_free(route_.links);
      occupy(route_.links, clock_.now() + seconds);
    }
    clock_.after(seconds, MessageRun::arrived, run);
    return;
  }
  clock_.after(
      route_.latency,
      [](void* record, std::uint64_t) {
        auto* message = static_cast<MessageRun*>(record);
        message->transport->network_->transfer(message->from, message->to, message->bytes,
                                               MessageRun::arrived, message, 0);
      },
      run);
}

void Transport::run(PreparedPlan& plan, double bytes, Clock::Fire fire, void* self,
                    std::uint64_t argument) {
  plan.count(bytes);
  const Done done{fire, self, argument};
  if (plan.plan().rounds.empty()) {
    clock_.after(0, fire, self, argument);
    return;
  }
  if (guarded()) {
    if (changed_) check_unchanged(plan.links());
    if (plan.contended_link() >= 0)
      report_contention(static_cast<LinkId>(plan.contended_link()), "two hops of one collective");
    const double seconds = plan.closed_s(bytes);
    occupy(plan, clock_.now() + seconds);
    MessageRun* run = take(message_runs_, free_message_runs_);
    *run = {done, 0, 0, bytes, this};
    clock_.after(seconds, MessageRun::arrived, run);
    return;
  }
  if (fidelity_ == Fidelity::flow) {
    take(flow_runs_, free_flow_runs_, *this)->start(plan, bytes, done);
  } else {
    take(step_runs_, free_step_runs_, *this)->start(plan, bytes, done);
  }
}

LinkTotals Transport::link_totals() {
  const std::vector<double> none(link_bytes_.size(), 0);
  LinkTotals totals{link_bytes_, none, none};
  for (const auto& message : message_runs_) {
    if (!message->under_way || message->bytes == 0) continue;
    const double gone = clock_.now() - message->started;
    const double unsent =
        gone < message->alone_s ? message->bytes * (1 - gone / message->alone_s) : 0;
    cluster_.route(message->from, message->to, route_);
    for (const LinkId link : route_.links) {
      totals.under_way[link] += message->bytes;
      totals.unsent[link] += unsent;
    }
  }
  return totals;
}

void Transport::check_unchanged(const std::vector<LinkId>& links) {
  const auto changed = std::find_if(links.begin(), links.end(),
                                    [this](LinkId link) { return link_factor_[link] != 1; });
  if (changed != links.end()) report_contention(*changed, "a changed bandwidth");
}

void Transport::scale_link(LinkId link, double factor) {
  if (factor == link_factor_[link]) return;
  link_factor_[link] = factor;
  changed_ = true;
  met_[link] = ++events_;
  if (guarded()) {
    settle();
    if (busy_until_[link] > just_after_now()) report_contention(link, "a changed bandwidth");
  }
  if (network_ != nullptr) network_->set_bandwidth(link, cluster_.links()[link].bandwidth * factor);
}

}  // namespace paceline
