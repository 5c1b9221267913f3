#include "mpi/carrier.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "kernels/sparsify.hpp"

namespace paceline {
namespace {

constexpr const char* kNames[] = {"plan", "ring", "rank-order", "library"};

// Where the part of `index` begins, of `parts` as equal as can be.
std::size_t border(std::size_t elements, std::size_t parts, std::size_t index) {
  return elements * index / parts;
}

std::span<float> part_of(std::span<float> values, std::size_t parts, std::size_t index) {
  const std::size_t from = border(values.size(), parts, index);
  return values.subspan(from, border(values.size(), parts, index + 1) - from);
}

// Entries on the wire: all indices, then all values.
struct Pairs {
  std::vector<std::int32_t> indices;
  std::vector<float> values;

  [[nodiscard]] std::vector<std::byte> packed() const {
    std::vector<std::byte> bytes(8 * indices.size());
    std::memcpy(bytes.data(), indices.data(), 4 * indices.size());
    std::memcpy(bytes.data() + 4 * indices.size(), values.data(), 4 * values.size());
    return bytes;
  }
  static Pairs unpacked(const std::byte* bytes, std::size_t size) {
    Pairs pairs{std::vector<std::int32_t>(size / 8), std::vector<float>(size / 8)};
    std::memcpy(pairs.indices.data(), bytes, size / 2);
    std::memcpy(pairs.values.data(), bytes + size / 2, size / 2);
    return pairs;
  }
};

Pairs pairs_of(const SparseBuffer& buffer) {
  const auto indices = buffer.data->indices.read();
  const auto values = buffer.data->values.read();
  return {{indices.begin(), indices.end()}, {values.begin(), values.end()}};
}

SparseBufferRef sparse_buffer(TaskGraph& graph, const Pairs& pairs, std::int64_t read_at) {
  SparseBufferRef buffer(new SparseBuffer(graph));
  buffer->data->set(pairs.indices, pairs.values);
  buffer->read_at = read_at;
  return buffer;
}

}  // namespace

AllReduceBy all_reduce_by_from_name(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i]) return static_cast<AllReduceBy>(i);
  throw InputError(unknown_name("all-reduce", name, {std::begin(kNames), std::end(kNames)}));
}

const char* to_string(AllReduceBy by) {
  return kNames[static_cast<std::size_t>(by)];
}

// A program of a carrier's program: its frame, and the completion that its end tells.
struct RankCarrier::Part {
  class End final : public Completion {
   public:
    void finish() { complete(); }
  };
  Program program;
  boost::intrusive_ptr<End> end{new End};
};

RankCarrier::RankCarrier(const Ends& ends, int stream, AllReduceBy by)
    : ends_(ends), stream_(stream), by_(by), ranks_(ends.job.spec.gpus.size()) {}

RankCarrier::~RankCarrier() = default;

void RankCarrier::start(Program program) {
  part_.reset();
  program_ = std::move(program);
  auto& promise = program_.handle().promise();
  promise.executor = &ends_.job.clock;
  promise.context = this;
  promise.on_end = [](Program::promise_type& over) {
    static_cast<RankCarrier*>(over.context)->ended();
  };
  ends_.job.clock.resume_soon(promise);
}

// Whoever waits is told by the clock, not from within the frame that ends.
void RankCarrier::ended() {
  collective_ = nullptr;
  ends_.job.clock.at(ends_.job.clock.now(), done_, self_);
}

Pending<> RankCarrier::run_part(Program program) {
  part_ = std::make_unique<Part>();
  part_->program = std::move(program);
  auto& promise = part_->program.handle().promise();
  promise.executor = &ends_.job.clock;
  promise.context = part_.get();
  promise.on_end = [](Program::promise_type& over) {
    static_cast<Part*>(over.context)->end->finish();
  };
  ends_.job.clock.resume_soon(promise);
  return Pending<>(CompletionRef(part_->end));
}

