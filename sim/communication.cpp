#include "sim/communication.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace paceline {

const char* to_string(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::all_reduce: return "all-reduce";
    case CollectiveKind::all_gather: return "all-gather";
    case CollectiveKind::gtop_k: return "gTop-k";
    case CollectiveKind::barrier: return "barrier";
  }
  return "";
}

CommStream::CommStream(Clock& clock, WireTime& wire, std::uint32_t worker)
    : clock_(&clock), wire_(&wire), worker_(worker), ring_(8), mask_(7) {
  notify = [](Completion::Waiter* self) { static_cast<CommStream*>(self)->try_head(); };
}

void CommStream::enqueue(CommItem& item, const CompletionRef& after) {
  if (tail_ - head_ == ring_.size()) {
    std::vector<Entry> larger(ring_.size() * 2);
    for (std::size_t i = head_; i != tail_; ++i) larger[i & (larger.size() - 1)] = std::move(ring_[i & mask_]);
    ring_ = std::move(larger);
    mask_ = ring_.size() - 1;
  }
  Entry& entry = ring_[tail_++ & mask_];
  entry.item = &item;
  if (after && !after->done()) entry.after = after;
  if (tail_ - head_ == 1) try_head();
}

void CommStream::try_head() {
  Entry& entry = ring_[head_ & mask_];
  if (entry.after) {
    if (!entry.after->done()) {
      entry.after->wait(*this);
      return;
    }
    entry.after.reset();
  }
  entry.item->at_head(worker_);
}

void CommStream::ended() {
  wire_->ended(clock_->now());
  ring_[head_++ & mask_].item = nullptr;
  if (head_ != tail_) try_head();
}

void Collective::at_head(std::uint32_t) { channel.is_ready(*this); }

std::string Collective::describe() const { return channel.describe(call); }

Channel::Channel(Clock& clock, Transport& transport, std::vector<CommStream*> streams,
                 std::vector<WireTime*> wires, ChannelOptions options, Labels labels)
    : clock_(clock),
      transport_(transport),
      streams_(std::move(streams)),
      wires_(std::move(wires)),
      options_(options),
      labels_(std::move(labels)),
      next_(streams_.size(), 0) {}

Channel::~Channel() = default;

std::string Channel::describe(const CollectiveCall& call) const {
  if (call.kind == CollectiveKind::barrier) return "barrier";
  return fmt::format("{} of {} ({} elements)", to_string(call.kind), labels_(call.offset, call.elements),
                     call.elements);
}

void Channel::mismatch(std::uint32_t worker, const CollectiveCall& call, const Collective& found) const {
  throw InputError(fmt::format(
      "workers issue collectives in different order: number {} is '{}' on worker {} but '{}' on worker {}",
      found.sequence, describe(found.call), found.first_worker, describe(call), worker));
}

namespace {

// Submits on behalf of a coordinated channel once the data are there.
struct LateSubmit : Completion::Waiter {
  std::function<void()> then;
};

}  // namespace

void Channel::submit(std::uint32_t worker, Collective& collective, const CompletionRef& after) {
  if (!options_.coordinated) {
    streams_[worker]->enqueue(collective, after);
    return;
  }
  if (!after || after->done()) {
    is_ready(collective);
    return;
  }
  auto* late = new LateSubmit;
  late->then = [this, &collective] { is_ready(collective); };
  late->notify = [](Completion::Waiter* self) {
    const std::unique_ptr<LateSubmit> owned(static_cast<LateSubmit*>(self));
    owned->then();
  };
  after->wait(*late);
}

void Channel::is_ready(Collective& collective) {
  if (++collective.ready < streams_.size()) return;
  if (!options_.coordinated) {
    begin(collective);
    return;
  }
  waiting_.push_back(&collective);
  consider();
}

void Channel::begin(Collective& collective) {
  collective.started = clock_.now();
  for (CommStream* stream : streams_) stream->began();
  transport_.run(
      *plans_[static_cast<int>(collective.call.kind)], collective.bytes,
      [](void* self, std::uint64_t) {
        auto* ended = static_cast<Collective*>(self);
        ended->channel.end(*ended);
      },
      &collective, 0);
}

void Channel::end(Collective& collective) {
  const CompletionRef alive = collective.completion();
  if (ended_) ended_(collective);
  items_[collective.sequence - base_] = nullptr;
  ++retired_;
  retire();
  collective.finish();
  for (CommStream* stream : streams_) stream->ended();
}

void Channel::retire() {
  while (!items_.empty() && items_.front() == nullptr) {
    items_.pop_front();
    open_.pop_front();
    ++base_;
    --retired_;
  }
}

void Channel::consider() {
  if (considering_ || !batch_.empty() || waiting_.empty()) return;
  // Decide at the end of this date, when everybody who asks now has asked.
  considering_ = true;
  double when = clock_.now();
  if (options_.cycle_s > 0) when = std::ceil(when / options_.cycle_s * (1 - 1e-12)) * options_.cycle_s;
  clock_.at(
      when + options_.negotiation_s, [](void* self, std::uint64_t) { static_cast<Channel*>(self)->start_batch(); },
      this);
}

void Channel::start_batch() {
  considering_ = false;
  std::stable_sort(waiting_.begin(), waiting_.end(), [](const Collective* a, const Collective* b) {
    return a->call.priority != b->call.priority ? a->call.priority > b->call.priority : a->sequence < b->sequence;
  });
  double bytes = 0;
  const CollectiveKind kind = waiting_.front()->call.kind;
  std::vector<Collective*> rest;
  for (Collective* c : waiting_) {
    const bool fits = batch_.empty() || (c->call.kind == kind && bytes + c->bytes <= options_.fusion_bytes);
    if (fits && rest.empty()) {
      batch_.push_back(c);
      bytes += c->bytes;
      c->started = clock_.now();
    } else {
      rest.push_back(c);
    }
  }
  waiting_ = std::move(rest);
  for (WireTime* wire : wires_) wire->began(clock_.now());
  transport_.run(
      *plans_[static_cast<int>(kind)], bytes,
      [](void* self, std::uint64_t) { static_cast<Channel*>(self)->end_batch(); }, this, 0);
}

void Channel::end_batch() {
  std::vector<Collective*> ended;
  ended.swap(batch_);
  for (WireTime* wire : wires_) wire->ended(clock_.now());
  for (Collective* collective : ended) {
    const CompletionRef alive = collective->completion();
    if (ended_) ended_(*collective);
    items_[collective->sequence - base_] = nullptr;
    ++retired_;
    retire();
    collective->finish();
  }
  consider();
}

void Channel::describe_open(std::vector<std::string>& lines) const {
  for (const Collective* c : items_) {
    if (c == nullptr || lines.size() >= 8) continue;
    if (c->joined < next_.size()) {
      std::string missing;
      std::size_t count = 0;
      for (std::size_t w = 0; w < next_.size(); ++w)
        if (next_[w] <= c->sequence && ++count <= 4) missing += fmt::format("{}{}", count > 1 ? ", " : "", w);
      if (count > 4) missing += fmt::format(" and {} more", count - 4);
      lines.push_back(fmt::format("{} (first called by worker {}) waits for worker {}", describe(c->call),
                                  c->first_worker, missing));
    } else {
      lines.push_back(fmt::format("{} is called by all workers but not at the head of every stream",
                                  describe(c->call)));
    }
  }
}

}  // namespace paceline
