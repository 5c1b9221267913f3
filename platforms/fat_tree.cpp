#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

/// Laid out for ports of network.bandwidth. The last leaf and pod may be partly filled.
struct FatTreeFields {
  std::size_t levels = 2;  ///< of switches: 2 or 3
  std::size_t nodes_per_leaf = 0;
  std::size_t leaves_per_pod = 0;  ///< three levels only
  /// Per level above the leaves' ports: bandwidth in / out, >= 1.
  std::vector<double> oversubscription;
  std::vector<std::size_t> uplinks;  ///< per switch and level (D-mod-k picks one of them)
};

/// Two or three levels of switches. A leaf joins nodes_per_leaf nodes; of their bandwidth it passes
/// 1/oversubscription[0] on, split over uplinks[0] links to as many spines (two levels) or to as
/// many aggregation switches of its pod (three levels). An aggregation switch passes
/// 1/oversubscription[1] of what comes from its pod's leaves on, split over uplinks[1] links to the
/// core.
///
/// The up-link is chosen by D-mod-k (Zahavi, "D-Mod-K routing providing non-blocking traffic for
/// shift permutations on real life fat trees", 2010): link floor(d / prod(uplinks below)) mod
/// uplinks for destination d. The way down then is the only one.
class FatTree final : public Topology {
 public:
  FatTree(const FatTreeFields& fields, const NetworkSpec& network, std::size_t nodes,
          LinkTable& table)
      : three_levels_(fields.levels == 3),
        nodes_per_leaf_(fields.nodes_per_leaf),
        leaves_per_pod_(fields.leaves_per_pod),
        leaf_ups_(fields.uplinks.at(0)),
        core_ups_(three_levels_ ? fields.uplinks.at(1) : 0) {
    const auto& ratios = fields.oversubscription;
    const std::size_t leaves = (nodes + nodes_per_leaf_ - 1) / nodes_per_leaf_;
    const double leaf_out = static_cast<double>(nodes_per_leaf_) * network.bandwidth *
                            network.efficiency / ratios.at(0);
    const double leaf_link = leaf_out / static_cast<double>(leaf_ups_);
    bisection_ = leaves > 1 ? leaf_out * static_cast<double>(leaves) / 2 : kInfinity;
    for (std::size_t leaf = 0; leaf < leaves; ++leaf)
      for (std::size_t k = 0; k < leaf_ups_; ++k)
        add_pair(fmt::format("leaf{}", leaf),
                 three_levels_ ? fmt::format("agg{}.{}", leaf / leaves_per_pod_, k)
                               : fmt::format("spine{}", k),
                 leaf_link, network.switch_latency, table, leaf_lanes_);
    if (!three_levels_) return;

    const std::size_t pods = (leaves + leaves_per_pod_ - 1) / leaves_per_pod_;
    const double agg_out = static_cast<double>(leaves_per_pod_) * leaf_link / ratios.at(1);
    if (pods > 1)
      bisection_ = std::min(bisection_, agg_out * static_cast<double>(leaf_ups_ * pods) / 2);
    for (std::size_t pod = 0; pod < pods; ++pod)
      for (std::size_t k = 0; k < leaf_ups_; ++k)
        for (std::size_t j = 0; j < core_ups_; ++j)
          add_pair(fmt::format("agg{}.{}", pod, k), fmt::format("core{}.{}", k, j),
                   agg_out / static_cast<double>(core_ups_), network.switch_latency, table,
                   core_lanes_);
  }

  [[nodiscard]] std::string switch_of(std::size_t node) const override {
    return fmt::format("leaf{}", node / nodes_per_leaf_);
  }

  void append_route(std::size_t from, std::size_t to, Route& route) const override {
    const std::size_t leaf = from / nodes_per_leaf_, to_leaf = to / nodes_per_leaf_;
    if (leaf == to_leaf) return;
    const std::size_t k = to % leaf_ups_;
    leaf_lanes_[leaf * leaf_ups_ + k].up.append_to(route);
    if (three_levels_) {
      const std::size_t pod = leaf / leaves_per_pod_, to_pod = to_leaf / leaves_per_pod_;
      if (pod != to_pod) {
        const std::size_t j = to / leaf_ups_ % core_ups_;
        core_lanes_[(pod * leaf_ups_ + k) * core_ups_ + j].up.append_to(route);
        core_lanes_[(to_pod * leaf_ups_ + k) * core_ups_ + j].down.append_to(route);
      }
    }
    leaf_lanes_[to_leaf * leaf_ups_ + k].down.append_to(route);
  }