void RankCarrier::carry(Collective& collective, Clock::Fire done, void* self) {
  collective_ = &collective;
  done_ = done;
  self_ = self;
  const CollectiveKind kind = collective.call.kind;
  const bool values = ends_.job.graph != nullptr && kind != CollectiveKind::barrier;
  if (!values) {
    if (kind == CollectiveKind::all_reduce && by_ == AllReduceBy::library)
      return start(sum_by_library(std::llround(collective.bytes / 4)));
    // This worker knows of its own block; all are as large.
    const double blocks = kind == CollectiveKind::all_gather ? static_cast<double>(ranks_) : 1.0;
    if (kind == CollectiveKind::all_gather) static_cast<GatherCall&>(collective).selected *= blocks;
    const double bytes = blocks * collective.bytes;
    return start(walk(&ends_.job.plans.of(kind, bytes, collective.call.root), bytes));
  }
  switch (kind) {
    case CollectiveKind::all_reduce:
      return start(average(&static_cast<AllReduceCall&>(collective)));
    case CollectiveKind::all_gather:
      return start(gather(&static_cast<GatherCall&>(collective)));
    case CollectiveKind::gtop_k:
    case CollectiveKind::barrier:
      return start(global_top_k(&static_cast<GlobalTopKCall&>(collective)));
    default:
      throw InputError(fmt::format(
          "schedule '{}' asks for a {} of values, which real ranks do not do yet: it runs here for "
          "its times alone",
          ends_.job.spec.schedule.name, to_string(kind)));
  }
}

std::string RankCarrier::describe() const {
  return collective_ == nullptr
             ? ""
             : fmt::format("{} on communication stream {}", collective_->describe(), stream_);
}

// As the simulator has it: a rank sends in a round what it has received in those before.
Program RankCarrier::walk(PreparedPlan* plan, double bytes) {
  double largest = 0;
  for (const PreparedPlan::Message& message : plan->messages())
    largest = std::max(largest, message.share * bytes);
  const auto size_of = [bytes](const PreparedPlan::Message& message) {
    return static_cast<std::size_t>(std::llround(message.share * bytes));
  };
  // Contents do not matter; two buffers, because the next receive is posted before the last is over.
  const auto capacity = static_cast<std::size_t>(std::ceil(largest)) + 1;
  const Bytes outgoing(capacity);
  Bytes incoming[2] = {Bytes(capacity), Bytes(capacity)};
  struct Turn {
    std::int32_t send, receive;
  };
  std::vector<Turn> turns;
  for (const PreparedPlan::RankRound& round : plan->rank_rounds()[ends_.rank])
    for (std::int64_t i = 0; i < plan->plan().rounds[round.round].repeat; ++i)
      turns.push_back({round.send, round.receive});
  std::vector<Pending<>> sent;
  std::vector<Pending<std::int64_t>> received;
  std::size_t posted = 0;  // turns whose receive is
  for (std::size_t turn = 0; turn < turns.size(); ++turn) {
    for (; posted < turns.size() && posted < turn + 2; ++posted) {
      if (turns[posted].receive < 0) {
        received.emplace_back();
        continue;
      }
      const auto& message = plan->messages()[static_cast<std::size_t>(turns[posted].receive)];
      received.push_back(ends_.messages.receive(incoming[posted % 2].data(), size_of(message),
                                                static_cast<int>(message.from), stream_));
    }
    if (turns[turn].send >= 0) {
      const auto& message = plan->messages()[static_cast<std::size_t>(turns[turn].send)];
      sent.push_back(ends_.messages.send(outgoing.data(), size_of(message),
                                         static_cast<int>(message.to), stream_));
    }
    if (turns[turn].receive < 0) continue;
    const Pending<> here = received[turn];
    co_await here;
  }
  for (const Pending<>& gone : sent) co_await gone;
}

Program RankCarrier::sum_by_library(std::int64_t elements) {
  std::vector<float> values(static_cast<std::size_t>(elements), 1.0F);
  const Pending<> summed = ends_.messages.all_reduce_sum(values);
  co_await summed;
}

Program RankCarrier::average(AllReduceCall* call) {
  JobContext& job = ends_.job;
  if (call->call.bits != 32)
    throw InputError(fmt::format(
        "schedule '{}' sends {} bits an element, and real ranks send values in fp32: it runs here "
        "for its times alone",
        job.spec.schedule.name, call->call.bits));
  const Tensor input = call->inputs[ends_.rank];
  const Pending<> computed = ends_.values.when_done(*job.graph, buffer_of(input).written);
  co_await computed;
  const std::span<const float> own = View(input).read();
  std::vector<float> values(own.begin(), own.end());
  if (by_ == AllReduceBy::rank_order) {
    const Pending<> done = run_part(rank_order(&values));
    co_await done;
  } else {
    const auto weight = static_cast<float>(job.spec.weights[ends_.rank]);
    for (float& value : values) value *= weight;
    Pending<> done;
    if (by_ == AllReduceBy::library)
      done = ends_.messages.all_reduce_sum(values);
    else
      done = run_part(ring(&values));
    co_await done;
  }
  const BufferRef result(new Buffer(*job.graph, values));
  inherit(*result, input);
  call->values = result;
  call->inputs.clear();
}

