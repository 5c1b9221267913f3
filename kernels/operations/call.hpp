#pragma once

#include <cstring>
#include <functional>

#include "kernels/operations/list.hpp"

namespace paceline::kernels {

class Backend;

/// A pointwise operation with its parameters, without its type: each backend has a table of the
/// loops of PointwiseList.
class PointwiseCall {
 public:
  template <Pointwise Op>
  explicit PointwiseCall(const Op& op) : index_(index_of<Op>()) {
    static_assert(sizeof(Op) <= kRoom);
    std::memcpy(parameters_, &op, sizeof op);
  }
  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] const OperationInfo& info() const { return kPointwiseInfo[index_]; }
  template <Pointwise Op>
  [[nodiscard]] const Op& as() const {
    return *reinterpret_cast<const Op*>(parameters_);
  }
  /// Throws std::logic_error unless there are as many vectors as the operation has, of one length,
  /// which it returns.
  std::size_t check(Inputs in, Outputs out) const;

 private:
  static constexpr std::size_t kRoom = 40;
  std::size_t index_;
  alignas(8) std::byte parameters_[kRoom];
};

/// Runs it with the loops of `on`: Backend::apply.
void apply(Backend& on, const PointwiseCall& call, Inputs in, Outputs out);

/// Any operation with its parameters, to be run on a backend: what Worker and Server apply.
class Call {
 public:
  using Run = std::function<void(Backend& on, Inputs in, Outputs out)>;
  Call() = default;
  template <Pointwise Op>
  Call(const Op& op)  // NOLINT: an operation is a call
      : info_(&kInfo<Op>),
        run_([op](Backend& on, Inputs in, Outputs out) { apply(on, PointwiseCall(op), in, out); }) {
  }
  /// One of kStructuredInfo, which `run` computes.
  Call(const OperationInfo& info, Run run) : info_(&info), run_(std::move(run)) {}

  [[nodiscard]] const OperationInfo& info() const { return *info_; }
  void operator()(Backend& on, Inputs in, Outputs out) const { run_(on, in, out); }

 private:
  const OperationInfo* info_ = nullptr;
  Run run_;
};

}  // namespace paceline::kernels
