#pragma once

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace paceline {

/// How long to sleep before the next look at the network, s, when nothing has happened for
/// `waited_s`: a message is seen late by a twentieth of what it took. Ranks that spin on one machine
/// take the cores from one another.
inline double nap_after(double waited_s) {
  return std::clamp(waited_s / 20, 20e-6, 300e-6);
}

inline void nap(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// From here on this thread's naps are as short as they are asked for.
inline void short_naps() {
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // ns
}

}  // namespace paceline