// Patarasuk and Yuan 2009: N-1 rounds in which sums grow, N-1 in which they go round.
Program RankCarrier::ring(std::vector<float>* whole) {
  const std::span<float> values = *whole;
  const std::size_t n = ranks_, own = ends_.rank;
  const int next = static_cast<int>((own + 1) % n), before = static_cast<int>((own + n - 1) % n);
  std::vector<float> incoming(values.size());
  std::vector<Pending<std::int64_t>> received;
  const auto chunk = [&](std::span<float> of, std::size_t back) {
    return part_of(of, n, (own + 2 * n - back) % n);
  };
  for (std::size_t round = 0; round + 1 < n; ++round) {
    const std::span<float> into = chunk(incoming, round + 1);
    received.push_back(ends_.messages.receive(into.data(), into.size_bytes(), before, stream_));
  }
  std::vector<Pending<>> sent;
  for (std::size_t round = 0; round + 1 < n; ++round) {
    const std::span<float> out = chunk(values, round);
    sent.push_back(ends_.messages.send(out.data(), out.size_bytes(), next, stream_));
    const Pending<> here = received[round];
    co_await here;
    const std::span<float> come = chunk(incoming, round + 1), sum = chunk(values, round + 1);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += come[i];
  }
  for (const Pending<>& gone : sent) co_await gone;  // what they send is written from here on
  sent.clear();
  received.clear();
  for (std::size_t round = 0; round + 1 < n; ++round) {
    const std::span<float> into = chunk(values, round);
    received.push_back(ends_.messages.receive(into.data(), into.size_bytes(), before, stream_));
  }
  for (std::size_t round = 0; round + 1 < n; ++round) {
    const std::span<float> out = chunk(values, round + n - 1);
    sent.push_back(ends_.messages.send(out.data(), out.size_bytes(), next, stream_));
    const Pending<> here = received[round];
    co_await here;
  }
  for (const Pending<>& gone : sent) co_await gone;
}

// Every rank sends each other one its share, sums its own in the order of ranks and sends it to
// all: as many bytes as a ring, and the simulator's sums (sim/values/collective_values.cpp).
Program RankCarrier::rank_order(std::vector<float>* whole) {
  const std::span<float> values = *whole;
  const std::size_t n = ranks_, own = ends_.rank;
  const std::span<float> mine = part_of(values, n, own);
  std::vector<std::vector<float>> incoming(n, std::vector<float>(mine.size()));
  incoming[own].assign(mine.begin(), mine.end());
  std::vector<Pending<>> received, sent;
  for (std::size_t shift = 1; shift < n; ++shift) {
    const std::size_t from = (own + n - shift) % n, to = (own + shift) % n;
    received.emplace_back(ends_.messages.receive(incoming[from].data(), mine.size_bytes(),
                                                 static_cast<int>(from), stream_));
    const std::span<float> out = part_of(values, n, to);
    sent.push_back(
        ends_.messages.send(out.data(), out.size_bytes(), static_cast<int>(to), stream_));
  }
  for (const Pending<>& here : received) co_await here;
  for (const Pending<>& gone : sent) co_await gone;
  received.clear();
  sent.clear();
  std::fill(mine.begin(), mine.end(), 0.0F);
  for (std::size_t rank = 0; rank < n; ++rank) {
    const auto share = static_cast<float>(ends_.job.spec.weights[rank]);
    for (std::size_t i = 0; i < mine.size(); ++i) mine[i] += share * incoming[rank][i];
  }
  for (std::size_t shift = 1; shift < n; ++shift) {
    const std::size_t from = (own + n - shift) % n, to = (own + shift) % n;
    const std::span<float> into = part_of(values, n, from);
    received.emplace_back(
        ends_.messages.receive(into.data(), into.size_bytes(), static_cast<int>(from), stream_));
    sent.push_back(
        ends_.messages.send(mine.data(), mine.size_bytes(), static_cast<int>(to), stream_));
  }
  for (const Pending<>& here : received) co_await here;
  for (const Pending<>& gone : sent) co_await gone;
}

