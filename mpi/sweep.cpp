#include "mpi/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <thread>

#include "base/statistics.hpp"
#include "mpi/messages.hpp"

namespace paceline {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The messages of one rank, each waited for where it is sent.
class Exchanges {
 public:
  explicit Exchanges(const World& world) : world_(world), rank_(world.rank()) {}

  // There and back between ranks 0 and 1.
  void there_and_back(std::size_t bytes) {
    if (rank_ > 1) return;
    const int other = 1 - rank_;
    out_.resize(bytes);
    for (int turn = 0; turn < 2; ++turn)
      if (turn == rank_)
        finish(messages_.send(out_.data(), bytes, other, 0));
      else
        finish(messages_.receive(out_.data(), bytes, other, 0));
  }

  void ring(std::size_t bytes) {
    const int n = world_.size(), next = (rank_ + 1) % n, before = (rank_ + n - 1) % n;
    const std::size_t chunk = std::max<std::size_t>(1, bytes / static_cast<std::size_t>(n));
    out_.resize(chunk);
    in_.resize(chunk);
    std::vector<Pending<>> sent;
    for (int round = 0; round < 2 * (n - 1); ++round) {
      const Pending<std::int64_t> here = messages_.receive(in_.data(), chunk, before, 0);
      sent.push_back(messages_.send(out_.data(), chunk, next, 0));
      finish(here);
    }
    for (const Pending<>& gone : sent) finish(gone);
  }

  // All agree: what rank 0 has is what is done.
  double agreed(double number) {
    if (rank_ > 0) finish(messages_.receive(&number, sizeof number, 0, 1));
    for (int other = 1; rank_ == 0 && other < world_.size(); ++other)
      finish(messages_.send(&number, sizeof number, other, 1));
    return number;
  }

 private:
  template <class P>
  void finish(const P& pending) {
    const double start = now_s();
    while (!pending.done())
      if (!messages_.progress()) world_.rest(1, now_s() - start);
  }

  const World& world_;
  int rank_;
  Messages messages_;
  std::vector<std::byte> out_, in_;
};

constexpr int kWarmUp = 3;
constexpr double kFewest = 5, kMost = 2000;

// `once(exchanges, bytes)` returns what is to be taken for its duration.
template <class Once>
std::vector<TimedMessage> swept(const World& world, double most_bytes, double seconds, Once once) {
  std::vector<TimedMessage> found;
  world.barrier();
  Exchanges exchanges(world);
  for (double bytes = 8; bytes <= most_bytes; bytes *= 2) {
    const auto size = static_cast<std::size_t>(bytes);
    const double start = now_s();
    for (int i = 0; i < kWarmUp; ++i) once(exchanges, size);
    const double one = (now_s() - start) / kWarmUp;
    const double times = exchanges.agreed(std::clamp(seconds / one, kFewest, kMost));
    std::vector<double> durations;
    for (int i = 0; i < static_cast<int>(times); ++i) durations.push_back(once(exchanges, size));
    found.push_back({bytes, quantile(durations, 0.5)});
  }
  world.barrier();
  if (world.rank() != 0) found.clear();
  return found;
}

}  // namespace

std::vector<TimedMessage> ping_pong(const World& world, double most_bytes, double seconds) {
  return swept(world, most_bytes, seconds, [](Exchanges& exchanges, std::size_t bytes) {
    const double before = now_s();
    exchanges.there_and_back(bytes);
    return (now_s() - before) / 2;
  });
}

std::vector<TimedMessage> ring_all_reduces(const World& world, double most_bytes, double seconds,
                                           double pause_s) {
  return swept(world, most_bytes, seconds, [pause_s](Exchanges& exchanges, std::size_t bytes) {
    if (pause_s > 0) std::this_thread::sleep_for(std::chrono::duration<double>(pause_s));
    const double before = now_s();
    exchanges.ring(bytes);
    return now_s() - before;
  });
}

}  // namespace paceline
