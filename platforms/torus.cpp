#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.hpp"
#include "base/units.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

/// One router per node; rank order is row-major (the last dimension varies fastest).
struct TorusFields {
  std::vector<std::size_t> dimensions;   ///< two or three
  std::size_t links_per_direction = 1;   ///< bundled: one link of that many times the rate
  std::optional<double> link_bandwidth;  ///< line rate; default: network.bandwidth
};

/// A router per node and a ring per dimension (2-D: pass two dimensions). Dimension-ordered
/// routing: the last dimension first, each the shorter way round; a tie goes up. A ring of two has
/// one cable.
class Torus final : public Topology {
 public:
  Torus(const TorusFields& fields, const NetworkSpec& network, std::size_t nodes, LinkTable& table)
      : dimensions_(fields.dimensions) {
    const double bandwidth = fields.link_bandwidth.value_or(network.bandwidth) *
                             network.efficiency * static_cast<double>(fields.links_per_direction);
    strides_.assign(dimensions_.size(), 1);
    for (std::size_t d = dimensions_.size() - 1; d > 0; --d)
      strides_[d - 1] = strides_[d] * dimensions_[d];
    lanes_.resize(nodes * dimensions_.size());
    for (std::size_t node = 0; node < nodes; ++node)
      for (std::size_t d = 0; d < dimensions_.size(); ++d) {
        Ways& ways = lanes_[node * dimensions_.size() + d];
        if (dimensions_[d] > 1) ways.up = cable(node, step_up(node, d), bandwidth, network, table);
        if (dimensions_[d] > 2)
          ways.down = cable(node, step_down(node, d), bandwidth, network, table);
      }
    // Cutting the longest ring in two leaves the fewest cables: two per ring, one in a ring of two.
    const std::size_t longest = *std::max_element(dimensions_.begin(), dimensions_.end());
    bisection_ = longest < 2
                     ? kInfinity
                     : bandwidth * static_cast<double>(nodes / longest) * (longest == 2 ? 1 : 2);
  }

  [[nodiscard]] std::string switch_of(std::size_t node) const override {
    return fmt::format("router{}", node);
  }

  void append_route(std::size_t from, std::size_t to, Route& route) const override {
    std::size_t at = from;
    for (std::size_t d = dimensions_.size(); d-- > 0;) {
      const std::size_t size = dimensions_[d];
      const std::size_t here = at / strides_[d] % size, there = to / strides_[d] % size;
      const std::size_t upward = there >= here ? there - here : there + size - here;
      const bool up = 2 * upward <= size;
      for (std::size_t hops = up ? upward : size - upward; hops > 0; --hops) {
        const Ways& ways = lanes_[at * dimensions_.size() + d];
        (up ? ways.up : ways.down).append_to(route);
        at = up ? step_up(at, d) : step_down(at, d);
      }
    }
  }

  [[nodiscard]] double bisection_bandwidth() const override { return bisection_; }

 private:
  struct Ways {
    Lane up, down;
  };

  [[nodiscard]] std::size_t step_up(std::size_t node, std::size_t d) const {
    const bool last = node / strides_[d] % dimensions_[d] == dimensions_[d] - 1;
    return last ? node - strides_[d] * (dimensions_[d] - 1) : node + strides_[d];
  }
  [[nodiscard]] std::size_t step_down(std::size_t node, std::size_t d) const {
    const bool first = node / strides_[d] % dimensions_[d] == 0;
    return first ? node + strides_[d] * (dimensions_[d] - 1) : node - strides_[d];
  }
  static Lane cable(std::size_t from, std::size_t to, double bandwidth, const NetworkSpec& network,
                    LinkTable& table) {
    return table.add(fmt::format("router{}-router{}", from, to), LinkKind::fabric, bandwidth,
                     network.switch_latency);
  }

  std::vector<std::size_t> dimensions_, strides_;
  std::vector<Ways> lanes_;  // [node][dimension]
  double bisection_;
};

class TorusDescription final : public TopologyDescription {
 public:
  explicit TorusDescription(TorusFields fields) : fields_(std::move(fields)) {}
  [[nodiscard]] std::string kind() const override { return "torus"; }
  [[nodiscard]] Json write() const override {
    Json json{{"dimensions", fields_.dimensions},
              {"links_per_direction", fields_.links_per_direction}};
    if (fields_.link_bandwidth) json["link_bandwidth"] = write_bandwidth(*fields_.link_bandwidth);
    return json;
  }
  void check(const TopologyChecker& checker) const override {
    checker.bandwidth("link_bandwidth", fields_.link_bandwidth);
    if (fields_.dimensions.size() != 2 && fields_.dimensions.size() != 3)
      checker.fail("dimensions", fmt::format("a torus has 2 or 3 dimensions, found {}",
                                             fields_.dimensions.size()));
    checker.places("dimensions", fields_.dimensions);
  }
  [[nodiscard]] std::unique_ptr<Topology> build(const ClusterSpec& spec,
                                                LinkTable& table) const override {
    return std::make_unique<Torus>(fields_, spec.network, spec.node_count(), table);
  }

 private:
  TorusFields fields_;
};

}  // namespace

extern const TopologyEntry kTorus{
    "torus", 3, [](ObjectReader& reader) -> std::shared_ptr<const TopologyDescription> {
      TorusFields fields;
      fields.dimensions = sizes_of(reader, "dimensions");
      if (reader.has("links_per_direction"))
        fields.links_per_direction = size_of(reader, "links_per_direction");
      fields.link_bandwidth = optional_bandwidth(reader, "link_bandwidth");
      return std::make_shared<TorusDescription>(std::move(fields));
    }};

}  // namespace paceline
