#include "platforms/stack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/units.hpp"

namespace paceline {
namespace {

constexpr double kLongest = 3600;  // s

constexpr std::array kStackFields{
    StackField{"compute_per_tensor", StackUnit::duration, &Stack::compute_per_tensor, 0, kLongest,
               "host time for each parameter tensor handed to a collective or a server; the "
               "computation waits for it"},
    StackField{"compute_per_collective", StackUnit::duration, &Stack::compute_per_collective, 0,
               kLongest, "the same for each collective or push"},
    StackField{"channel_per_tensor", StackUnit::duration, &Stack::channel_per_tensor, 0, kLongest,
               "start-up of a collective for each parameter tensor in it; the computation goes on"},
    StackField{"channel_per_collective", StackUnit::duration, &Stack::channel_per_collective, 0,
               kLongest, "start-up of a collective; the computation goes on"},
    StackField{"negotiation_per_worker", StackUnit::duration, &Stack::negotiation_per_worker, 0,
               kLongest, "start-up of a collective for each worker in it"},
    StackField{"negotiation_cycle", StackUnit::duration, &Stack::negotiation_cycle, 0, kLongest,
               "collectives start at its multiples only"},
    StackField{"fusion_copy_bandwidth", StackUnit::bandwidth, &Stack::fusion_copy_bandwidth, 1e3,
               kInfinity, "a collective's bytes are copied into a buffer before and out after it"},
    StackField{"staging_per_parameter", StackUnit::duration, &Stack::staging_per_parameter, 0, 1,
               "of a collective, for each parameter that it is about, sent or not: copies to the "
               "host, sums there"},
    StackField{"staging_per_selected", StackUnit::duration, &Stack::staging_per_selected, 0, 1,
               "of an all-gather, for each selected entry of every worker"},
    StackField{"compute_lost_while_sending", StackUnit::share, &Stack::compute_lost_while_sending,
               0, 0.99, "the computation is so much slower while its worker is on the wire"},
    StackField{"hidden_communication_stretch", StackUnit::ratio,
               &Stack::hidden_communication_stretch, 0, 100,
               "a collective takes longer by this many times what it had computation beside it"},
    StackField{"flow_bandwidth", StackUnit::bandwidth, &Stack::flow_bandwidth, 1e3, kInfinity,
               "most that one message gets between two nodes"},
    StackField{"port_efficiency", StackUnit::share, &Stack::port_efficiency, 0.001, 1,
               "share of what the network's links carry that payload gets"},
    StackField{"port_bandwidth", StackUnit::bandwidth, &Stack::port_bandwidth, 1e3, kInfinity,
               "most that all messages of a node get together, each way"},
    StackField{"tree_below", StackUnit::bytes, &Stack::tree_below, 0, 1e15,
               "all-reduces `auto` of fewer bytes take the tree, others the ring"},
    StackField{"open_mpi_all_gather", StackUnit::flag, &Stack::open_mpi_all_gather, 0, 1,
               "all-gathers as Open MPI's fixed rule has them: Bruck's below 50 kB in all, else "
               "neighbour exchange"},
    StackField{
        "local_reduction_bandwidth", StackUnit::bandwidth, &Stack::local_reduction_bandwidth, 1e3,
        kInfinity,
        "the GPUs of a node sum what they push at this rate, and one push and one pull go out "
        "for all of them (synchronous schedules)"},
    StackField{"summation_bandwidth", StackUnit::bandwidth, &Stack::summation_bandwidth, 1e3,
               kInfinity, "a server takes no more pushed bytes into its sums"},
    StackField{"own_server_over_port", StackUnit::flag, &Stack::own_server_over_port, 0, 1,
               "messages to a server on the own host take its network port, out and in, where a "
               "job has more than one node"},
    StackField{"memory_context", StackUnit::bytes, &Stack::memory_context, 0, 1e12,
               "memory of a GPU that the framework takes before it holds anything: context, "
               "handles, scratch"},
    StackField{"memory_weight_copy", StackUnit::flag, &Stack::memory_weight_copy, 0, 1,
               "the framework keeps one more fp32 copy of the weights on each GPU"},
    StackField{"memory_relu_inputs", StackUnit::flag, &Stack::memory_relu_inputs, 0, 1,
               "both sides of a ReLU are kept for the backward pass, not its output alone"},
    StackField{"memory_attention_scores", StackUnit::flag, &Stack::memory_attention_scores, 0, 1,
               "attention keeps its matrix of scores: it is not fused"},
    StackField{"step_jitter", StackUnit::share, &Stack::step_jitter, Jitter::kLeastCv,
               Jitter::kMostCv,
               "coefficient of variation of a worker's step, lognormal, where neither experiment "
               "nor cluster says another"},
    StackField{"unexplained", StackUnit::share, &Stack::unexplained, 0, 1,
               "by how much measured steps of several GPUs scatter around what all this says: of "
               "the interval only"}};

}  // namespace

std::span<const StackField> stack_fields() {
  return kStackFields;
}

bool can_be_fitted(const StackField& field) {
  return field.unit != StackUnit::flag && field.unit != StackUnit::bytes &&
         field.constant != &Stack::unexplained;
}

bool Stack::adds_nothing() const {
  return std::none_of(kStackFields.begin(), kStackFields.end(),
                      [&](const StackField& f) { return (this->*f.constant).stated(); });
}

std::string format_stack_value(const StackField& field, double value) {
  switch (field.unit) {
    case StackUnit::duration:
      return format_duration(value);
    case StackUnit::bandwidth:
      return format_bandwidth(value);
    case StackUnit::bytes:
      return format_bytes(value);
    case StackUnit::share:
      return fmt::format("{:.3g} %", 100 * value);
    case StackUnit::flag:
      return value != 0 ? "yes" : "no";
    case StackUnit::ratio:
      break;
  }
  return fmt::format("{:.3g}", value);
}

ClusterSpec cluster_under(const Stack& stack, ClusterSpec cluster) {
  cluster.network.efficiency *= stack.port_efficiency.value;
  if (stack.port_bandwidth.stated())
    for (NodeGroup& group : cluster.nodes)
      group.nic = std::min(group.nic.value_or(cluster.network.bandwidth),
                           stack.port_bandwidth.value / cluster.network.efficiency);
  cluster.network.flow_bandwidth = stack.flow_bandwidth.value;
  cluster.network.own_host_over_port =
      stack.own_server_over_port.value != 0 && cluster.network.topology.platform_file().empty();
  return cluster;
}

}  // namespace paceline
