#pragma once

#include <vector>

#include "algorithms/worker.hpp"
#include "sim/job_context.hpp"
#include "sim/network/dense_call.hpp"
#include "sim/server/calls.hpp"
#include "sim/time/operation.hpp"
#include "sim/time/time_account.hpp"
#include "sim/worker/peer_calls.hpp"

namespace paceline {

/// The Worker that schedules see, in simulated time.
class WorkerRuntime final : public Worker, public StreamListener, public WireTime::Listener {
 public:
  static constexpr double kBytesOfPair = 8;  ///< on the wire: index and value

  WorkerRuntime(JobContext& job, std::uint32_t rank);
  ~WorkerRuntime();

  void start();  ///< puts its program on the ready queue
  void stop();   ///< destroys its programs (in no particular order of ranks)

  // Worker
  [[nodiscard]] std::size_t rank() const override { return rank_; }
  [[nodiscard]] std::size_t world_size() const override { return job_.spec.gpus.size(); }
  [[nodiscard]] double weight() const override;
  [[nodiscard]] const ModelShape& model() const override { return job_.spec.model; }
  [[nodiscard]] double now() const override { return clock_.now(); }
  [[nodiscard]] double payload_bytes() const override { return job_.spec.payload_bits / 8; }
  [[nodiscard]] std::int64_t step_count() const override { return job_.steps; }
  void step_done() override;
  [[nodiscard]] double learning_rate(std::int64_t step) const override {
    return job_.learning_rate(step);
  }
  void phase(std::int64_t key) override { phase_ = key; }

  Pending<> forward() override;
  Pending<> forward(TensorId through) override;
  Pending<Tensor> backward() override;
  Pending<Tensor> backward(TensorId down_to) override;
  Tensor gradient(TensorRange range) override;
  Pending<> local_step(Step step) override;
  Pending<> update(const Tensor& gradient) override;
  Pending<> update(const std::vector<Pending<Tensor>>& gradients, std::int64_t of_step) override;
  Pending<> update(const std::vector<Tensor>& gradients) override;
  Tensor parameters() override;
  Tensor parameters(TensorRange range) override;
  void set_parameters(const Tensor& values) override;

  Tensor op(std::string_view name, Activity activity, std::span<const Tensor> reads,
            std::int64_t elements, double seconds, ValueFunction values) override;
  Tensor zeros(std::int64_t elements, std::int64_t offset) override;
  Pending<> finished(const Tensor& tensor) override;

  Selection select(const Tensor& residual, double scale, const Tensor& gradient, double k,
                   Selector selector) override;
  MomentumSelection select_with_momentum(const Tensor& momentum, const Tensor& residual, double m,
                                         const Tensor& gradient, double k,
                                         Selector selector) override;
  Tensor scatter_mean(const Gathered& blocks) override;
  Tensor scatter(const Sparse& block) override;
  Tensor put_back(const Tensor& residual, const Sparse& sent, const Sparse& kept) override;
  void compressed(const Tensor& residual, const Tensor& sent) override;
  [[nodiscard]] Selector selector() const override { return job_.spec.selector; }
  [[nodiscard]] double select_s(double elements, double k, Selector selector) const override;

  Pending<Tensor> all_reduce_mean(const Tensor& tensor, SendOptions how) override;
  Pending<Gathered> all_gather(const Sparse& block, SendOptions how) override;
  Pending<Sparse> gtop_k(const Sparse& block, SendOptions how) override;
  Pending<> barrier() override;
  Pending<Tensor> reduce_scatter_mean(const Tensor& tensor, SendOptions how) override;
  Pending<Tensor> gather_shares(const Tensor& mine, std::int64_t elements, std::int64_t offset,
                                SendOptions how) override;
  Pending<Tensor> gather_mean(const Tensor& tensor, double entries, SendOptions how) override;
  Pending<Tensor> broadcast(const Tensor& tensor, std::size_t root, SendOptions how) override;
  Pending<Tensor> all_to_all(const Tensor& tensor, SendOptions how) override;
  Pending<> send(std::size_t to, const Tensor& tensor, SendOptions how) override;
  Pending<Tensor> receive(std::size_t from, std::int64_t elements, std::int64_t offset) override;
  [[nodiscard]] double all_reduce_s(double bytes) const override {
    return job_.plans.of(CollectiveKind::all_reduce, bytes).closed_s(bytes) +
           job_.software.whole_s({0, bytes / payload_bytes(), bytes, 0});
  }
  [[nodiscard]] double all_gather_s(double bytes) const override {
    return job_.plans.of(CollectiveKind::all_gather, bytes).closed_s(bytes) +
           job_.software.whole_s({0, 0, bytes, bytes / kBytesOfPair});
  }

