#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sim/values/archive.hpp"
#include "sim/values/value_engine.hpp"

namespace paceline {

/// The micro-batches of a step but the last, in one piece: forward and backward through all `end`
/// tensors; `each` after every one, when `gradient` and the engine's loss are its own.
void earlier_micro_batches(WorkerEngine& engine, std::int64_t step, std::int64_t micro_batches,
                           std::uint32_t end, std::span<const float> weights,
                           std::span<float> gradient, const std::function<void()>& each);

/// The pass in which a worker is, so that another engine can be brought to the same point of it by
/// repeating it: activations are not saved. Used on the worker's strand.
class PassLog {
 public:
  enum class Kind : std::uint8_t { forward, backward };

  PassLog(std::int64_t step, std::int64_t micro_batches, std::uint32_t end)
      : step_(step), micro_batches_(micro_batches), end_(end) {}
  explicit PassLog(ArchiveReader& archive);
  void save(ArchiveWriter& archive) const;

  /// Before the first piece.
  void begin(const WorkerEngine& engine);
  /// Before each piece, with the weights it sees; schedules may change some in the middle of a
  /// pass.
  void piece(Kind kind, std::uint32_t from, std::uint32_t to, std::span<const float> weights);
  void repeat(WorkerEngine& engine) const;

 private:
  struct Change {
    std::uint64_t offset;
    std::vector<float> values;
  };
  struct Piece {
    Kind kind;
    std::uint32_t from, to;
    std::vector<Change> changes;  // of the weights since the piece before
  };

  std::int64_t step_, micro_batches_;
  std::uint32_t end_;
  std::vector<float> state_;           // of the engine before the pass
  std::vector<float> first_, latest_;  // weights of the first piece and of the latest
  std::vector<Piece> pieces_;
};

}  // namespace paceline
