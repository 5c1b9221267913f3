#include "platforms/cluster.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "base/error.hpp"
#include "platforms/gpus.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

// Greedy: after a mismatch only the last '*' takes more.
bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

/// Both directions of one kind of link of a GPU or node.
struct Cable {
  Lane up, down;  // away from and towards the GPU or node
};

/// Links and routes from GPUs to the ports of their nodes, and between ports through a Topology.
///
/// Of several NICs (rails) a GPU takes the one near to it: the first GPUs the first NIC, and so on.
/// With NVLink what it sends goes in equal parts through all of them and the PCIe of the GPUs near
/// them, as NCCL's rings do, so that they are one port of that many times the rate.
class Router {
 public:
  Router(const ClusterSpec& spec, LinkTable& table)
      : gpus_(spec.gpu_count()),
        rails_(spec.network.topology.description().rails()),
        network_overhead_(spec.network.overhead),
        switch_latency_(spec.network.switch_latency) {
    for (const NodeGroup& group : spec.nodes)
      for (std::size_t i = 0; i < group.count; ++i) add_node(group, table);
    topology_ = spec.network.topology.description().build(spec, table);
    std::size_t node = 0;
    for (const NodeGroup& group : spec.nodes)
      for (std::size_t i = 0; i < group.count; ++i) add_port(group, node++, spec.network, table);
  }

  void route(Endpoint from, Endpoint to, Route& out) const {
    const std::size_t from_node = node_of(from), to_node = node_of(to);
    if (from == to) {  // out of the port and in again
      nodes_[from_node].ports[0].up.append_to(out);
      nodes_[from_node].ports[0].down.append_to(out);
      out.latency += network_overhead_;
      return;
    }
    if (from_node == to_node) {
      route_inside(from, to, nodes_[from_node], out);
      return;
    }
    const std::size_t out_port = port_of(from, to), in_port = port_of(to, from);
    if (from < gpus_) to_port(from, nodes_[from_node], out);
    nodes_[from_node].ports[out_port].up.append_to(out);
    topology_->append_route(from_node, to_node, out);
    if (out_port != in_port)
      out.latency += 2 * switch_latency_;  // the spine, another rail's switch
    nodes_[to_node].ports[in_port].down.append_to(out);
    if (to < gpus_) from_port(to, nodes_[to_node], out);
    out.latency += network_overhead_;
  }

  [[nodiscard]] double bisection_bandwidth(const ClusterSpec& spec) const {
    if (nodes_.size() < 2) return kInfinity;
    std::vector<double> ports;
    for (const NodeGroup& group : spec.nodes)
      ports.insert(ports.end(), group.count,
                   group.nic.value_or(spec.network.bandwidth) * spec.network.efficiency *
                       static_cast<double>(rails_));
    const auto half = static_cast<std::ptrdiff_t>(ports.size() / 2);
    double first = 0, second = 0;
    for (auto it = ports.begin(); it != ports.end(); ++it)
      (it < ports.begin() + half ? first : second) += *it;
    return std::min({first, second, topology_->bisection_bandwidth()});
  }

 private:
  struct Node {
    Cable bridge;
    double pcie_overhead, nvlink_overhead;
    bool nvlink, peers_cross_bridge;
    std::vector<Cable> roots{};  // none: all GPUs are under one
    std::size_t first_gpu = 0, gpus = 0, gpus_per_root = 1;
    std::vector<Cable> ports{};  // one for each NIC
    bool striped = false;        // over all NICs, which are one port
    Cable to_nics{};             // striped: the PCIe of the GPUs near them
  };

  [[nodiscard]] std::size_t node_of(Endpoint endpoint) const {
    return endpoint < gpus_ ? gpu_nodes_[endpoint] : endpoint - gpus_;
  }

  void add_node(const NodeGroup& group, LinkTable& table) {
    const std::size_t n = nodes_.size();
    const std::string host = fmt::format("node{}", n);
    const std::string hub = group.bridge ? fmt::format("pcie{}", n) : host;
    Node node{{}, group.pcie.overhead, 0, group.nvlink.has_value(), group.peers_cross_bridge};
    node.first_gpu = pcie_.size();
    node.gpus = group.gpus;
    if (group.bridge)
      node.bridge =
          cable(hub, host, LinkKind::pcie, *group.bridge * group.pcie.efficiency, 0, table);
    if (group.roots) {
      node.gpus_per_root = group.gpus / group.roots->count;
      for (std::size_t root = 0; root < group.roots->count; ++root)
        node.roots.push_back(cable(fmt::format("root{}.{}", n, root), fmt::format("qpi{}", n),
                                   LinkKind::pcie, group.roots->bandwidth * group.pcie.efficiency,
                                   0, table));
    }
    for (std::size_t g = 0; g < group.gpus; ++g) {
      const std::string gpu = fmt::format("gpu{}", pcie_.size());
      pcie_.push_back(cable(gpu, hub, LinkKind::pcie, group.pcie.bandwidth * group.pcie.efficiency,
                            group.pcie.latency, table));
      nvlink_.emplace_back();
      if (group.nvlink)
        nvlink_.back() =
            cable(gpu, fmt::format("nvswitch{}", n), LinkKind::nvlink,
                  group.nvlink->bandwidth * group.nvlink->efficiency, group.nvlink->latency, table);
      gpu_nodes_.push_back(static_cast<std::uint32_t>(n));
    }
    if (group.nvlink) node.nvlink_overhead = group.nvlink->overhead;
    nodes_.push_back(std::move(node));
  }

