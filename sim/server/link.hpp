#pragma once

#include <cstdint>

#include "algorithms/server.hpp"

namespace paceline {

/// Carries pushes, pulls and their answers where workers and servers are processes of their own.
/// Tensors that are handed in are computed in time, their values perhaps not yet.
class ServerLink {
 public:
  // From a worker; ServerCalls is told the answer
  virtual void push(const Shard& shard, const Tensor& tensor, double bits,
                    const CompletionRef& call) = 0;
  virtual void pull(const Shard& shard, std::int64_t version, const CompletionRef& call) = 0;
  // From a server; its runtime is told the requests
  virtual void acknowledge(const Request& push) = 0;
  virtual void reply(const Request& pull, const Tensor& data, double bits) = 0;

 protected:
  ~ServerLink() = default;
};

}  // namespace paceline
