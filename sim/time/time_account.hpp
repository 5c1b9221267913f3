#pragma once

#include <algorithm>

#include "algorithms/worker.hpp"
#include "sim/time/wire_time.hpp"

namespace paceline {

/// What a run of one worker added up, in seconds unless said otherwise.
struct Account {
  double busy[8] = {};      ///< by Activity, on the compute stream (host: on the host's)
  double hidden[8] = {};    ///< by Activity: of `busy`, this worker on the wire meanwhile
  double exposed_wire = 0;  ///< compute idle while this worker is on the wire
  double exposed_copy = 0;  ///< compute idle while a host copy or host operation runs
  double waiting = 0;       ///< compute idle otherwise: for other workers or the server

  [[nodiscard]] double compute() const {
    return busy[static_cast<int>(Activity::forward)] + busy[static_cast<int>(Activity::backward)];
  }
  /// Of all operations of the compute stream.
  [[nodiscard]] double operations() const {
    double sum = 0;
    for (int a = 0; a < static_cast<int>(Activity::copy); ++a) sum += busy[a];
    return sum;
  }
  /// On the wire, in collectives or with servers, while this worker computes.
  [[nodiscard]] double hidden_wire() const {
    double sum = 0;
    for (const double seconds : hidden) sum += seconds;
    return sum;
  }
  Account& operator+=(const Account& other);
  Account& operator-=(const Account& other);
  Account& operator*=(double factor);
};

/// Where the time of one worker goes: what its compute stream is busy with, and why it is idle.
class TimeAccount {
 public:
  /// `collectives`: when the workers are on the wire together. Must outlive this.
  explicit TimeAccount(const WireTime& collectives) : collectives_(collectives) {}

  WireTime messages;  ///< this worker's own, to and from servers
  WireTime local;     ///< host copies and host operations

  /// The worker begins: what was before is nobody's time.
  void begin(double now) { mark_idle(now); }
  /// The compute stream begins to compute.
  void busy_again(double now) {
    if (now != idle_since_) book_gap(now);
  }
  /// The compute stream has computed since `started`, and is idle from now on.
  void idle_again(Activity activity, double started, double now) {
    book(account_, activity, started, now);
    mark_idle(now);
  }
  void add(Activity activity, double seconds) {
    account_.busy[static_cast<int>(activity)] += seconds;
  }
  /// What has been booked up to the present operation, or up to now if there is none.
  [[nodiscard]] const Account& booked() const { return account_; }
  /// The same with the part that has gone by of an operation that began at `started` and is running.
  [[nodiscard]] Account booked_with(Activity running, double started, double now) const {
    Account account = account_;
    book(account, running, started, now);
    return account;
  }

 private:
  [[nodiscard]] double wire(double now) const {
    return collectives_.total(now) + messages.total(now);
  }
  void mark_idle(double now) {
    idle_since_ = now;
    wire_at_idle_ = wire(now);
    local_at_idle_ = local.total(now);
  }
  void book_gap(double now);
  // An operation begins where idleness ends: the wire's total is of then.
  void book(Account& account, Activity activity, double started, double now) const {
    account.busy[static_cast<int>(activity)] += now - started;
    account.hidden[static_cast<int>(activity)] +=
        std::min(now - started, wire(now) - wire_at_idle_);
  }

  const WireTime& collectives_;
  double idle_since_ = 0, wire_at_idle_ = 0, local_at_idle_ = 0;
  Account account_;
};

}  // namespace paceline
