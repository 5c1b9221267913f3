#include <fmt/format.h>

#include <cmath>
#include <set>

#include "base/error.hpp"
#include "platforms/gpus.hpp"
#include "platforms/spec.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

// What is beyond is no machine, and ends in times that are infinite or no number.
constexpr double kLeastSpeed = 1e-3, kMostSpeed = 1e3, kLeastEfficiency = 1e-3, kMostSlowdown = 1e6,
                 kLeastFactor = 1e-6, kMostFactor = 1e6, kMostDelay = 86400;  // s
constexpr std::size_t kMostNodes = 1 << 20, kMostGpus = 1 << 20;

/// Checks one spec; paths are those of the JSON form.
class Validator {
 public:
  explicit Validator(const ClusterSpec& spec) : spec_(spec) {}

  void run() const {
    if (spec_.nodes.empty()) fail("nodes", "a cluster needs at least one group of nodes");
    std::set<std::string> names;
    std::size_t nodes = 0, gpus = 0;
    for (std::size_t i = 0; i < spec_.nodes.size(); ++i) {
      const std::string path = fmt::format("nodes[{}]", i);
      check_group(spec_.nodes[i], path);
      if (!names.insert(spec_.nodes[i].name).second)
        fail(path + ".name", fmt::format("a group named '{}' comes before", spec_.nodes[i].name));
      nodes += spec_.nodes[i].count;
      gpus += spec_.nodes[i].count * spec_.nodes[i].gpus;
      if (nodes > kMostNodes || gpus > kMostGpus)
        fail("nodes", fmt::format("more than {} nodes or {} GPUs", kMostNodes, kMostGpus));
    }
    if (gpus == 0) fail("nodes", "a cluster needs at least one GPU");
    check_network();
    check_disturbances(nodes, gpus);
  }

 private:
  [[noreturn]] void fail(const std::string& path, const std::string& message) const {
    throw InputError(
        fmt::format("{}: $.{}: {}", spec_.file.empty() ? spec_.name : spec_.file, path, message));
  }

  void check_group(const NodeGroup& group, const std::string& path) const {
    if (group.count < 1) fail(path + ".count", "must be 1 or more, found 0");
    if (group.count > kMostNodes || group.gpus > kMostGpus)
      fail(path, fmt::format("more than {} nodes or {} GPUs", kMostNodes, kMostGpus));
    if (group.gpus > 0 && !group.card) {
      try {
        (void)find_gpu(group.gpu);
      } catch (const InputError& error) {
        fail(path + ".gpu", error.what());
      }
    }
    check_between(group.speed, kLeastSpeed, kMostSpeed, path + ".speed");
    if (group.card && group.card->memory_bytes > 0)
      check_rate(group.card->memory_bytes, path + ".gpu.memory", true);
    check_link(group.pcie, path + ".pcie");
    if (group.nvlink) check_link(*group.nvlink, path + ".nvlink");
    if (group.bridge) check_bandwidth(*group.bridge, path + ".bridge");
    if (group.roots) {
      check_bandwidth(group.roots->bandwidth, path + ".roots.bandwidth");
      if (group.roots->count < 2 || group.gpus % group.roots->count != 0)
        fail(path + ".roots.count", fmt::format("{} GPUs are not dealt evenly to {} roots",
                                                group.gpus, group.roots->count));
    }
    if (group.nic) check_bandwidth(*group.nic, path + ".nic");
    check_bandwidth(group.host.memory_bandwidth, path + ".host.memory_bandwidth");
    check_rate(group.host.memory_bytes, path + ".host.memory", true);
  }

  void check_between(double value, double least, double most, const std::string& path) const {
    if (!(value >= least && value <= most))
      fail(path, fmt::format("must be between {} and {}, found {}", least, most, value));
  }

  void check_bandwidth(double value, const std::string& path) const {
    if (!(value >= kLeastBandwidth))
      fail(path, fmt::format("must be at least 1 bit per second, found {} B/s", value));
  }

  void check_rate(double value, const std::string& path, bool infinity_allowed) const {
    if (!(value > 0) || (std::isinf(value) && !infinity_allowed))
      fail(path, fmt::format("must be greater than zero{}, found {}",
                             infinity_allowed ? "" : " and finite", value));
  }

