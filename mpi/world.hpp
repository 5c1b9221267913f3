#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace paceline {

/// The ranks of this run. One object per process, alive from before the first message to after the
/// last.
class World {
 public:
  World(int* argc, char*** argv);  ///< MPI_Init
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();  ///< MPI_Finalize

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  /// "Open MPI v4.1.4", and the host this rank runs on.
  [[nodiscard]] static std::string library();
  [[nodiscard]] static std::string host();

  // All ranks call these together, and wait in them.
  void barrier() const;
  /// On rank 0 what every rank has given, by rank; elsewhere nothing.
  [[nodiscard]] std::vector<std::vector<double>> gather(const std::vector<double>& mine) const;
  [[nodiscard]] std::vector<std::vector<float>> gather(const std::vector<float>& mine) const;
  /// True on every rank if all have given the same.
  [[nodiscard]] bool equal(const std::string& mine) const;

  /// Until something comes from the network, or `at_most_s` are over: what is rested is no time of a
  /// core. `waited_s`: for how long nothing has happened; where the network cannot wake a process
  /// (shared memory), it is seen late by a twentieth of that.
  void rest(double at_most_s, double waited_s) const;

  /// Ends all ranks. For a failure of one, which the others would wait for.
  [[noreturn]] static void abort(int code);

 private:
  int rank_ = 0, size_ = 1;
  std::vector<int> events_;  ///< descriptors on which Open MPI's event loops listen
  bool neighbours_ = true;   ///< ranks on the same host, whose messages come by shared memory
};

}  // namespace paceline
