#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

class Clock;
class Cluster;
class FluidNetwork;

/// What solves the shares of transfers that meet on a link, at flow and step fidelity. `flat`: our
/// own (flat/network.hpp). `simgrid`: SimGrid, the reference, one per process. `automatic`: flat,
/// which gives the same dates (to 1e-9) sooner.
enum class NetworkEngine : std::uint8_t { automatic, flat, simgrid };
const char* to_string(NetworkEngine engine);
const std::vector<std::string>& network_engine_names();  ///< in the order of the enumeration

/// What a result says of a run at closed fidelity, which needs none.
inline constexpr const char* kNoNetwork = "none";

/// The one that `automatic` stands for, or `engine`.
NetworkEngine chosen(NetworkEngine engine);
/// A second one of SimGrid in this process throws std::logic_error (fork first).
std::unique_ptr<FluidNetwork> make_network(NetworkEngine engine, const Cluster& cluster,
                                           Clock& clock);

}  // namespace paceline
