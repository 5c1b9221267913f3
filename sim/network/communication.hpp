#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "algorithms/schedule.hpp"
#include "sim/network/collective_software.hpp"
#include "sim/network/message_sizes.hpp"
#include "sim/network/transport.hpp"
#include "sim/time/clock.hpp"
#include "sim/time/continuations.hpp"
#include "sim/time/wire_time.hpp"
#include "sim/values/worker_values.hpp"

namespace paceline {

enum class CollectiveKind : std::uint8_t {
  all_reduce,
  all_gather,  ///< of sparse blocks
  gtop_k,
  barrier,
  reduce_scatter,
  gather_shares,  ///< all-gather of the workers' shares of one tensor
  gather_mean,    ///< all-gather of a coded tensor of each worker, of which all take the mean
  broadcast,
  all_to_all
};
const char* to_string(CollectiveKind kind);

/// What has to be equal on all workers for their calls to be one collective.
struct CollectiveCall {
  CollectiveKind kind;
  std::int64_t offset;  // in the flat parameter vector
  std::int64_t elements;
  double bits;  // per element on the wire
  int priority = 0;
  std::uint32_t root = 0;  // of a broadcast
  bool operator==(const CollectiveCall&) const = default;
};

class Channel;
class CollectivePlans;
class Collective;

/// What collectives need to compute on values; `graph` is null in time-only runs.
struct CollectiveValues {
  TaskGraph* graph = nullptr;
  std::vector<double> weights;  ///< by rank, summing to 1
};

/// Carries what is on the wire where it is real: one worker of the job is in this process.
class Carrier {
 public:
  /// Fills in what the collective brings and calls done(self, 0) once this worker has it.
  virtual void carry(Collective& collective, Clock::Fire done, void* self) = 0;

 protected:
  ~Carrier() = default;
};

/// One collective under way; made by the first worker that calls it.
class Collective {
 public:
  Collective(Channel& on, CollectiveCall what, std::uint64_t number, std::uint32_t first)
      : channel(on), call(what), sequence(number), first_worker(first) {}
  virtual ~Collective() = default;
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] virtual CompletionRef completion() = 0;
  virtual void finish() = 0;  // makes the result and tells the waiters
  /// Just before the start, with values: sizes that depend on the data.
  virtual void measure(const CollectiveValues&) {}

  Channel& channel;
  const CollectiveCall call;
  const std::uint64_t sequence;
  const std::uint32_t first_worker;
  std::uint32_t joined = 0;  // workers that have called
  std::uint32_t ready = 0;   // workers whose data are there
  double bytes = 0;          // on the wire, of the whole collective
  MessageSizes sizes = MessageSizes::fixed;
  double started = 0;
};

/// The collectives of one communication stream of all workers, one at a time. A collective can
/// start once every worker has called it and its data are there. In order of the calls: because
/// every worker takes part in every collective, this is the same as a FIFO per worker. Coordinated:
/// the one with the highest priority first.
class Channel {
 public:
  using Ended = std::function<void(const Collective&)>;  ///< trace
  /// `labels(offset, elements)` names a range of parameters in messages.
  using Labels = std::function<std::string(std::int64_t, std::int64_t)>;
  /// `wire` is told when the workers are on the wire.
  Channel(Clock& clock, Transport& transport, WireTime& wire, Continuations& later,
          std::size_t workers, ChannelOptions options, Labels labels);

  void set_plans(const CollectivePlans* plans) { plans_ = plans; }
  void trace(Ended ended) { ended_ = std::move(ended); }
  void set_software(ChannelSoftware software) { software_ = std::move(software); }
  void set_values(CollectiveValues values) { values_ = std::move(values); }
  /// Only one worker calls here, and `carrier` does what the transport stands for.
  void set_carrier(Carrier& carrier) {
    carrier_ = &carrier;
    callers_ = 1;
  }
  [[nodiscard]] const CollectiveValues& values() const { return values_; }
  [[nodiscard]] std::size_t workers() const { return next_.size(); }

  /// Worker `worker` calls its next collective here: a C, made now if this worker is the first.
  /// Throws InputError naming both calls if another worker's call of the same number is a different
  /// one.
  template <class C>
  C& join(std::uint32_t worker, const CollectiveCall& call) {
    const std::uint64_t sequence = next_[worker]++;
    // In lock-step all workers join the same collective one after the other.
    if (last_joined_ == nullptr || sequence != last_joined_->sequence) {
      if (sequence - base_ == open_.size()) {
        auto* made = new C(*this, call, sequence, worker);
        open_.push_back({CompletionRef(made), made});
      }
      last_joined_ = open_[sequence - base_].collective;
    }
    Collective& found = *last_joined_;
    if (!(found.call == call)) mismatch(worker, call, found);
    ++found.joined;
    return static_cast<C&>(found);
  }
  /// After join: the worker's part can leave once `data` are there.
  void submit(Collective& collective, const Tensor& data) {
    if (data.ready())
      is_ready(collective);
    else
      submit_later(collective, data.producer());
  }

