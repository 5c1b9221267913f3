#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "algorithms/program.hpp"

namespace paceline {

/// Messages between ranks as completions of this process: a call returns at once, and progress()
/// completes what has come or gone. One thread calls. Memory handed in must live until then.
class Messages {
 public:
  Messages();
  ~Messages();  ///< cancels what is still awaited
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;

  /// Between two ranks, messages of one tag arrive in order. Throws InputError beyond 2 GiB.
  Pending<> send(const void* data, std::size_t bytes, int to, int tag);
  static constexpr int kAnyone = -1;
  /// At most `capacity` bytes, `from` one rank or kAnyone; the result is how many came.
  Pending<std::int64_t> receive(void* data, std::size_t capacity, int from, int tag);
  /// MPI's own all-reduce: the sum over all ranks, in place.
  Pending<> all_reduce_sum(std::span<float> values);

  /// Completes what is over. Returns whether anything was.
  bool progress();
  [[nodiscard]] std::size_t open() const;  ///< messages under way
  /// "a message of 25 MB to rank 3, since 2.1 s": what is under way, the oldest first.
  [[nodiscard]] std::vector<std::string> describe_open() const;

  /// Since the start: what this rank has sent; all_reduce_sum counts as a ring would.
  struct Sent {
    double bytes = 0, messages = 0;
  };
  [[nodiscard]] const Sent& sent() const { return sent_; }

 private:
  struct Open;
  std::unique_ptr<Open> open_;
  Sent sent_;
};

}  // namespace paceline
