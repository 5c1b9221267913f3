#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "algorithms/model_shape.hpp"
#include "algorithms/program.hpp"
#include "algorithms/shares.hpp"
#include "algorithms/tensor.hpp"

namespace paceline {

/// What a local operation of a schedule is booked as in the result's "where the time goes".
/// `software` is the host's work that holds up the computation (platforms/stack.hpp).
enum class Activity : std::uint8_t {
  forward,
  backward,
  update,
  sparsify,
  arithmetic,
  software,
  copy,
  host
};
const char* to_string(Activity activity);

/// One iteration of a worker's program.
struct Step {
  std::int64_t index = 0;  ///< 0-based
};

class Worker;

/// `for (Step s : w.steps())`: the iterations this run asks for. Marks the borders of iterations.
class Steps {
 public:
  class Iterator {
   public:
    Iterator(const Steps* steps, std::int64_t index) : steps_(steps), index_(index) {}
    Step operator*() const { return {index_}; }
    inline Iterator& operator++();
    inline bool operator!=(const Iterator& end) const;

   private:
    const Steps* steps_;
    std::int64_t index_;
  };
  /// All steps of the run.
  explicit Steps(Worker* worker) : worker_(worker) {}
  /// Those of a round, which passes the border of the last one itself.
  Steps(Worker* worker, std::int64_t first, std::int64_t last)
      : worker_(worker), first_(first), last_(last), in_round_(true) {}
  [[nodiscard]] Iterator begin() const { return {this, first_}; }
  [[nodiscard]] Iterator end() const { return {this, last_}; }

 private:
  Worker* worker_;
  std::int64_t first_ = 0, last_ = 0;
  bool in_round_ = false;
};

/// `for (Round r : w.rounds(k)) for (Step s : r.steps())`: the iterations in rounds of k (the last
/// may be shorter). What the body does after its steps still belongs to the last one.
class Round {
 public:
  Round(Worker* worker, std::int64_t number, std::int64_t first, std::int64_t last)
      : index(number), worker_(worker), first_(first), last_(last) {}
  [[nodiscard]] Steps steps() const { return {worker_, first_, last_}; }
  [[nodiscard]] std::int64_t first_step() const { return first_; }
  [[nodiscard]] std::int64_t end_step() const { return last_; }  ///< one past its last step
  std::int64_t index;                                            ///< 0-based

 private:
  Worker* worker_;
  std::int64_t first_, last_;
};

/// All rounds of a run, made one at a time.
class Rounds {
 public:
  class Iterator {
   public:
    Iterator(const Rounds* rounds, std::int64_t index) : rounds_(rounds), index_(index) {}
    inline Round operator*() const;
    inline Iterator& operator++();
    inline bool operator!=(const Iterator& end) const;

   private:
    [[nodiscard]] std::int64_t first_step() const {
      return rounds_->first_ + index_ * rounds_->period_;
    }
    const Rounds* rounds_;
    std::int64_t index_;
  };
  Rounds(Worker* worker, std::int64_t period, std::int64_t first)
      : worker_(worker), period_(period), first_(first) {}
  [[nodiscard]] Iterator begin() const { return {this, 0}; }
  [[nodiscard]] Iterator end() const { return {this, 0}; }

 private:
  Worker* worker_;
  std::int64_t period_, first_;
};

/// How a message is carried. Has a constructor because g++ 12 destroys brace-built aggregates twice
/// in awaits.
class SendOptions {
 public:
  SendOptions() = default;
  explicit SendOptions(double bits, int with_priority = 0, int on_stream = 0)
      : bits_per_element(bits), priority(with_priority), stream(on_stream) {}
  double bits_per_element = 0;  ///< 0: the run's payload width (fp32 or fp16)
  int priority = 0;             ///< larger first, on a priority stream
  int stream = 0;               ///< which communication stream of the worker
};

/// A part of the model that lives on one parameter server.
struct Shard {
  std::uint32_t server = 0;
  TensorId tensor = 0;
  std::int64_t offset = 0;  ///< in the flat parameter vector, elements
  std::int64_t elements = 0;
};

/// Sent and kept of an error-feedback selection: sent + residual = accumulated.
struct Selection {
  Sparse sent;
  Tensor residual;
};

/// The same with momentum correction: what was sent has left the residual and its momentum.
struct MomentumSelection {
  Sparse sent;
  Tensor momentum, residual;
};

/// Everything a schedule may ask. One worker is one GPU with its own copy of the model.
///
/// A call *enqueues* an operation on a stream of this worker and returns at once; operations of one
/// stream run in the order of the calls, and an operation starts when what it reads is ready.
/// `co_await` only waits. A worker never sees another worker's memory. Times come from the profile;
/// nothing is free.
class Worker : public TensorDevice {
 public:
  virtual ~Worker() = default;

