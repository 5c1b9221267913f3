#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platforms/spec.hpp"

// What the software of a cluster adds to what its hardware needs; docs/stacks.md says what each
// constant does to a run.
namespace paceline {

/// One figure of a stack, with where it comes from.
struct StackConstant {
  double value = 0;
  std::string source{};    ///< documentation, or the rows it was fitted on; empty: not stated
  double uncertainty = 0;  ///< one sigma over the value

  [[nodiscard]] bool stated() const { return !source.empty(); }
  bool operator==(const StackConstant&) const = default;
};

/// A software stack. A constant that is not stated does nothing: Stack{} is `ideal`. SI units.
struct Stack {
  std::string name = "ideal";
  std::string description = "adds nothing to what the hardware needs";

  // Collectives, by the worker: s
  StackConstant compute_per_tensor{0}, compute_per_collective{0};
  StackConstant channel_per_tensor{0}, channel_per_collective{0};
  StackConstant negotiation_per_worker{0}, negotiation_cycle{0};
  StackConstant fusion_copy_bandwidth{kInfinity};  ///< B/s
  StackConstant staging_per_parameter{0}, staging_per_selected{0};
  // Compute and communication at once
  StackConstant compute_lost_while_sending{0}, hidden_communication_stretch{0};
  // The wire
  StackConstant flow_bandwidth{kInfinity};  ///< B/s
  StackConstant port_efficiency{1};
  StackConstant port_bandwidth{kInfinity};  ///< B/s
  StackConstant tree_below{0};              ///< bytes
  StackConstant open_mpi_all_gather{0};     ///< 1: yes
  // Parameter servers
  StackConstant local_reduction_bandwidth{kInfinity};  ///< B/s; stated: nodes reduce first
  StackConstant summation_bandwidth{kInfinity};        ///< B/s
  StackConstant own_server_over_port{0};               ///< 1: yes
  // The memory of a GPU; docs/memory.md
  StackConstant memory_context{0};           ///< bytes; not stated: the law's default
  StackConstant memory_weight_copy{0};       ///< 1: yes
  StackConstant memory_relu_inputs{0};       ///< 1: yes
  StackConstant memory_attention_scores{0};  ///< 1: yes
  // Everything
  StackConstant step_jitter{0};  ///< coefficient of variation, lognormal
  StackConstant unexplained{0};  ///< one sigma over a step's time, of several GPUs

  [[nodiscard]] bool adds_nothing() const;
  bool operator==(const Stack&) const = default;
};

/// How a constant is written in a file.
enum class StackUnit : std::uint8_t { duration, bandwidth, bytes, share, ratio, flag };

/// A constant of the file: the reader, the writer, `paceline show` and fits know it from here.
struct StackField {
  std::string_view key;
  StackUnit unit;
  StackConstant Stack::*constant;
  double least, most;  ///< that a file may say
  std::string_view meaning;
};
std::span<const StackField> stack_fields();
/// Whether a step's time follows it smoothly, so that a fit finds it.
bool can_be_fitted(const StackField& field);

/// "0.15 ms", "21.5 Gb/s", "10 %", "0.5": as the field's unit has it.
std::string format_stack_value(const StackField& field, double value);

/// The cluster as the stack's messages find it: what the stack says of ports, flows and the way to
/// the own host is in its nodes and network.
ClusterSpec cluster_under(const Stack& stack, ClusterSpec cluster);

/// The names of what is shipped and of $PACELINE_DATA/platforms/stacks, sorted.
std::vector<std::string> shipped_stacks();
/// A name of shipped_stacks() or the path of a file. `overrides` are KEY=VALUE, a constant of its
/// own ("flow_bandwidth=20Gbps"). Throws InputError naming the nearest name.
Stack load_stack(const std::string& name_or_path, const std::vector<std::string>& overrides = {});

}  // namespace paceline
