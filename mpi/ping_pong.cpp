#include "mpi/ping_pong.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "base/statistics.hpp"
#include "mpi/messages.hpp"
#include "mpi/nap.hpp"

namespace paceline {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void finish(Messages& messages, const Pending<>& pending) {
  const double start = now_s();
  while (!pending.done())
    if (!messages.progress()) nap(nap_after(now_s() - start));
}

class Pair {
 public:
  explicit Pair(int rank) : rank_(rank) {}
  void exchange(std::size_t bytes) {
    const int other = 1 - rank_;
    buffer_.resize(std::max<std::size_t>(bytes, 1));
    for (int turn = 0; turn < 2; ++turn)
      if (turn == rank_)
        finish(messages_, messages_.send(buffer_.data(), bytes, other, 0));
      else
        finish(messages_, messages_.receive(buffer_.data(), bytes, other, 0));
  }
  // Both agree: what rank 0 has is what is done.
  double agreed(double number) {
    if (rank_ == 0)
      finish(messages_, messages_.send(&number, sizeof number, 1, 1));
    else
      finish(messages_, messages_.receive(&number, sizeof number, 0, 1));
    return number;
  }

 private:
  int rank_;
  Messages messages_;
  std::vector<std::byte> buffer_;
};

constexpr int kWarmUp = 3;
constexpr double kFewest = 5, kMost = 2000;

}  // namespace

std::vector<PingPong> ping_pong(const World& world, double most_bytes, double seconds) {
  std::vector<PingPong> found;
  world.barrier();
  if (world.rank() < 2) {
    short_naps();
    Pair pair(world.rank());
    for (double bytes = 8; bytes <= most_bytes; bytes *= 2) {
      const auto size = static_cast<std::size_t>(bytes);
      const double start = now_s();
      for (int i = 0; i < kWarmUp; ++i) pair.exchange(size);
      const double one = (now_s() - start) / kWarmUp;
      const double times = pair.agreed(std::clamp(seconds / one, kFewest, kMost));
      std::vector<double> halves;
      for (int i = 0; i < static_cast<int>(times); ++i) {
        const double before = now_s();
        pair.exchange(size);
        halves.push_back((now_s() - before) / 2);
      }
      found.push_back({bytes, quantile(halves, 0.5)});
    }
  }
  world.barrier();
  if (world.rank() != 0) found.clear();
  return found;
}

}  // namespace paceline