  // Who am I
  [[nodiscard]] virtual std::size_t rank() const = 0;
  [[nodiscard]] virtual std::size_t world_size() const = 0;
  [[nodiscard]] virtual double weight() const = 0;  ///< share in means; sums to 1 over the workers
  [[nodiscard]] virtual const ModelShape& model() const = 0;
  [[nodiscard]] virtual double now() const = 0;  ///< cluster time, s
  [[nodiscard]] virtual double payload_bytes()
      const = 0;  ///< of one dense element on the wire: 4 (fp32) or 2

  // Iterations
  /// Of this run. A run on time alone that has found its cycle leaves most of them out, so it can
  /// become smaller on the way, but not so small that the present round or step is the last.
  [[nodiscard]] virtual std::int64_t step_count() const = 0;
  virtual void step_done() = 0;  ///< called by Steps
  [[nodiscard]] Steps steps() { return Steps(this); }
  [[nodiscard]] Rounds rounds(std::int64_t period, std::int64_t first = 0);
  /// The optimiser's learning rate in a step (the run's schedule of rates; 0 in time-only runs).
  [[nodiscard]] virtual double learning_rate(std::int64_t step) const = 0;
  /// The schedule's place in its cycle, where it is not just the step (CoCoD's round, a density
  /// warm-up): steady state is only recognised between equal phases.
  virtual void phase(std::int64_t key) = 0;

  // Training computation, on the compute stream
  virtual Pending<> forward() = 0;  ///< the rest of the forward pass
  virtual Pending<> forward(
      TensorId through) = 0;               ///< forward as far as the layer that owns this tensor
  virtual Pending<Tensor> backward() = 0;  ///< the rest of backward: the whole gradient, flat
  virtual Pending<Tensor> backward(
      TensorId down_to) = 0;  ///< backward until this tensor's gradient is ready
  virtual Tensor gradient(
      TensorRange range) = 0;  ///< of the current step, as far as backward has come
  virtual Pending<> local_step(Step step) = 0;  ///< forward, backward, own update: plain SGD
  virtual Pending<> update(
      const Tensor& gradient) = 0;  ///< the optimiser on the gradient's range of parameters
  static constexpr std::int64_t kThisStep = -1;
  /// One fused step over all parts, at the learning rate of the step they are the gradient of.
  virtual Pending<> update(const std::vector<Pending<Tensor>>& gradients,
                           std::int64_t of_step = kThisStep) = 0;
  virtual Pending<> update(const std::vector<Tensor>& gradients) = 0;  ///< the same over tensors

  virtual Tensor parameters() = 0;  ///< flat
  virtual Tensor parameters(TensorRange range) = 0;
  virtual void set_parameters(
      const Tensor& values) = 0;  ///< the range of `values`; no cost of its own

  // The schedule's own operations: apply() and op() of TensorDevice on the compute stream, and
  using TensorDevice::op;
  /// `name`, known to take `seconds`; the result has `elements` elements.
  virtual Tensor op(std::string_view name, Activity activity, std::span<const Tensor> reads,
                    std::int64_t elements, double seconds, ValueFunction values) = 0;
  virtual Tensor zeros(std::int64_t elements,
                       std::int64_t offset = 0) = 0;     ///< free: start-up state
  virtual Pending<> finished(const Tensor& tensor) = 0;  ///< when its producer is done

  // Sparsification, on the compute stream
  /// residual + scale * gradient, then the k entries largest in magnitude (ties to the lower
  /// index).
  virtual Selection select(const Tensor& residual, double scale, const Tensor& gradient, double k,
                           Selector selector) = 0;
  /// Deep Gradient Compression: momentum = m momentum + gradient; residual += momentum; the k
  /// entries of it that are largest in magnitude leave both.
  virtual MomentumSelection select_with_momentum(const Tensor& momentum, const Tensor& residual,
                                                 double m, const Tensor& gradient, double k,
                                                 Selector selector) = 0;
  virtual Tensor scatter_mean(
      const Gathered& blocks) = 0;                  ///< weighted mean of the workers' blocks, dense
  virtual Tensor scatter(const Sparse& block) = 0;  ///< one block, dense
  /// gTop-k's repair: residual plus the entries of `sent` whose index is not among those `kept`
  /// globally.
  virtual Tensor put_back(const Tensor& residual, const Sparse& sent, const Sparse& kept) = 0;
  /// For the run's metrics, at no cost: of a + residual a worker has let `sent` go and keeps
  /// `residual`. select() tells by itself.
  virtual void compressed(const Tensor& residual, const Tensor& sent) = 0;
  [[nodiscard]] virtual Selector selector() const = 0;  ///< the run's
  [[nodiscard]] virtual double select_s(double elements, double k, Selector selector) const = 0;

