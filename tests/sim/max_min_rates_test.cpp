// Rates that are kept while flows come and go, against a filling from nothing.
#include "sim/network/flat/max_min.hpp"
#include "tests/sim/random_flows.hpp"

namespace paceline {
namespace {

struct Traffic {
  MaxMinRates::FlowId id;
  RouteTable::Id route;
  std::uint32_t weight;
};

// Progressive filling as the books have it: all rates rise together; a full link fixes those of the
// flows on it, and a flow at its most is fixed at that.
std::vector<double> filled(const std::vector<Traffic>& flows, const RouteTable& routes,
                           const std::vector<double>& capacity) {
  constexpr double kRounding = 1 + 1e-12;
  std::vector<double> left = capacity, rates(flows.size(), -1);
  for (std::size_t open = flows.size(); open > 0;) {
    std::vector<double> weight(left.size(), 0);
    double level = kInfinity;
    for (std::size_t f = 0; f < flows.size(); ++f) {
      if (rates[f] >= 0) continue;
      level = std::min(level, routes.most(flows[f].route));
      for (const LinkId link : routes.links(flows[f].route)) weight[link] += flows[f].weight;
    }
    for (LinkId link = 0; link < left.size(); ++link)
      if (weight[link] > 0) level = std::min(level, left[link] / weight[link]);
    std::vector<bool> full(left.size());
    for (LinkId link = 0; link < left.size(); ++link)
      full[link] = weight[link] > 0 && left[link] <= level * weight[link] * kRounding;
    for (std::size_t f = 0; f < flows.size(); ++f) {
      const std::span<const LinkId> links = routes.links(flows[f].route);
      if (rates[f] >= 0 ||
          (routes.most(flows[f].route) > level * kRounding &&
           std::none_of(links.begin(), links.end(), [&](LinkId link) { return full[link]; })))
        continue;
      rates[f] = level;
      --open;
      for (const LinkId link : links) left[link] -= level * flows[f].weight;
    }
  }
  return rates;
}

/// Takes `events` batches of random arrivals, departures and changed bandwidths, all rates compared
/// after each.
void expect_filled(std::mt19937& random, const Cluster& cluster, std::size_t most_flows,
                   std::size_t events) {
  RouteTable routes(cluster);
  MaxMinRates rates(cluster, routes);
  std::vector<double> capacity;
  for (const Link& link : cluster.links()) capacity.push_back(link.bandwidth);
  std::vector<Traffic> flows;
  std::vector<MaxMinRates::FlowId> free;
  for (std::size_t event = 0; event < events; ++event) {
    for (std::size_t change = 1 + random() % 4; change > 0; --change) {
      const std::size_t kind = random() % 20;
      if (kind == 0) {
        const auto link = static_cast<LinkId>(random() % capacity.size());
        capacity[link] =
            cluster.links()[link].bandwidth *
            (random() % 2 == 0 ? 1 : std::pow(2, std::uniform_real_distribution<>(-3, 2)(random)));
        rates.set_capacity(link, capacity[link]);
      } else if (kind < 11 && flows.size() < most_flows) {
        const auto from = static_cast<Endpoint>(random() % cluster.endpoints());
        const auto to = static_cast<Endpoint>(random() % cluster.endpoints());
        const RouteTable::Id route = routes.of(from, to);
        if (from == to || routes.links(route).empty()) continue;
        if (free.empty()) free.push_back(static_cast<MaxMinRates::FlowId>(flows.size()));
        flows.push_back(
            {free.back(), route, random() % 4 == 0 ? 1 + std::uint32_t(random() % 5) : 1});
        free.pop_back();
        rates.add(flows.back().id, route, flows.back().weight);
      } else if (!flows.empty()) {
        Traffic& leaves = flows[random() % flows.size()];
        rates.remove(leaves.id);
        free.push_back(leaves.id);
        leaves = flows.back();
        flows.pop_back();
      }
    }
    rates.solve();
    const std::vector<double> reference = filled(flows, routes, capacity);
    for (std::size_t f = 0; f < flows.size(); ++f)
      ASSERT_NEAR(rates.rate(flows[f].id), reference[f], 1e-9 * reference[f])
          << "event " << event << ", flow " << f << " of " << flows.size();
  }
}

TEST(MaxMinRates, AreThoseOfAFillingFromNothingOnAnyNetwork) {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto cluster = random_network(random, 2 + random() % 12, 1 + random() % 30);
    expect_filled(random, *cluster, 5 + random() % 60, 150);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// Everybody talks to everybody: ties at every port.
TEST(MaxMinRates, AreThoseOfAFillingFromNothingOnAStar) {
  for (std::uint32_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    ClusterSpec spec = star_spec(2 + random() % 8);
    if (seed % 3 == 0) spec.network.flow_bandwidth = kBandwidth / 3;
    expect_filled(random, *build(spec), 80, 150);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace paceline