  // The latency between two nodes is end to end: each port has half of it.
  void add_port(const NodeGroup& group, std::size_t n, const NetworkSpec& network,
                LinkTable& table) {
    Node& node = nodes_[n];
    const std::string host = fmt::format("node{}", n);
    const double rate = group.nic.value_or(network.bandwidth) * network.efficiency;
    node.striped = rails_ > 1 && group.nvlink;
    if (node.striped)
      node.to_nics = cable(fmt::format("gpus{}", n), host, LinkKind::pcie,
                           group.pcie.bandwidth * group.pcie.efficiency *
                               static_cast<double>(std::min(rails_, group.gpus)),
                           group.pcie.latency, table);
    if (rails_ == 1 || node.striped) {
      node.ports = {cable(host, topology_->switch_of(n), LinkKind::nic,
                          rate * static_cast<double>(rails_), network.latency / 2, table)};
      return;
    }
    for (std::size_t rail = 0; rail < rails_; ++rail)
      node.ports.push_back(cable(fmt::format("{}.{}", host, rail), fmt::format("rail{}", rail),
                                 LinkKind::nic, rate, network.latency / 2, table));
  }

  // Through which of its node's ports `end` talks to `other`. A host takes the rail of the other.
  [[nodiscard]] std::size_t port_of(Endpoint end, Endpoint other) const {
    const Node& node = nodes_[node_of(end)];
    if (node.ports.size() == 1) return 0;
    if (end < gpus_) return (end - node.first_gpu) * rails_ / node.gpus;
    return other < gpus_ ? port_of(other, end) : (std::size_t{end} + other) % rails_;
  }

  static Cable cable(const std::string& from, const std::string& to, LinkKind kind,
                     double bandwidth, double latency, LinkTable& table) {
    return {table.add(from + '-' + to, kind, bandwidth, latency),
            table.add(to + '-' + from, kind, bandwidth, latency)};
  }

  void to_port(Endpoint gpu, const Node& node, Route& out) const {
    if (node.striped) return node.to_nics.up.append_to(out);
    pcie_[gpu].up.append_to(out);
    node.bridge.up.append_to(out);
  }
  void from_port(Endpoint gpu, const Node& node, Route& out) const {
    if (node.striped) return node.to_nics.down.append_to(out);
    node.bridge.down.append_to(out);
    pcie_[gpu].down.append_to(out);
  }

  static void between_roots(Endpoint from, Endpoint to, const Node& node, Route& out) {
    const std::size_t a = (from - node.first_gpu) / node.gpus_per_root,
                      b = (to - node.first_gpu) / node.gpus_per_root;
    if (a == b) return;
    node.roots[a].up.append_to(out);
    node.roots[b].down.append_to(out);
  }

  void route_inside(Endpoint from, Endpoint to, const Node& node, Route& out) const {
    const bool peers = from < gpus_ && to < gpus_;
    if (peers && node.nvlink) {
      nvlink_[from].up.append_to(out);
      nvlink_[to].down.append_to(out);
      out.latency += node.nvlink_overhead;
      return;
    }
    const bool below_host = peers && !node.peers_cross_bridge;
    if (from < gpus_) {
      pcie_[from].up.append_to(out);
      if (!below_host) node.bridge.up.append_to(out);
    }
    if (peers && !node.roots.empty()) between_roots(from, to, node, out);
    if (to < gpus_) {
      if (!below_host) node.bridge.down.append_to(out);
      pcie_[to].down.append_to(out);
    }
    out.latency += node.pcie_overhead;
  }

  std::size_t gpus_, rails_;
  double network_overhead_, switch_latency_;
  std::vector<Node> nodes_;
  std::vector<Cable> pcie_, nvlink_;  // per GPU
  std::vector<std::uint32_t> gpu_nodes_;
  std::unique_ptr<Topology> topology_;
};

}  // namespace