// Round the ring: each rank passes on the block that it has received last.
Program RankCarrier::gather(GatherCall* call) {
  JobContext& job = ends_.job;
  const std::size_t n = ranks_, own = ends_.rank;
  const int next = static_cast<int>((own + 1) % n), before = static_cast<int>((own + n - 1) % n);
  const Sparse block = (*call->blocks)[own];
  const SparseBuffer& buffer = buffer_of(block);
  const Pending<> computed = ends_.values.when_done(*job.graph, buffer.written);
  co_await computed;
  // Where a threshold selects, a block may be as large as it is dense.
  const auto capacity =
      8 * static_cast<std::size_t>(buffer.size_known ? std::llround(block.selected())
                                                     : block.dense_elements());
  const Pairs mine = pairs_of(buffer);
  std::vector<Bytes> blocks(n);
  blocks[own] = mine.packed();
  double selected = static_cast<double>(mine.indices.size());
  std::vector<Pending<>> sent;
  for (std::size_t round = 0; round + 1 < n; ++round) {
    const Bytes& out = blocks[(own + n - round) % n];
    Bytes& into = blocks[(own + n - round - 1) % n];
    into.resize(capacity);
    const Pending<std::int64_t> received =
        ends_.messages.receive(into.data(), into.size(), before, stream_);
    sent.push_back(ends_.messages.send(out.data(), out.size(), next, stream_));
    const std::int64_t bytes = co_await received;
    into.resize(static_cast<std::size_t>(bytes));
  }
  for (const Pending<>& gone : sent) co_await gone;
  const auto all = std::make_shared<std::vector<Sparse>>(n);
  for (std::size_t rank = 0; rank < n; ++rank) {
    if (rank == own) {
      (*all)[rank] = block;
      continue;
    }
    const Pairs pairs = Pairs::unpacked(blocks[rank].data(), blocks[rank].size());
    const auto count = static_cast<std::int64_t>(pairs.indices.size());
    selected += static_cast<double>(count);
    const ValuesRef values = sparse_buffer(*job.graph, pairs, buffer.read_at);
    const Tensor tensor(block.pairs().device(), count, call->call.offset, {}, values);
    (*all)[rank] = Sparse(tensor, block.dense_elements(), static_cast<double>(count));
  }
  call->blocks = all;
  call->selected = selected;
}

// Shi et al., arXiv 1901.04359: merges up a binary tree that keep k entries, then down it.
Program RankCarrier::global_top_k(GlobalTopKCall* call) {
  JobContext& job = ends_.job;
  const std::size_t n = ranks_, own = ends_.rank;
  const Sparse block = call->blocks[own];
  const SparseBuffer& buffer = buffer_of(block);
  const Pending<> computed = ends_.values.when_done(*job.graph, buffer.written);
  co_await computed;
  Pairs held = pairs_of(buffer);
  const auto weight = static_cast<float>(job.spec.weights[own]);
  for (float& value : held.values) value *= weight;
  const auto k = static_cast<std::size_t>(std::llround(block.selected()));
  Bytes incoming(8 * k);
  std::size_t distance = 1;
  for (; distance < n && own % (2 * distance) == 0; distance *= 2) {
    if (own + distance >= n) continue;
    const Pending<std::int64_t> received = ends_.messages.receive(
        incoming.data(), incoming.size(), static_cast<int>(own + distance), stream_);
    const std::int64_t bytes = co_await received;
    const Pairs other = Pairs::unpacked(incoming.data(), static_cast<std::size_t>(bytes));
    Pairs kept{std::vector<std::int32_t>(k), std::vector<float>(k)};
    const auto count = static_cast<std::size_t>(kernels::reference::merge_top_k(
        {held.indices, held.values}, {other.indices, other.values}, {kept.indices, kept.values}));
    kept.indices.resize(count);
    kept.values.resize(count);
    held = std::move(kept);
  }
  if (own > 0) {  // `distance` is that to the parent
    const int parent = static_cast<int>(own - distance);
    const Bytes out = held.packed();
    const Pending<> sent = ends_.messages.send(out.data(), out.size(), parent, stream_);
    const Pending<std::int64_t> received =
        ends_.messages.receive(incoming.data(), incoming.size(), parent, stream_);
    co_await sent;
    const std::int64_t bytes = co_await received;
    held = Pairs::unpacked(incoming.data(), static_cast<std::size_t>(bytes));
  }
  const Bytes out = held.packed();
  std::vector<Pending<>> sent;
  for (std::size_t step = distance / 2; step > 0; step /= 2)
    if (own + step < n)
      sent.push_back(
          ends_.messages.send(out.data(), out.size(), static_cast<int>(own + step), stream_));
  for (const Pending<>& gone : sent) co_await gone;
  call->values = sparse_buffer(*job.graph, held, buffer.read_at);
  call->blocks.clear();
}

}  // namespace paceline
