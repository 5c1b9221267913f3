#include "sim/network/collective_software.hpp"

namespace paceline {

CollectiveSoftware::CollectiveSoftware(const Stack& stack, std::size_t workers)
    : fixed_s_(stack.channel_per_collective.value +
               static_cast<double>(workers) * stack.negotiation_per_worker.value),
      per_tensor_s_(stack.channel_per_tensor.value),
      per_parameter_s_(stack.staging_per_parameter.value),
      per_selected_s_(stack.staging_per_selected.value),
      per_byte_s_(1 / stack.fusion_copy_bandwidth.value),
      hidden_stretch_(stack.hidden_communication_stretch.value),
      cycle_s_(stack.negotiation_cycle.value) {}

}  // namespace paceline
