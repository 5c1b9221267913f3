#pragma once

#include <cstddef>
#include <functional>

#include "platforms/stack.hpp"

namespace paceline {

/// What a software stack adds to the collectives of a channel, in seconds; docs/stacks.md.
class CollectiveSoftware {
 public:
  /// What starts together: one collective, or those that are fused.
  struct Load {
    double tensors = 0;
    double parameters = 0;  ///< that the collectives are about, sent or not
    double bytes = 0;
    double selected = 0;  ///< entries of all workers together, of an all-gather
  };

  CollectiveSoftware() = default;  ///< adds nothing
  CollectiveSoftware(const Stack& stack, std::size_t workers);

  /// From the moment that all is there to the first message.
  [[nodiscard]] double before_s(const Load& load) const {
    return fixed_s_ + per_tensor_s_ * load.tensors + per_parameter_s_ * load.parameters +
           per_selected_s_ * load.selected + per_byte_s_ * load.bytes;
  }
  /// From the last message to the end, without what hidden_stretch() adds.
  [[nodiscard]] double after_s(const Load& load) const { return per_byte_s_ * load.bytes; }
  [[nodiscard]] double whole_s(const Load& load) const { return before_s(load) + after_s(load); }
  /// Seconds after the last message for each second of computation beside the collective.
  [[nodiscard]] double hidden_stretch() const { return hidden_stretch_; }
  /// Collectives start at its multiples only; 0: at any time.
  [[nodiscard]] double cycle_s() const { return cycle_s_; }
  [[nodiscard]] bool counts_tensors() const { return per_tensor_s_ > 0; }

 private:
  double fixed_s_ = 0, per_tensor_s_ = 0, per_parameter_s_ = 0, per_selected_s_ = 0,
         per_byte_s_ = 0, hidden_stretch_ = 0, cycle_s_ = 0;
};

/// What a channel asks of its job where the stack wants to know.
struct ChannelSoftware {
  CollectiveSoftware costs{};
  std::function<double(std::int64_t offset, std::int64_t elements)> tensors_in{};
  std::function<double()> computed_s{};  ///< so far, mean over the workers
};

}  // namespace paceline
