#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "algorithms/server.hpp"
#include "sim/job_context.hpp"
#include "sim/network/connection.hpp"
#include "sim/time/operation.hpp"

namespace paceline {

/// The Server that schedules see, in simulated time.
class ServerRuntime final : public Server, public StreamListener {
 public:
  ServerRuntime(JobContext& job, std::uint32_t index);
  ~ServerRuntime();
  void start();
  void stop();
  /// A worker's request has arrived.
  void arrived(Request request);

  [[nodiscard]] std::size_t index() const override { return index_; }
  [[nodiscard]] std::size_t server_count() const override { return job_.spec.servers.size(); }
  [[nodiscard]] std::size_t worker_count() const override { return job_.spec.gpus.size(); }
  [[nodiscard]] const ModelShape& model() const override { return job_.spec.model; }
  [[nodiscard]] double now() const override;
  [[nodiscard]] double learning_rate(std::int64_t step) const override {
    return job_.learning_rate(step);
  }
  Pending<Request> receive() override;
  void acknowledge(const Request& push, const Tensor& after) override;
  void reply(const Request& pull, const Tensor& data, SendOptions how) override;
  Tensor initial(const Shard& shard) override;
  Tensor zeros(std::int64_t elements, std::int64_t offset) override;
  Tensor op(std::string_view name, std::span<const Tensor> reads, std::int64_t elements,
            ValueFunction values) override;
  void accumulate(const Request& push) override;
  Tensor mean(std::span<const Tensor> pushed) override;
  Tensor update(const Tensor& weights, const Tensor& gradient, std::int64_t step) override;

  void operation_started(Stream&, TimedOperation&) override {}
  void operation_finished(Stream& stream, TimedOperation& operation) override;

  /// What runs on its values; null in time-only runs.
  [[nodiscard]] DeviceValues* values() { return values_.get(); }
  /// With values: the newest weights of every shard.
  [[nodiscard]] std::vector<Tensor> latest() const;

 private:
  class Receive;
  [[nodiscard]] double seconds(double bytes_moved) const;
  [[nodiscard]] BufferRef new_buffer(std::int64_t elements) const;  ///< null in time-only runs
  Tensor compute(const char* name, std::span<const Tensor> reads, std::int64_t elements,
                 double bytes, ValueFunction values);
  void enqueue_call(const kernels::Call& call, OperationSize size, std::span<const Tensor> reads,
                    std::span<Tensor> results) override;
  CompletionRef enqueue(const char* name, std::span<const Tensor> reads, double bytes,
                        std::function<void()> launch);
  CompletionRef enqueue_for(const char* name, std::span<const Tensor> reads, double work,
                            std::function<void()> launch);

  JobContext& job_;
  std::uint32_t index_;
  Endpoint host_;
  double memory_bandwidth_;
  Stream cpu_;
  Program program_;
  std::deque<Request> inbox_;
  boost::intrusive_ptr<Receive> receiving_;  // the program waits here for the next request
  std::vector<std::unique_ptr<Connection>> to_worker_;

  std::unique_ptr<DeviceValues> values_;     // null in time-only runs
  std::map<std::int64_t, Tensor> weights_;   // by offset: the newest
  std::map<std::int64_t, Floats> velocity_;  // by offset
};

}  // namespace paceline