  // Communication
  virtual Pending<Tensor> all_reduce_mean(const Tensor& tensor,
                                          SendOptions how = SendOptions()) = 0;
  virtual Pending<Gathered> all_gather(const Sparse& block, SendOptions how = SendOptions()) = 0;
  /// The k entries of the weighted mean over the workers that the tree of pairwise merges keeps
  /// (arXiv 1901.04359).
  virtual Pending<Sparse> gtop_k(const Sparse& block, SendOptions how = SendOptions()) = 0;
  virtual Pending<> barrier() = 0;
  // Dense ones. What is dealt out goes by share_of() (shares.hpp): worker r has share r.
  /// Of the weighted mean over the workers this worker's share.
  virtual Pending<Tensor> reduce_scatter_mean(const Tensor& tensor,
                                              SendOptions how = SendOptions()) = 0;
  /// The inverse: `mine` is this worker's share of `elements` from `offset` on; all get the whole. Values are those of the
  /// owner to the bit, whatever the width on the wire.
  virtual Pending<Tensor> gather_shares(const Tensor& mine, std::int64_t elements,
                                        std::int64_t offset, SendOptions how = SendOptions()) = 0;
  /// Everybody's tensor goes to everybody, coded in `how.bits_per_element` on average (which the
  /// schedule's own operation has rounded it to). Each adds them up, at the price of scatter_add
  /// over `entries` of each that are not zero, and has the weighted mean.
  virtual Pending<Tensor> gather_mean(const Tensor& tensor, double entries,
                                      SendOptions how = SendOptions()) = 0;
  /// Worker `root`'s tensor; what the others hand in has its size only.
  virtual Pending<Tensor> broadcast(const Tensor& tensor, std::size_t root,
                                    SendOptions how = SendOptions()) = 0;
  /// Share w of `tensor` goes to worker w; brings everybody's share for this worker, in the order of ranks.
  virtual Pending<Tensor> all_to_all(const Tensor& tensor, SendOptions how = SendOptions()) = 0;
  // Between two workers: message number i from a to b is what b's receive number i from a brings.
  virtual Pending<> send(std::size_t to, const Tensor& tensor,
                         SendOptions how = SendOptions()) = 0;  ///< done once it has arrived
  virtual Pending<Tensor> receive(std::size_t from, std::int64_t elements,
                                  std::int64_t offset = 0) = 0;
  [[nodiscard]] virtual double all_reduce_s(double bytes) const = 0;  ///< un-contended, closed form
  [[nodiscard]] virtual double all_gather_s(double bytes) const = 0;  ///< of all blocks together

  // Host and parameter servers
  virtual Tensor copy_to_host(const Tensor& tensor) = 0;    ///< copy-out stream
  virtual Tensor copy_to_device(const Tensor& tensor) = 0;  ///< copy-in stream
  [[nodiscard]] virtual TensorDevice& host() = 0;           ///< the CPU of this worker's node
  [[nodiscard]] virtual std::size_t server_count() const = 0;
  virtual Pending<> push(const Shard& shard, const Tensor& tensor,
                         SendOptions how = SendOptions()) = 0;
  /// The server's answer for `version` (what it means is up to the server's program).
  virtual Pending<Tensor> pull(const Shard& shard, std::int64_t version,
                               SendOptions how = SendOptions()) = 0;

  // Control
  virtual Pending<> spawn(Program program) = 0;  ///< a sub-program of this worker
  virtual Pending<> delay(double seconds) = 0;
};

Steps::Iterator& Steps::Iterator::operator++() {
  ++index_;
  if (!steps_->in_round_ || index_ != steps_->last_) steps_->worker_->step_done();
  return *this;
}

bool Steps::Iterator::operator!=(const Iterator& end) const {
  return index_ < (steps_->in_round_ ? end.index_ : steps_->worker_->step_count());
}

Round Rounds::Iterator::operator*() const {
  const std::int64_t from = first_step();
  return {rounds_->worker_, index_, from,
          std::min(from + rounds_->period_, rounds_->worker_->step_count())};
}

bool Rounds::Iterator::operator!=(const Iterator&) const {
  return first_step() < rounds_->worker_->step_count();
}

Rounds::Iterator& Rounds::Iterator::operator++() {
  ++index_;
  rounds_->worker_->step_done();
  return *this;
}

inline Rounds Worker::rounds(std::int64_t period, std::int64_t first) {
  return {this, period, first};
}

}  // namespace paceline