  Tensor copy_to_host(const Tensor& tensor) override;
  Tensor copy_to_device(const Tensor& tensor) override;
  [[nodiscard]] TensorDevice& host() override { return host_device_; }
  [[nodiscard]] std::size_t server_count() const override { return job_.spec.servers.size(); }
  Pending<> push(const Shard& shard, const Tensor& tensor, SendOptions how) override {
    note_communication();
    if (hands_over_) enqueue_hand_over(shard.offset, shard.elements);
    return server_calls_.push(shard, tensor, bits(how), how.priority);
  }
  Pending<Tensor> pull(const Shard& shard, std::int64_t version, SendOptions) override {
    note_communication();
    return server_calls_.pull(shard, version);
  }

  Pending<> spawn(Program program) override;
  Pending<> delay(double seconds) override;

  // TensorDevice
  Tensor op(std::string_view name, std::span<const Tensor> reads, std::int64_t elements,
            ValueFunction values) override;

  // StreamListener
  void operation_started(Stream& stream, TimedOperation& operation) override;
  void operation_finished(Stream& stream, TimedOperation& operation) override;

  // For the job
  [[nodiscard]] WorkerValues& values() { return *values_; }  ///< only with values

  /// Since the start.
  struct Totals {
    std::int64_t steps = 0, rounds = 0;
    double date_s = 0;
    Account account;
    ServerCalls::Sent sent;  ///< outside of collectives
  };
  [[nodiscard]] Totals totals();
  /// Outside of collectives.
  [[nodiscard]] ServerCalls::Sent sent() const {
    return {server_calls_.sent().bytes + peer_calls_.sent().bytes,
            server_calls_.sent().messages + peer_calls_.sent().messages};
  }
  /// Between the first and the newest measured border that it has passed itself.
  struct Own {
    std::int64_t steps = 0;
    double seconds = 0;
  };
  [[nodiscard]] Own own() const {
    return {last_.steps - first_.steps, last_.seconds - first_.seconds};
  }
  [[nodiscard]] std::int64_t steps_passed() const { return steps_passed_; }
  [[nodiscard]] std::int64_t current_phase() const { return phase_; }
  [[nodiscard]] Account account_now();
  [[nodiscard]] std::int64_t rounds() const { return rounds_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] double end_date() const { return end_date_; }
  void wire_changed(
      bool on) override;  ///< of this worker's own messages, or of all workers' collectives
  [[nodiscard]] std::string describe_waiting() const;
  void set_straggling(double slowdown);
  /// Sum of end dates of operations since the last call, relative to `origin`: equal sums in two
  /// cycles mean equal relative event times.
  [[nodiscard]] double take_fingerprint(double origin);

 private:
  struct Child;
  /// The worker's node as a device: its operations queue on the worker's host stream.
  class HostDevice final : public TensorDevice {
   public:
    explicit HostDevice(WorkerRuntime& worker) : worker_(worker) {}
    Tensor op(std::string_view name, std::span<const Tensor> reads, std::int64_t elements,
              ValueFunction values) override;

   private:
    void enqueue_call(const kernels::Call& call, OperationSize size, std::span<const Tensor> reads,
                      std::span<Tensor> results) override;
    WorkerRuntime& worker_;
  };

