#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/json_fwd.hpp"
#include "platforms/cluster.hpp"
#include "sim/time/clock.hpp"

namespace paceline {

/// Fluid transfers over shared links (max-min fair); engine.hpp has its kinds. Latency is not paid
/// here: callers wait for alpha on the clock first (SimGrid would weight a flow's share by
/// 1/latency).
class FluidNetwork {
 public:
  /// Transfers that start together, each of a share of the same bytes: hops of a collective.
  class Set {
   public:
    struct Transfer {
      Endpoint from, to;
      double share;
      double most;              ///< bytes/s
      std::uint32_t links_end;  ///< of its links, which begin where the last transfer's end
    };
    void add(Endpoint from, Endpoint to, double share, const Route& route);
    [[nodiscard]] const std::vector<Transfer>& transfers() const { return transfers_; }
    [[nodiscard]] const std::vector<LinkId>& links() const { return links_; }

   private:
    std::vector<Transfer> transfers_;
    std::vector<LinkId> links_;  // of all transfers
  };

  FluidNetwork() = default;
  FluidNetwork(const FluidNetwork&) = delete;
  FluidNetwork& operator=(const FluidNetwork&) = delete;
  virtual ~FluidNetwork() = default;

  /// Starts moving `bytes` now and calls fire(self, argument) when they have arrived. Nothing to
  /// move, or no link on the way: at once, through the clock.
  virtual void transfer(Endpoint from, Endpoint to, double bytes, Clock::Fire fire, void* self,
                        std::uint64_t argument) = 0;
  /// Starts all of a set now and calls fire(self, argument) once, when the last has arrived. The
  /// set must outlive that.
  virtual void transfer_all(const Set& set, double bytes, Clock::Fire fire, void* self,
                            std::uint64_t argument);
  virtual void set_bandwidth(LinkId link, double bytes_per_second) = 0;
  /// Runs the clock and the transfers until nothing is left or the clock is stopped.
  virtual void run() = 0;

 protected:
  // Transfers that are told of together: one_arrived(of it, 0) for each.
  struct Together {
    std::size_t open;
    Clock::Fire fire;
    void* self;
    std::uint64_t argument;
    FluidNetwork* network;
  };
  Together* together(std::size_t open, Clock::Fire fire, void* self, std::uint64_t argument);
  static void one_arrived(void* together, std::uint64_t);

 private:
  std::deque<Together> together_;
  std::vector<Together*> free_together_;
};

/// The one Engine of this process: a second call throws std::logic_error (fork first).
std::unique_ptr<FluidNetwork> make_simgrid_network(const Cluster& cluster, Clock& clock);

/// SimGrid's reading of a platform file (simgrid/module.hpp).
Json describe_simgrid_platform(const std::string& file);

/// Reads a SimGrid XML platform (spec.topology xml) into a table of links and routes between its
/// hosts, in a child process because an Engine cannot be taken down. Throws InputError.
Cluster load_xml_cluster(const ClusterSpec& spec);

/// Any cluster: make_cluster, or load_xml_cluster where the topology is a platform file. Throws
/// InputError.
Cluster build_cluster(const ClusterSpec& spec);

}  // namespace paceline
