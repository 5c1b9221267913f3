#pragma once

#include <cstdint>
#include <vector>

#include "sim/network/communication.hpp"

namespace paceline {

/// A collective on dense tensors other than the all-reduce: what all workers get of it is one tensor,
/// or (reduce-scatter, all-to-all) each gets a part of its own, which received_by() gives.
class DenseCall final : public Result<Tensor>, public Collective {
 public:
  DenseCall(Channel& on, const CollectiveCall& what, std::uint64_t number, std::uint32_t first)
      : Result(what.elements), Collective(on, what, number, first) {}
  /// The whole: of a reduce-scatter all means.
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    return {device, call.elements, call.offset, {}, values};
  }
  /// What worker `rank` of an all-to-all gets: everybody's share number `rank`, in the order of ranks.
  [[nodiscard]] ValuesRef received_by(std::uint32_t rank) const;
  [[nodiscard]] CompletionRef completion() override { return CompletionRef(this); }
  void finish() override;
  void take(std::uint32_t rank, const Tensor& tensor);  // not in time-only runs
  std::vector<Tensor> inputs;                           // by rank; empty in time-only runs
  ValuesRef values;
};

}  // namespace paceline
