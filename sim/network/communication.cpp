#include "sim/network/communication.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "sim/network/collective_plans.hpp"
#include "sim/values/collective_values.hpp"

namespace paceline {

const char* to_string(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::all_reduce:
      return "all-reduce";
    case CollectiveKind::all_gather:
      return "all-gather";
    case CollectiveKind::gtop_k:
      return "gTop-k";
    case CollectiveKind::barrier:
      return "barrier";
    case CollectiveKind::reduce_scatter:
      return "reduce-scatter";
    case CollectiveKind::gather_shares:
      return "all-gather of shares";
    case CollectiveKind::gather_mean:
      return "all-gather of coded tensors";
    case CollectiveKind::broadcast:
      return "broadcast";
    case CollectiveKind::all_to_all:
      return "all-to-all";
  }
  return "";
}

const char* to_string(MessageSizes sizes) {
  switch (sizes) {
    case MessageSizes::fixed:
      return "fixed";
    case MessageSizes::actual:
      return "actual";
    case MessageSizes::expected:
      return "expected";
  }
  return "";
}

std::string Collective::describe() const {
  return channel.describe(call);
}

Channel::Channel(Clock& clock, Transport& transport, WireTime& wire, Continuations& later,
                 std::size_t workers, ChannelOptions options, Labels labels)
    : clock_(clock),
      transport_(transport),
      wire_(wire),
      later_(later),
      options_(options),
      labels_(std::move(labels)),
      next_(workers, 0),
      callers_(workers) {}

std::string Channel::describe(const CollectiveCall& call) const {
  if (call.kind == CollectiveKind::barrier) return "barrier";
  return fmt::format("{} of {} ({} elements)", to_string(call.kind),
                     labels_(call.offset, call.elements), call.elements);
}

void Channel::mismatch(std::uint32_t worker, const CollectiveCall& call,
                       const Collective& found) const {
  throw InputError(fmt::format(
      "workers issue collectives in different order: number {} is '{}' on worker {} but '{}' on "
      "worker {}",
      found.sequence, describe(found.call), found.first_worker, describe(call), worker));
}

void Channel::submit_later(Collective& collective, const CompletionRef& after) {
  later_.when_done(after, [this, &collective] { is_ready(collective); });
}

void Channel::all_ready(Collective& collective) {
  if (options_.coordinated) waiting_.push_back(&collective);
  consider();
}

// Starts what can start, if nothing is on the wire.
void Channel::consider() {
  if (!batch_.empty() || considering_) return;
  if (!options_.coordinated) {
    if (next_start_ - base_ >= open_.size()) return;
    Collective* next = open_[next_start_ - base_].collective;
    if (next->ready < callers_) return;
    ++next_start_;
    batch_.push_back(next);
    if (software_.costs.cycle_s() > 0)
      consider_later();
    else
      start();
    return;
  }
  // Decide at the end of this date, when everybody who asks now has asked.
  if (!waiting_.empty()) consider_later();
}

void Channel::consider_later() {
  considering_ = true;
  double when = clock_.now();
  if (const double cycle = std::max(options_.cycle_s, software_.costs.cycle_s()); cycle > 0)
    when = std::ceil(when / cycle * (1 - 1e-12)) * cycle;
  clock_.at(
      when + options_.negotiation_s,
      [](void* self, std::uint64_t) {
        auto* channel = static_cast<Channel*>(self);
        channel->considering_ = false;
        if (channel->options_.coordinated)
          channel->start_coordinated();
        else
          channel->start();
      },
      this);
}

void Channel::start_coordinated() {
  std::stable_sort(waiting_.begin(), waiting_.end(), [](const Collective* a, const Collective* b) {
    return a->call.priority != b->call.priority ? a->call.priority > b->call.priority
                                                : a->sequence < b->sequence;
  });
  double bytes = 0;
  std::size_t taken = 0;
  for (; taken < waiting_.size(); ++taken) {
    const Collective* next = waiting_[taken];
    const bool fits = next->call.kind == waiting_.front()->call.kind &&
                      next->call.root == waiting_.front()->call.root &&
                      bytes + next->bytes <= options_.fusion_bytes;
    if (taken > 0 && !fits) break;
    bytes += next->bytes;
  }
  const auto end_of_batch = waiting_.begin() + static_cast<std::ptrdiff_t>(taken);
  batch_.assign(waiting_.begin(), end_of_batch);
  waiting_.erase(waiting_.begin(), end_of_batch);
  start();
}

double Channel::computed_s() const {
  return software_.costs.hidden_stretch() > 0 ? software_.computed_s() : 0;
}

void Channel::start() {
  load_ = {};
  for (Collective* collective : batch_) {
    if (values_.graph != nullptr) collective->measure(values_);
    collective->started = clock_.now();
    sizes_ = std::max(sizes_, collective->sizes);
    load_.bytes += collective->bytes;
    load_.parameters += static_cast<double>(collective->call.elements);
    if (collective->call.kind == CollectiveKind::all_gather)
      load_.selected += collective->bytes * 8 / collective->call.bits;
    if (software_.costs.counts_tensors())
      load_.tensors += software_.tensors_in(collective->call.offset, collective->call.elements);
  }
  computed_at_start_s_ = computed_s();
  wire_.began(clock_.now());
  if (const double before = software_.costs.before_s(load_); before > 0)
    clock_.after(
        before, [](void* self, std::uint64_t) { static_cast<Channel*>(self)->send(); }, this, 0);
  else
    send();
}

