#include <fmt/format.h>

#include "base/json.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

constexpr std::size_t kMostRails = 64;

/// A switch for each rail that never blocks, and a spine that joins them: only the ports limit.
class Rails final : public Topology {
 public:
  [[nodiscard]] std::string switch_of(std::size_t) const override { return "rails"; }
  void append_route(std::size_t, std::size_t, Route&) const override {}
  [[nodiscard]] double bisection_bandwidth() const override { return kInfinity; }
};

class RailsDescription final : public TopologyDescription {
 public:
  explicit RailsDescription(std::size_t count) : count_(count) {}
  [[nodiscard]] std::string kind() const override { return "rails"; }
  [[nodiscard]] Json write() const override { return {{"count", count_}}; }
  void check(const TopologyChecker& checker) const override {
    if (count_ > kMostRails)
      checker.fail("count", fmt::format("at most {} NICs per node, found {}", kMostRails, count_));
  }
  [[nodiscard]] std::unique_ptr<Topology> build(const ClusterSpec&, LinkTable&) const override {
    return std::make_unique<Rails>();
  }
  [[nodiscard]] std::size_t rails() const override { return count_; }

 private:
  std::size_t count_;
};

}  // namespace

extern const TopologyEntry kRails{
    "rails", 5, [](ObjectReader& reader) -> std::shared_ptr<const TopologyDescription> {
      return std::make_shared<RailsDescription>(size_of(reader, "count"));
    }};

}  // namespace paceline