  void check_delay(double value, const std::string& path) const {
    if (!(value >= 0) || std::isinf(value))
      fail(path, fmt::format("must be zero or more and finite, found {}", value));
  }

  // Of one message: it is paid often.
  void check_latency(double value, const std::string& path) const {
    if (!(value >= 0 && value <= kMostDelay))
      fail(path, fmt::format("must be between 0 s and {} s, found {} s", kMostDelay, value));
  }

  void check_efficiency(double value, const std::string& path) const {
    check_between(value, kLeastEfficiency, 1, path);
  }

  void check_link(const LinkSpec& link, const std::string& path) const {
    check_bandwidth(link.bandwidth, path + ".bandwidth");
    check_latency(link.latency, path + ".latency");
    check_latency(link.overhead, path + ".overhead");
    check_efficiency(link.efficiency, path + ".efficiency");
  }

  void check_network() const {
    const NetworkSpec& network = spec_.network;
    check_bandwidth(network.bandwidth, "network.bandwidth");
    check_latency(network.latency, "network.latency");
    check_latency(network.overhead, "network.overhead");
    check_latency(network.switch_latency, "network.switch_latency");
    check_efficiency(network.efficiency, "network.efficiency");
    const auto fail_there = [this](const std::string& path, const std::string& message) {
      fail(path, message);
    };
    network.topology.description().check(TopologyChecker(spec_.node_count(), fail_there));
  }

  void check_interval(double from, double until, const std::string& path) const {
    check_delay(from, path);
    if (!(until > from)) fail(path + ".until", fmt::format("{} s is not after {} s", until, from));
  }

  void check_disturbances(std::size_t nodes, std::size_t gpus) const {
    std::set<std::size_t> servers;
    for (const std::size_t node : spec_.servers) {
      if (node >= nodes) fail("servers", fmt::format("node {} of nodes 0 to {}", node, nodes - 1));
      if (!servers.insert(node).second) fail("servers", fmt::format("node {} appears twice", node));
    }
    for (std::size_t i = 0; i < spec_.stragglers.size(); ++i) {
      const Straggler& straggler = spec_.stragglers[i];
      const std::string path = fmt::format("stragglers[{}]", i);
      if (straggler.worker >= gpus)
        fail(path + ".worker",
             fmt::format("worker {} of workers 0 to {}", straggler.worker, gpus - 1));
      check_between(straggler.slowdown, 1, kMostSlowdown, path + ".slowdown");
      check_interval(straggler.from, straggler.until, path);
    }
    for (std::size_t i = 0; i < spec_.link_events.size(); ++i) {
      const std::string path = fmt::format("link_events[{}]", i);
      check_delay(spec_.link_events[i].at, path + ".at");
      check_between(spec_.link_events[i].factor, kLeastFactor, kMostFactor, path + ".factor");
    }
    for (std::size_t i = 0; i < spec_.background.size(); ++i) {
      const BackgroundTraffic& traffic = spec_.background[i];
      const std::string path = fmt::format("background[{}]", i);
      if (std::max(traffic.from, traffic.to) >= gpus + nodes)
        fail(path, fmt::format("endpoint {} of 0 to {}", std::max(traffic.from, traffic.to),
                               gpus + nodes - 1));
      if (traffic.from == traffic.to) fail(path, "goes from an endpoint to itself");
      check_bandwidth(traffic.rate, path + ".rate");
      check_interval(traffic.since, traffic.until, path);
    }
    if (spec_.jitter.needs_cv())
      check_between(spec_.jitter.cv, Jitter::kLeastCv, Jitter::kMostCv, "jitter.cv");
  }

  const ClusterSpec& spec_;
};

}  // namespace

std::size_t ClusterSpec::node_count() const {
  std::size_t count = 0;
  for (const NodeGroup& group : nodes) count += group.count;
  return count;
}

std::size_t ClusterSpec::gpu_count() const {
  std::size_t count = 0;
  for (const NodeGroup& group : nodes) count += group.count * group.gpus;
  return count;
}

void validate(const ClusterSpec& spec) {
  Validator(spec).run();
}

}  // namespace paceline