  [[nodiscard]] double bisection_bandwidth() const override { return bisection_; }

 private:
  struct Cable {
    Lane up, down;
  };

  static void add_pair(const std::string& low, const std::string& high, double bandwidth,
                       double latency, LinkTable& table, std::vector<Cable>& cables) {
    cables.push_back({table.add(low + '-' + high, LinkKind::fabric, bandwidth, latency),
                      table.add(high + '-' + low, LinkKind::fabric, bandwidth, latency)});
  }

  bool three_levels_;
  std::size_t nodes_per_leaf_, leaves_per_pod_, leaf_ups_, core_ups_;
  std::vector<Cable> leaf_lanes_;  // [leaf][k]
  std::vector<Cable> core_lanes_;  // [pod][k][j]
  double bisection_;
};

class FatTreeDescription final : public TopologyDescription {
 public:
  explicit FatTreeDescription(FatTreeFields fields) : t_(std::move(fields)) {}
  [[nodiscard]] std::string kind() const override { return "fat_tree"; }
  [[nodiscard]] Json write() const override {
    Json json{{"levels", t_.levels}, {"nodes_per_leaf", t_.nodes_per_leaf}};
    if (t_.levels == 3) json["leaves_per_pod"] = t_.leaves_per_pod;
    json["oversubscription"] = t_.oversubscription;
    json["uplinks"] = t_.uplinks;
    return json;
  }
  void check(const TopologyChecker& checker) const override {
    if (t_.oversubscription.size() != t_.levels - 1)
      checker.fail("oversubscription",
                   fmt::format("{} levels need {} ratio(s), found {}", t_.levels, t_.levels - 1,
                               t_.oversubscription.size()));
    for (const double ratio : t_.oversubscription)
      if (!(ratio >= 1) || std::isinf(ratio))
        checker.fail("oversubscription",
                     fmt::format("is bandwidth in over bandwidth out: 1 or more, found {}", ratio));
    if (t_.uplinks.size() != t_.levels - 1)
      checker.fail("uplinks", fmt::format("{} levels need {} number(s), found {}", t_.levels,
                                          t_.levels - 1, t_.uplinks.size()));
    for (const std::size_t uplinks : t_.uplinks)
      if (uplinks < 1 || uplinks > 4096)
        checker.fail("uplinks", fmt::format("must be between 1 and 4096, found {}", uplinks));
    const std::size_t leaves = checker.nodes() / t_.nodes_per_leaf + 1;
    const std::size_t pods = t_.levels == 3 ? leaves / t_.leaves_per_pod + 1 : 0;
    std::size_t links = leaves * t_.uplinks[0];
    if (t_.levels == 3) links += pods * t_.uplinks[0] * t_.uplinks[1];
    checker.links(2 * links);
  }
  [[nodiscard]] std::unique_ptr<Topology> build(const ClusterSpec& spec,
                                                LinkTable& table) const override {
    return std::make_unique<FatTree>(t_, spec.network, spec.node_count(), table);
  }

 private:
  FatTreeFields t_;
};

}  // namespace

extern const TopologyEntry kFatTree{
    "fat_tree", 2, [](ObjectReader& reader) -> std::shared_ptr<const TopologyDescription> {
      FatTreeFields fields;
      fields.levels = static_cast<std::size_t>(reader.integer_or("levels", 2, 2, 3));
      fields.nodes_per_leaf = size_of(reader, "nodes_per_leaf");
      if (fields.levels == 3) fields.leaves_per_pod = size_of(reader, "leaves_per_pod");
      fields.oversubscription.assign(fields.levels - 1, 1.0);
      if (reader.has("oversubscription"))
        fields.oversubscription = reader.numbers("oversubscription");
      fields.uplinks.assign(fields.levels - 1, 1);
      if (reader.has("uplinks")) fields.uplinks = sizes_of(reader, "uplinks");
      return std::make_shared<FatTreeDescription>(std::move(fields));
    }};

}  // namespace paceline
