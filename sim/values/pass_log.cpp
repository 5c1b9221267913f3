#include "sim/values/pass_log.hpp"

#include <algorithm>
#include <cstring>

namespace paceline {
namespace {

constexpr std::size_t kBlock = 1024;  // elements compared at a time

}  // namespace

void earlier_micro_batches(WorkerEngine& engine, std::int64_t step, std::int64_t micro_batches,
                           std::uint32_t end, std::span<const float> weights,
                           std::span<float> gradient, const std::function<void()>& each) {
  for (std::int64_t micro = 0; micro + 1 < micro_batches; ++micro) {
    engine.load(step, micro);
    engine.forward(0, end, weights, step);
    engine.backward(0, end, weights, gradient);
    each();
  }
}

void PassLog::begin(const WorkerEngine& engine) {
  state_.resize(static_cast<std::size_t>(engine.state_elements()));
  engine.read_state(state_);
}

void PassLog::piece(Kind kind, std::uint32_t from, std::uint32_t to,
                    std::span<const float> weights) {
  pieces_.push_back({kind, from, to, {}});
  if (latest_.empty()) {
    first_.assign(weights.begin(), weights.end());
    latest_ = first_;
    return;
  }
  for (std::size_t at = 0; at < weights.size(); at += kBlock) {
    const std::span<const float> block = weights.subspan(at, std::min(kBlock, weights.size() - at));
    if (std::memcmp(block.data(), &latest_[at], block.size_bytes()) == 0) continue;
    pieces_.back().changes.push_back({at, {block.begin(), block.end()}});
    std::copy(block.begin(), block.end(), latest_.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

void PassLog::repeat(WorkerEngine& engine) const {
  kernels::Backend& on = engine.backend();
  const kernels::Array<float> weights(on, first_.size()), gradient(on, first_.size());
  const auto set = [&](std::size_t offset, const std::vector<float>& values) {
    on.copy_from_host(weights.data() + offset, values.data(), values.size() * sizeof(float));
  };
  on.fill(0, gradient);
  set(0, first_);
  engine.write_state(state_);
  for (const Piece& piece : pieces_) {
    for (const Change& change : piece.changes) set(change.offset, change.values);
    if (piece.kind == Kind::backward) {
      engine.backward(piece.from, piece.to, weights, gradient);
      continue;
    }
    if (piece.from == 0) {
      earlier_micro_batches(engine, step_, micro_batches_, end_, weights, gradient, [] {});
      engine.load(step_, micro_batches_ - 1);
    }
    engine.forward(piece.from, piece.to, weights, step_);
  }
  on.synchronize();
}

void PassLog::save(ArchiveWriter& archive) const {
  archive.put(step_);
  archive.put(micro_batches_);
  archive.put(end_);
  archive.put(state_);
  archive.put(first_);
  archive.put<std::uint64_t>(pieces_.size());
  for (const Piece& piece : pieces_) {
    archive.put(piece.kind);
    archive.put(piece.from);
    archive.put(piece.to);
    archive.put<std::uint64_t>(piece.changes.size());
    for (const Change& change : piece.changes) {
      archive.put(change.offset);
      archive.put(change.values);
    }
  }
}

PassLog::PassLog(ArchiveReader& archive)
    : step_(archive.get<std::int64_t>()),
      micro_batches_(archive.get<std::int64_t>()),
      end_(archive.get<std::uint32_t>()) {
  archive.get(state_);
  archive.get(first_);
  latest_ = first_;
  pieces_.resize(archive.get<std::uint64_t>());
  for (Piece& piece : pieces_) {
    piece.kind = archive.get<Kind>();
    piece.from = archive.get<std::uint32_t>();
    piece.to = archive.get<std::uint32_t>();
    piece.changes.resize(archive.get<std::uint64_t>());
    for (Change& change : piece.changes) {
      change.offset = archive.get<std::uint64_t>();
      archive.get(change.values);
      std::copy(change.values.begin(), change.values.end(),
                latest_.begin() + static_cast<std::ptrdiff_t>(change.offset));
    }
  }
}

}  // namespace paceline