void Channel::send() {
  sending_ = &plans_->of(batch_.front()->call.kind, load_.bytes, batch_.front()->call.root);
  sending_since_ = clock_.now();
  const auto done = [](void* self, std::uint64_t) { static_cast<Channel*>(self)->sent(); };
  if (carrier_ != nullptr)
    carrier_->carry(*batch_.front(), done, this);
  else
    transport_.run(*sending_, load_.bytes, done, this, 0);
}

void Channel::sent() {
  carried_ = {sending_, sending_since_, clock_.now()};
  sending_ = nullptr;
  const double after = software_.costs.after_s(load_) +
                       software_.costs.hidden_stretch() * (computed_s() - computed_at_start_s_);
  if (after > 0)
    clock_.after(
        after, [](void* self, std::uint64_t) { static_cast<Channel*>(self)->end(); }, this, 0);
  else
    end();
}

void Channel::end() {
  ending_.swap(batch_);
  wire_.ended(clock_.now());
  for (Collective* collective : ending_) {
    const CompletionRef alive = collective->completion();
    if (collective == last_joined_) last_joined_ = nullptr;
    if (ended_) ended_(*collective);
    open_[collective->sequence - base_].collective = nullptr;
    while (!open_.empty() && open_.front().collective == nullptr) {
      open_.pop_front();
      ++base_;
    }
    collective->finish();
  }
  ending_.clear();
  consider();
}

double Channel::bytes_under_way(const PreparedPlan& plan) const {
  return sending_ == &plan ? load_.bytes : 0;
}

double Channel::unsent_bytes(const PreparedPlan& plan) const {
  const double bytes = bytes_under_way(plan);
  if (bytes == 0) return 0;
  const double whole = sending_->closed_s(bytes);
  const double gone = clock_.now() - sending_since_;
  return gone < whole ? bytes * (1 - gone / whole) : 0;
}

void Channel::describe_open(std::vector<std::string>& lines) const {
  for (const Open& open : open_) {
    const Collective* c = open.collective;
    if (c == nullptr || lines.size() >= 8) continue;
    if (c->joined < next_.size()) {
      std::string missing;
      std::size_t count = 0;
      for (std::size_t w = 0; w < next_.size(); ++w)
        if (next_[w] <= c->sequence && ++count <= 4)
          missing += fmt::format("{}{}", count > 1 ? ", " : "", w);
      if (count > 4) missing += fmt::format(" and {} more", count - 4);
      lines.push_back(fmt::format("{} (first called by worker {}) waits for worker {}",
                                  describe(c->call), c->first_worker, missing));
    } else {
      lines.push_back(fmt::format("{} is called by all workers but waits for its data or its turn",
                                  describe(c->call)));
    }
  }
}

void AllReduceCall::take(std::uint32_t rank, const Tensor& tensor) {
  inputs.resize(channel.workers());
  inputs[rank] = tensor;
}

void AllReduceCall::finish() {
  if (!inputs.empty()) {
    const CollectiveValues& with = channel.values();
    values = reduce_mean(*with.graph, inputs, with.weights, call.bits);
    inputs.clear();
  }
  complete();
}

void GatherCall::measure(const CollectiveValues& with) {
  if (!blocks) return;
  double actual = 0;
  for (const Sparse& block : *blocks) {
    const SparseBuffer& buffer = buffer_of(block);
    if (buffer.size_known) return;
    actual += with.graph->take(buffer.written,
                               [&] { return static_cast<double>(buffer.data->indices.size()); });
  }
  selected = actual;
  bytes = 8 * actual;
  sizes = MessageSizes::actual;
}

void GatherCall::take(std::uint32_t rank, const Sparse& block) {
  if (!blocks) blocks = std::make_shared<std::vector<Sparse>>(channel.workers());
  (*blocks)[rank] = block;
}

void GatherCall::add(const Sparse& block) {
  selected += block.selected();
  bytes += block.bytes();
  if (block.estimated()) sizes = MessageSizes::expected;
}

void GlobalTopKCall::take(std::uint32_t rank, const Sparse& block) {
  blocks.resize(channel.workers());
  blocks[rank] = block;
}

void GlobalTopKCall::add(const Sparse& block) {
  selected = std::max(selected, block.selected());
  bytes = std::max(bytes, block.bytes());
  if (block.estimated()) sizes = MessageSizes::expected;
}

void GlobalTopKCall::finish() {
  if (!blocks.empty()) {
    const CollectiveValues& with = channel.values();
    values = merge_top_k(*with.graph, blocks, with.weights, static_cast<std::int64_t>(selected));
    blocks.clear();
  }
  complete();
}

}  // namespace paceline