  boost::intrusive_ptr<TimedOperation> enqueue(Stream& stream, const char* name, Activity activity,
                                               std::int32_t tag, double seconds, Range result,
                                               std::span<const Tensor> reads,
                                               std::function<void()> launch = {});
  /// The host's work for a collective or push, where it holds up the computation.
  CompletionRef enqueue_hand_over(std::int64_t offset, std::int64_t elements);
  /// Hands a collective to its channel, once its data and, where it holds up the computation, the
  /// host's work for it are done.
  void submit(Collective& collective, const Tensor& data) {
    if (!hands_over_) return collective.channel.submit(collective, data);
    submit_after(enqueue_hand_over(collective.call.offset, collective.call.elements), collective,
                 data);
  }
  class OwnPart;
  /// What `brought` is, once an operation on it has taken its time on the compute stream.
  template <class T>
  Pending<T> worked_on(const boost::intrusive_ptr<Result<T>>& brought, const char* name,
                       double seconds);
  DenseCall& join_dense(CollectiveKind kind, const Tensor& tensor, std::int64_t elements,
                        std::int64_t offset, const SendOptions& how, std::uint32_t root = 0);
  Pending<Tensor> own_part(DenseCall& call, std::int64_t elements);
  void submit_after(const CompletionRef& handed, Collective& collective, const Tensor& data);
  template <class Gradients>
  [[nodiscard]] double update_s(const Gradients& gradients) const;
  Tensor enqueue_op(Stream& stream, std::string_view name, Activity activity,
                    std::span<const Tensor> reads, std::int64_t elements, double seconds,
                    ValueFunction values);
  void enqueue_call(const kernels::Call& call, OperationSize size, std::span<const Tensor> reads,
                    std::span<Tensor> results) override;
  void enqueue_call(Stream& stream, Activity activity, double seconds, const kernels::Call& call,
                    std::span<const Tensor> reads, std::span<Tensor> results);
  /// What a selection is going to send.
  struct Selected {
    std::int64_t count;
    bool by_threshold;
    SparseBufferRef values;  ///< null in time-only runs
  };
  [[nodiscard]] Selected selection_of(double k, Selector selector) const;
  Sparse sent_of(const boost::intrusive_ptr<TimedOperation>& operation, const Selected& selected,
                 const Tensor& gradient);
  MomentumSelection select_with_momentum_fused(const Tensor& momentum, const Tensor& residual,
                                               double m, const Tensor& gradient, double k);
  Tensor copy_across(Stream& stream, const char* name, double seconds, const Tensor& x);
  Pending<> forward_piece(const ModelPasses::Piece& piece);
  Pending<Tensor> backward_piece(const ModelPasses::Piece& piece, Range result);
  void compute_gradient(TimedOperation& operation, const ModelPasses::Piece& piece, Range result);
  Tensor result_of(const boost::intrusive_ptr<TimedOperation>& operation, std::int64_t elements,
                   std::int64_t offset, ValuesRef values = {});
  [[nodiscard]] BufferRef new_buffer(std::int64_t elements) const;  ///< null in time-only runs
  void record(const Stream& stream, const TimedOperation& operation);
  void update_rate();
  void program_ended();
  void maybe_ended();
  [[nodiscard]] double sample_step_factor();
  [[nodiscard]] double host_update_s(double bytes_moved) const {
    return job_.spec.costs->host_update(
        bytes_moved, job_.cluster.host(job_.cluster.node_of(gpu_)).memory_bandwidth);
  }
  void note_communication() { communicated_ = true; }
  /// This worker's next collective on the channel that `how` names.
  template <class C>
  C& join(CollectiveKind kind, std::int64_t offset, std::int64_t elements, double bits,
          const SendOptions& how);
  [[nodiscard]] double bits(const SendOptions& how) const {
    return how.bits_per_element > 0 ? how.bits_per_element : job_.spec.payload_bits;
  }

  JobContext& job_;
  Clock& clock_;

  // What every operation of the compute stream touches lies together.
  Stream compute_;
  TimeAccount time_;
  double ends_sum_ = 0;  // of operations' end dates, and how many
  std::uint64_t ends_count_ = 0;
  ModelPasses passes_;                       // of the current step
  TimedOperation* last_backward_ = nullptr;  // the newest that is not done
  std::unique_ptr<WorkerValues> values_;     // null in time-only runs
  bool communicated_ = false;                // in the current step
  bool program_done_ = false;
  bool ended_ = false;
  bool hands_over_;  // at a cost
  std::uint32_t rank_;
  Endpoint gpu_, node_host_;
  double speed_;
  Stream copy_in_, copy_out_, host_;
  HostDevice host_device_{*this};
  ServerCalls server_calls_;
  PeerCalls peer_calls_;

  Tensor parameters_;
  BufferRef gradient_;  // of the current step

  // Programs
  Program program_;
  std::vector<std::unique_ptr<Child>> children_;
  double end_date_ = 0;

  // Iterations
  std::int64_t steps_passed_ = 0;
  double last_border_s_ = 0;  // when its latest step ended
  std::int64_t phase_ = 0;
  std::int64_t rounds_ = 0;
  Own first_, last_;  // at its first and newest measured border
  int on_wire_ = 0;
  double straggling_ = 1;
};

}  // namespace paceline
