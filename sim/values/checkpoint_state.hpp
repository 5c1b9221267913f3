#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

#include "sim/values/host_device_vector.hpp"

namespace paceline {

using Floats = std::shared_ptr<HostDeviceVector<float>>;

/// Selected entries as (index, value), indices ascending.
struct SparseData {
  HostDeviceVector<std::int32_t> indices;
  HostDeviceVector<float> values;

  void resize(std::size_t count) {
    indices.reset(count);
    values.reset(count);
  }
  /// In the host's memory.
  void set(const std::vector<std::int32_t>& new_indices, const std::vector<float>& new_values) {
    resize(new_indices.size());
    std::copy(new_indices.begin(), new_indices.end(), indices.write().begin());
    std::copy(new_values.begin(), new_values.end(), values.write().begin());
  }
};

/// What a checkpoint has to hold of the values: all memory that tasks write, numbered in the order
/// in which the simulation makes it, and every number that the simulation has taken from values.
/// The simulation is the same each time it runs, so numbers mean the same memory in another run of
/// it. Only the simulated clock's thread may call; save and load while no task is open.
class CheckpointState {
 public:
  /// Values that are more than memory: a worker's engine. Must outlive the use of the state.
  class Part {
   public:
    [[nodiscard]] virtual bool savable() const = 0;  ///< stays so while recording() is true
    virtual void save(ArchiveWriter& archive) const = 0;
    virtual void load(ArchiveReader& archive) = 0;

   protected:
    ~Part() = default;
  };

  [[nodiscard]] Floats floats(std::size_t size);
  [[nodiscard]] Floats floats(const std::vector<float>& values);
  [[nodiscard]] std::shared_ptr<SparseData> sparse();
  template <class T>
  [[nodiscard]] std::shared_ptr<T> record(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    auto memory = std::make_shared<T>(value);
    keep(Record{memory, sizeof(T)});
    return memory;
  }
  void add(Part& part) { parts_.push_back(&part); }

  /// A number just taken from values, for the log.
  void note(double scalar) { scalars_.push_back(scalar); }
  /// The next number of the log of the run that is repeated. Throws std::logic_error after the
  /// last.
  [[nodiscard]] double repeat();

  /// While true, parts note what they need to be saved in the middle of their work.
  [[nodiscard]] bool recording() const { return recording_; }
  void set_recording(bool on);
  /// All parts are savable. While recording, once true stays true.
  [[nodiscard]] bool savable();

  void save_scalars(ArchiveWriter& archive) const { archive.put(scalars_); }
  void load_scalars(ArchiveReader& archive) { archive.get(scalars_); }
  void save(ArchiveWriter& archive) const;
  /// Throws std::logic_error unless the memory is that which was saved.
  void load(ArchiveReader& archive);

 private:
  struct Record {
    std::weak_ptr<void> memory;
    std::size_t bytes;
  };
  using Memory =
      std::variant<std::weak_ptr<HostDeviceVector<float>>, std::weak_ptr<SparseData>, Record>;
  struct Entry {
    std::uint64_t number;
    Memory memory;
  };
  Floats kept(Floats memory);
  void keep(Memory memory);
  void forget_freed();

  std::vector<Entry> entries_;  // numbers ascending; freed memory is taken out now and then
  std::uint64_t made_ = 0;
  static constexpr std::size_t kForgetAt = 64;
  std::size_t forget_at_ = kForgetAt;
  std::vector<double> scalars_;
  std::size_t repeated_ = 0;
  std::vector<Part*> parts_;
  std::size_t savable_parts_ = 0;
  bool recording_ = false;
};

}  // namespace paceline
