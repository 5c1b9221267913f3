#pragma once

// The only place that names SimGrid. Debian 12 ships 3.32; what later versions renamed is bridged
// here.

#include <simgrid/s4u.hpp>

#include <simgrid/version.h>
#include <simgrid/kernel/Timer.hpp>
#include <simgrid/kernel/resource/Action.hpp>
#include <simgrid/kernel/resource/Model.hpp>
#include <simgrid/kernel/resource/NetworkModelIntf.hpp>
#include <simgrid/kernel/routing/NetPoint.hpp>
#include <simgrid/kernel/routing/StarZone.hpp>

#include <array>
#include <csignal>
#include <functional>

namespace paceline::simgrid_shim {

namespace s4u = simgrid::s4u;
namespace kernel = simgrid::kernel;

/// Signals belong to the command line: made before an Engine, which takes over Ctrl-C and others, it
/// gives them back.
class SignalsKept {
 public:
  SignalsKept() {
    for (std::size_t i = 1; i < before_.size(); ++i)
      ::sigaction(static_cast<int>(i), nullptr, &before_[i]);
  }
  void give_back() const {
    for (std::size_t i = 1; i < before_.size(); ++i)
      ::sigaction(static_cast<int>(i), &before_[i], nullptr);
  }

 private:
  std::array<struct sigaction, 32> before_{};  // the first real-time signal is 32
};

inline void start(s4u::Comm& comm) {
#if SIMGRID_VERSION < 33400
  comm.vetoable_start();  // there, start() ignores dependencies
#else
  comm.start();
#endif
}

/// Calls `f` with every communication that ends. On 3.32 the signal is shared by all kinds of
/// activity; we create no other kind.
inline void on_comm_completion(const std::function<void(const s4u::Comm&)>& f) {
#if SIMGRID_VERSION < 33400
  s4u::Activity::on_completion_cb(
      [f](const s4u::Activity& activity) { f(static_cast<const s4u::Comm&>(activity)); });
#else
  s4u::Comm::on_completion_cb(f);
#endif
}

}  // namespace paceline::simgrid_shim
