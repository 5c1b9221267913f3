#include "sim/values/checkpoint_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace paceline {
namespace {

bool freed(const auto& memory) {
  return std::visit(
      [](const auto& held) {
        if constexpr (requires { held.expired(); })
          return held.expired();
        else
          return held.memory.expired();
      },
      memory);
}

}  // namespace

// Not made with make_shared: the entry's weak pointer would hold a freed vector's own memory.
Floats CheckpointState::floats(std::size_t size) {
  return kept(Floats(new HostDeviceVector<float>(size)));
}

Floats CheckpointState::floats(const std::vector<float>& values) {
  return kept(Floats(new HostDeviceVector<float>(values)));
}

Floats CheckpointState::kept(Floats memory) {
  keep(std::weak_ptr<HostDeviceVector<float>>(memory));
  return memory;
}

std::shared_ptr<SparseData> CheckpointState::sparse() {
  std::shared_ptr<SparseData> memory(new SparseData);
  keep(std::weak_ptr<SparseData>(memory));
  return memory;
}

void CheckpointState::keep(Memory memory) {
  if (entries_.size() >= forget_at_) {
    forget_freed();
    forget_at_ = std::max(kForgetAt, 2 * entries_.size());
  }
  entries_.push_back({made_++, std::move(memory)});
}

void CheckpointState::forget_freed() {
  std::erase_if(entries_, [](const Entry& entry) { return freed(entry.memory); });
}

double CheckpointState::repeat() {
  if (repeated_ == scalars_.size())
    throw std::logic_error("the repeated run takes more numbers from values than the first did");
  return scalars_[repeated_++];
}

void CheckpointState::set_recording(bool on) {
  recording_ = on;
  savable_parts_ = 0;
}

bool CheckpointState::savable() {
  while (savable_parts_ < parts_.size() && parts_[savable_parts_]->savable()) ++savable_parts_;
  return savable_parts_ == parts_.size();
}

void CheckpointState::save(ArchiveWriter& archive) const {
  std::uint64_t alive = 0;
  for (const Entry& entry : entries_) alive += freed(entry.memory) ? 0 : 1;
  archive.put(alive);
  for (const Entry& entry : entries_) {
    if (freed(entry.memory)) continue;
    archive.put(entry.number);
    archive.put<std::uint8_t>(static_cast<std::uint8_t>(entry.memory.index()));
    if (const auto* floats = std::get_if<0>(&entry.memory)) {
      floats->lock()->save(archive);
    } else if (const auto* sparse = std::get_if<1>(&entry.memory)) {
      sparse->lock()->indices.save(archive);
      sparse->lock()->values.save(archive);
    } else {
      const auto& record = std::get<2>(entry.memory);
      archive.put<std::uint64_t>(record.bytes);
      archive.bytes(record.memory.lock().get(), record.bytes);
    }
  }
  for (const Part* part : parts_) part->save(archive);
}

void CheckpointState::load(ArchiveReader& archive) {
  forget_freed();
  const auto expect = [](bool holds, std::uint64_t found, std::uint64_t expected) {
    if (!holds)
      throw std::logic_error(fmt::format(
          "a checkpoint does not fit the run that it repeats: {} instead of {}", found, expected));
  };
  const auto alive = archive.get<std::uint64_t>();
  expect(alive == entries_.size(), alive, entries_.size());
  for (const Entry& entry : entries_) {
    const auto number = archive.get<std::uint64_t>();
    expect(number == entry.number, number, entry.number);
    const auto kind = archive.get<std::uint8_t>();
    expect(kind == entry.memory.index(), kind, entry.memory.index());
    if (const auto* floats = std::get_if<0>(&entry.memory)) {
      floats->lock()->load(archive);
    } else if (const auto* sparse = std::get_if<1>(&entry.memory)) {
      sparse->lock()->indices.load(archive);
      sparse->lock()->values.load(archive);
    } else {
      const auto& record = std::get<2>(entry.memory);
      const auto bytes = archive.get<std::uint64_t>();
      expect(bytes == record.bytes, bytes, record.bytes);
      archive.bytes(record.memory.lock().get(), record.bytes);
    }
  }
  for (Part* part : parts_) part->load(archive);
}

}  // namespace paceline