  [[nodiscard]] std::string describe(const CollectiveCall& call) const;
  /// Who waits for whom, one line per open collective, for the deadlock report.
  void describe_open(std::vector<std::string>& lines) const;
  [[nodiscard]] std::size_t open() const { return open_.size(); }
  /// What was on the wire last, from when to when: all collectives of a batch together.
  struct Carried {
    const PreparedPlan* plan = nullptr;
    double since_s = 0, until_s = 0;
  };
  [[nodiscard]] const Carried& carried() const { return carried_; }
  /// Of the collectives that have started: `expected` if one was, else `actual` if one was.
  [[nodiscard]] MessageSizes sizes() const { return sizes_; }
  /// Of the collective on the wire, if it follows this plan: all its bytes.
  [[nodiscard]] double bytes_under_way(const PreparedPlan& plan) const;
  /// Of the collective on the wire, if it follows this plan: the bytes that are still to pass the
  /// links, as if it went on evenly for as long as it takes alone.
  [[nodiscard]] double unsent_bytes(const PreparedPlan& plan) const;

 private:
  struct Open {
    CompletionRef alive;
    Collective* collective;  // null once ended
  };
  [[noreturn]] void mismatch(std::uint32_t worker, const CollectiveCall& call,
                             const Collective& found) const;
  void is_ready(Collective& collective) {
    if (++collective.ready == callers_) all_ready(collective);
  }
  void submit_later(Collective& collective, const CompletionRef& after);
  void all_ready(Collective& collective);
  void consider();
  void consider_later();
  void start_coordinated();
  void start();  // what stands in batch_
  void send();   // once the software has started it up
  void sent();
  void end();
  [[nodiscard]] double computed_s() const;

  Clock& clock_;
  Transport& transport_;
  WireTime& wire_;
  Continuations& later_;
  ChannelOptions options_;
  Labels labels_;
  const CollectivePlans* plans_ = nullptr;
  PreparedPlan* sending_ = nullptr;  // what batch_ follows on the wire
  Carried carried_;
  Ended ended_;
  ChannelSoftware software_;
  CollectiveSoftware::Load load_;   // of batch_
  double computed_at_start_s_ = 0;  // by the workers, when batch_ started
  double sending_since_ = 0;
  CollectiveValues values_;
  std::vector<std::uint64_t> next_;  // by worker: number of its next call
  std::size_t callers_;              // workers of this process: all, unless there is a carrier
  Carrier* carrier_ = nullptr;
  std::uint64_t base_ = 0;            // number of open_.front()
  std::deque<Open> open_;             // in order of calls
  std::uint64_t next_start_ = 0;      // in order of calls: the one whose turn it is
  std::vector<Collective*> waiting_;  // coordinated: ready on all workers, not started
  std::vector<Collective*> batch_;    // on the wire now
  std::vector<Collective*> ending_;
  bool considering_ = false;
  MessageSizes sizes_ = MessageSizes::fixed;
  Collective* last_joined_ = nullptr;
};

class AllReduceCall final : public Result<Tensor>, public Collective {
 public:
  AllReduceCall(Channel& on, const CollectiveCall& what, std::uint64_t number, std::uint32_t first)
      : Result(what.elements), Collective(on, what, number, first) {}
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    return {device, call.elements, call.offset, {}, values};
  }
  [[nodiscard]] CompletionRef completion() override { return CompletionRef(this); }
  void finish() override;
  void take(std::uint32_t rank, const Tensor& tensor);  // not in time-only runs
  std::vector<Tensor> inputs;                           // by rank
  ValuesRef values;
};

class GatherCall final : public Result<Gathered>, public Collective {
 public:
  using Collective::Collective;
  [[nodiscard]] Gathered value(TensorDevice*) const override {
    return {blocks, call.offset, call.elements, selected};
  }
  [[nodiscard]] CompletionRef completion() override { return CompletionRef(this); }
  void finish() override { complete(); }
  void measure(const CollectiveValues& values) override;
  void take(std::uint32_t rank, const Sparse& block);  // not in time-only runs
  void add(const Sparse& block);                       // to what travels
  std::shared_ptr<std::vector<Sparse>> blocks;         // by rank; null in time-only runs
  double selected = 0;
};

class GlobalTopKCall final : public Result<Sparse>, public Collective {
 public:
  using Collective::Collective;
  [[nodiscard]] Sparse value(TensorDevice* device) const override {
    return {Tensor(device, static_cast<std::int64_t>(selected), call.offset, {}, values),
            call.elements, selected};
  }
  [[nodiscard]] CompletionRef completion() override { return CompletionRef(this); }
  void finish() override;
  void take(std::uint32_t rank, const Sparse& block);  // not in time-only runs
  void add(const Sparse& block);  // to what travels: every message is as large as the largest block
  std::vector<Sparse> blocks;     // by rank; empty in time-only runs
  ValuesRef values;
  double selected = 0;
};

}  // namespace paceline