Cluster::Cluster(ClusterSpec spec, std::vector<Link> links, RouteFunction route,
                 double bisection_bandwidth)
    : spec_(std::move(spec)),
      links_(std::move(links)),
      route_(std::move(route)),
      bisection_bandwidth_(bisection_bandwidth) {
  validate(spec_);
  for (std::size_t g = 0; g < spec_.nodes.size(); ++g) {
    const NodeGroup& group = spec_.nodes[g];
    Device device;
    if (group.gpus > 0)
      device = {0, group.gpu, group.speed,
                std::make_shared<const GpuSpec>(group.card ? *group.card : find_gpu(group.gpu))};
    for (std::size_t i = 0; i < group.count; ++i) {
      device.node = static_cast<std::uint32_t>(host_groups_.size());
      devices_.insert(devices_.end(), group.gpus, device);
      host_groups_.push_back(static_cast<std::uint32_t>(g));
    }
  }
  for (const std::size_t node : spec_.servers) servers_.push_back(host_of(node));
  if (servers_.empty())
    for (std::size_t node = 0; node < nodes(); ++node) servers_.push_back(host_of(node));
  std::sort(servers_.begin(), servers_.end());

  for (std::size_t i = 0; i < links_.size(); ++i)
    by_name_.emplace_back(std::hash<std::string_view>{}(links_[i].name), static_cast<LinkId>(i));
  std::sort(by_name_.begin(), by_name_.end());

  for (std::size_t i = 0; i < spec_.link_events.size(); ++i) {
    const std::string& pattern = spec_.link_events[i].links;
    if (!links_matching(pattern).empty()) continue;
    std::vector<std::string> names;
    for (const Link& link : links_) names.push_back(link.name);
    const std::string nearest = nearest_name(pattern, names);
    throw InputError(
        fmt::format("{}: $.link_events[{}].links: no link matches '{}'{}", spec_.file, i, pattern,
                    !nearest.empty() ? fmt::format("; did you mean '{}'?", nearest)
                    : names.empty()  ? "; this cluster has no links of finite bandwidth"
                                     : fmt::format("; links are named like '{}'", names.front())));
  }
}

const HostSpec& Cluster::host(std::size_t node) const {
  return spec_.nodes[host_groups_.at(node)].host;
}

std::size_t Cluster::node_of(Endpoint endpoint) const {
  if (endpoint < gpus()) return devices_[endpoint].node;
  if (endpoint < endpoints()) return endpoint - gpus();
  throw std::out_of_range(fmt::format("endpoint {} of {}", endpoint, endpoints()));
}

Endpoint Cluster::host_of(std::size_t node) const {
  if (node >= nodes()) throw std::out_of_range(fmt::format("node {} of {}", node, nodes()));
  return static_cast<Endpoint>(gpus() + node);
}

std::string Cluster::endpoint_name(Endpoint endpoint) const {
  return endpoint < gpus() ? fmt::format("gpu{}", endpoint)
                           : fmt::format("node{}", node_of(endpoint));
}

std::vector<LinkId> Cluster::links_matching(std::string_view pattern) const {
  std::vector<LinkId> result;
  if (pattern.find('*') == std::string_view::npos) {  // results ask for every link, one by one
    const std::size_t hash = std::hash<std::string_view>{}(pattern);
    for (auto it = std::lower_bound(by_name_.begin(), by_name_.end(), std::pair(hash, LinkId{0}));
         it != by_name_.end() && it->first == hash; ++it)
      if (links_[it->second].name == pattern) result.push_back(it->second);
    return result;
  }
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (matches(pattern, links_[i].name)) result.push_back(static_cast<LinkId>(i));
  return result;
}

void Cluster::route(Endpoint from, Endpoint to, Route& out) const {
  if (std::max(from, to) >= endpoints())
    throw std::out_of_range(fmt::format("endpoint {} of {}", std::max(from, to), endpoints()));
  out.links.clear();
  out.latency = 0;
  out.most = kInfinity;
  if (from == to && (from < gpus() || !spec_.network.own_host_over_port)) return;
  route_(from, to, out);
  const double most = spec_.network.flow_bandwidth;
  if (most < kInfinity && node_of(from) != node_of(to)) out.most = most;
}

double Cluster::bandwidth(const Route& route) const {
  double narrowest = route.most;
  for (const LinkId link : route.links) narrowest = std::min(narrowest, links_[link].bandwidth);
  return narrowest;
}

Cluster make_cluster(const ClusterSpec& spec) {
  validate(spec);
  LinkTable table;
  const auto router = std::make_shared<const Router>(spec, table);
  return {spec, table.take(),
          [router](Endpoint from, Endpoint to, Route& out) { router->route(from, to, out); },
          router->bisection_bandwidth(spec)};
}

}  // namespace paceline
