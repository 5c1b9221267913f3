#pragma once

#include <optional>
#include <string>

#include "calibrate/network/link.hpp"

namespace paceline {

/// How a cluster does what a log measured: the log's all-reduce or message, simulated alone on some
/// of its GPUs.
struct WrittenError {
  std::string gpus;  ///< on which, for people
  double mean = 0;   ///< |simulated / measured - 1| over the log's points
  double worst = 0;
  double worst_bytes = 0, worst_simulated_s = 0, worst_measured_s = 0;
  std::string narrowest;           ///< link on the way
  double narrowest_bandwidth = 0;  ///< B/s of it
};

/// On one GPU of each of as many nodes as the log has ranks, if `link_class` is the network and
/// there are so many; else on the first GPUs, of one node if it has enough of them. Nothing for a
/// log without points or latency, or of more ranks than there are GPUs.
std::optional<WrittenError> written_error(const ClusterSpec& written, const MessageLog& log,
                                          LinkClass link_class);

/// `written`, fitted to an all-reduce that crossed nodes, with the latency between nodes that makes
/// it take the log's start-up when simulated: of a ring through several GPUs of each node, most hops
/// stay inside the nodes and have the latency of the base. Not below 0. Unchanged where nothing can
/// be simulated, as for written_error().
ClusterSpec with_ring_latency(ClusterSpec written, const FittedLink& link, const MessageLog& log);

}  // namespace paceline
