#include "sim/time/time_account.hpp"

#include <iterator>

namespace paceline {

Account& Account::operator+=(const Account& other) {
  for (std::size_t i = 0; i < std::size(busy); ++i) busy[i] += other.busy[i];
  for (std::size_t i = 0; i < std::size(hidden); ++i) hidden[i] += other.hidden[i];
  exposed_wire += other.exposed_wire;
  exposed_copy += other.exposed_copy;
  waiting += other.waiting;
  return *this;
}

Account& Account::operator-=(const Account& other) {
  for (std::size_t i = 0; i < std::size(busy); ++i) busy[i] -= other.busy[i];
  for (std::size_t i = 0; i < std::size(hidden); ++i) hidden[i] -= other.hidden[i];
  exposed_wire -= other.exposed_wire;
  exposed_copy -= other.exposed_copy;
  waiting -= other.waiting;
  return *this;
}

Account& Account::operator*=(double factor) {
  for (double& seconds : busy) seconds *= factor;
  for (double& seconds : hidden) seconds *= factor;
  exposed_wire *= factor;
  exposed_copy *= factor;
  waiting *= factor;
  return *this;
}

void TimeAccount::book_gap(double now) {
  if (const double gap = now - idle_since_; gap > 0) {
    const double exposed_wire = std::min(gap, wire(now) - wire_at_idle_);
    const double exposed_copy = std::min(gap - exposed_wire, local.total(now) - local_at_idle_);
    account_.exposed_wire += exposed_wire;
    account_.exposed_copy += exposed_copy;
    account_.waiting += gap - exposed_wire - exposed_copy;
  }
  mark_idle(now);
}

}  // namespace paceline
