#pragma once

#include <span>

#include "algorithms/worker.hpp"

namespace paceline {

/// What a worker asked of a server.
class Request {
 public:
  enum class Kind : std::uint8_t { push, pull };
  Request() = default;
  Request(Kind what, std::uint32_t from, const Shard& of, std::int64_t asked_version, Tensor pushed,
          CompletionRef caller)
      : kind(what),
        worker(from),
        shard(of),
        version(asked_version),
        data(std::move(pushed)),
        call(std::move(caller)) {}

  Kind kind = Kind::push;
  std::uint32_t worker = 0;
  Shard shard;
  std::int64_t version =
      0;                ///< pull: which state of the shard is wanted; its meaning is the schedule's
  Tensor data;          ///< push: what was sent
  bool in_sum = false;  ///< push: it came in one sum with another one of its node
  CompletionRef call;   ///< the worker's Pending
};

/// Everything the server half of a schedule may ask. One server is one host that holds shards of
/// the model. It handles requests in the order in which they arrive; what it computes takes its
/// CPU's time, one operation after the other. Its program never ends by itself: the run ends with
/// the workers.
class Server : public TensorDevice {
 public:
  virtual ~Server() = default;
  [[nodiscard]] virtual std::size_t index() const = 0;  ///< 0 .. server_count-1
  [[nodiscard]] virtual std::size_t server_count() const = 0;
  [[nodiscard]] virtual std::size_t worker_count() const = 0;
  [[nodiscard]] virtual const ModelShape& model() const = 0;
  [[nodiscard]] virtual double now() const = 0;

  [[nodiscard]] virtual double learning_rate(std::int64_t step) const = 0;

  virtual Pending<Request> receive() = 0;
  /// Tells the worker that its push is done, once `after` (null: now) is.
  virtual void acknowledge(const Request& push, const Tensor& after = Tensor()) = 0;
  /// Sends `data` to the worker that pulled, once it is computed.
  virtual void reply(const Request& pull, const Tensor& data, SendOptions how = SendOptions()) = 0;

  /// The model's initial values for a shard.
  virtual Tensor initial(const Shard& shard) = 0;
  virtual Tensor zeros(std::int64_t elements, std::int64_t offset = 0) = 0;
  /// Time of taking a push into a sum, as it comes in ...
  virtual void accumulate(const Request& push) = 0;
  /// ... and the mean of all of them, added in their order here, which costs nothing more.
  virtual Tensor mean(std::span<const Tensor> pushed) = 0;
  /// The optimiser's step on the shard that `weights` is (momentum is kept by the server): new
  /// weights. `step` sets the learning rate; `gradient` is already a mean.
  virtual Tensor update(const Tensor& weights, const Tensor& gradient, std::int64_t step) = 0;
};

}  // namespace paceline
