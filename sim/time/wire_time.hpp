#pragma once

namespace paceline {

/// Is a worker on the wire, and for how long was it: the union over its communication streams.
class WireTime {
 public:
  /// Called when the worker goes on or off the wire (compute may be slower meanwhile).
  class Listener {
   public:
    virtual void wire_changed(bool on) = 0;

   protected:
    ~Listener() = default;
  };
  void listen(Listener* listener) { listener_ = listener; }
  void began(double now) {
    if (active_++ > 0) return;
    since_ = now;
    if (listener_ != nullptr) listener_->wire_changed(true);
  }
  void ended(double now) {
    if (--active_ > 0) return;
    total_ += now - since_;
    if (listener_ != nullptr) listener_->wire_changed(false);
  }
  [[nodiscard]] double total(double now) const {
    return active_ > 0 ? total_ + (now - since_) : total_;
  }

 private:
  int active_ = 0;
  double since_ = 0;
  double total_ = 0;
  Listener* listener_ = nullptr;
};

}  // namespace paceline
