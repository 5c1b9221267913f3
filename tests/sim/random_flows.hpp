#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "sim/network/engine.hpp"
#include "sim/network/network.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

// Random traffic on random networks, to hold one engine against another.
namespace paceline {

/// A network without any structure: up to 5 of `links` links on each route, which may be none, and
/// may cross one link twice; sometimes with a most of what one flow gets. Every route is its own in both directions.
inline std::shared_ptr<const Cluster> random_network(std::mt19937& random, std::size_t endpoints,
                                                     std::size_t links) {
  ClusterSpec spec = star_spec(endpoints);
  if (random() % 3 == 0)
    spec.network.flow_bandwidth = std::pow(10, std::uniform_real_distribution<>(6, 8)(random));
  std::vector<Link> table;
  const bool alike = random() % 3 == 0;  // ties everywhere
  for (std::size_t l = 0; l < links; ++l)
    table.push_back({fmt::format("l{}", l), LinkKind::fabric,
                     alike ? 1e7 : std::pow(10, std::uniform_real_distribution<>(6, 8)(random)),
                     0});
  const std::size_t ends = 2 * endpoints;  // GPUs and hosts
  std::vector<std::vector<LinkId>> routes(ends * ends);
  for (std::vector<LinkId>& route : routes)
    for (std::size_t hops = random() % 6; hops > 0; --hops)
      route.push_back(static_cast<LinkId>(random() % links));
  return std::make_shared<const Cluster>(
      spec, table,
      [routes = std::move(routes), ends](Endpoint from, Endpoint to, Route& out) {
        out.links = routes[from * ends + to];
      },
      1.0);
}

struct RandomFlow {
  double start;  // s, from the beginning of the set
  Endpoint from, to;
  double bytes;
};
/// Flows of a start, which are told of together.
struct RandomGroup {
  double start;
  double bytes;
  FluidNetwork::Set set;
};
struct RandomChange {
  double date;
  LinkId link;
  double factor;
};
struct FlowSet {
  std::vector<RandomFlow> flows;
  std::vector<RandomGroup> groups;
  std::vector<RandomChange> changes;
};

/// Hops of one collective; few, so that they often have their links to themselves at first.
inline RandomGroup random_group(std::mt19937& random, const Cluster& cluster, double start,
                                double bytes) {
  RandomGroup group{start, bytes, {}};
  Route route;
  for (std::size_t hops = 1 + random() % 3; hops > 0; --hops) {
    const auto ends = static_cast<std::uint32_t>(cluster.endpoints());
    const auto from = static_cast<Endpoint>(random() % ends);
    const auto to = static_cast<Endpoint>((from + 1 + random() % (ends - 1)) % ends);
    cluster.route(from, to, route);
    group.set.add(from, to, 1.0 / static_cast<double>(1U << random() % 3), route);
  }
  return group;
}

/// Some sets start together, some one by one; some flows are equal, on the same route or not; some
/// are empty.
inline FlowSet random_set(std::mt19937& random, const Cluster& cluster) {
  const std::size_t ends = cluster.endpoints(), links = cluster.links().size();
  const auto uniform = [&](double from, double to) {
    return std::uniform_real_distribution<>(from, to)(random);
  };
  FlowSet set;
  const std::size_t count = 1 + random() % (random() % 4 == 0 ? 120 : 12);
  const bool in_step = random() % 2 == 0, same_size = random() % 3 == 0;
  const double size = std::round(std::pow(10, uniform(6, 9)));
  for (std::size_t i = 0; i < count; ++i) {
    RandomFlow flow{in_step ? static_cast<double>(random() % 3) : uniform(0, 20),
                    static_cast<Endpoint>(random() % ends), static_cast<Endpoint>(random() % ends),
                    same_size ? size : std::round(std::pow(10, uniform(6, 9)))};
    if (flow.from == flow.to) continue;
    if (random() % 20 == 0) flow.bytes = 0;
    set.flows.push_back(flow);
    for (std::size_t more = random() % 8 == 0 ? random() % 4 : 0; more > 0; --more)
      set.flows.push_back(flow);
  }
  for (std::size_t i = random() % 4; i > 0; --i)
    set.groups.push_back(random_group(random, cluster,
                                      in_step ? static_cast<double>(random() % 3) : uniform(0, 20),
                                      same_size ? size : std::round(std::pow(10, uniform(6, 9)))));
  for (std::size_t i = random() % 2 == 0 ? random() % 10 : 0; i > 0; --i)
    set.changes.push_back({in_step ? static_cast<double>(random() % 4) : uniform(0, 40),
                           static_cast<LinkId>(random() % links), std::pow(2, uniform(-3, 2))});
  return set;
}

/// When each flow and then each group arrives, from the beginning of its set; -1: never. The sets go
/// one after the other.
inline std::vector<double> arrivals(NetworkEngine engine, const Cluster& cluster,
                                    const std::vector<FlowSet>& sets) {
  Clock clock;
  const std::unique_ptr<FluidNetwork> network = make_network(engine, cluster, clock);
  std::vector<double> dates;
  for (const FlowSet& set : sets) {
    const double origin = clock.now();
    std::vector<std::function<void()>> actions;  // by number, below
    std::vector<double> arrived(set.flows.size() + set.groups.size(), -1);
    struct Mark {
      double* date;
      const Clock* clock;
    };
    std::vector<Mark> marks;
    for (double& date : arrived) marks.push_back({&date, &clock});
    const Clock::Fire mark = [](void* self, std::uint64_t) {
      *static_cast<Mark*>(self)->date = static_cast<Mark*>(self)->clock->now();
    };
    const auto at = [&](double date, std::function<void()> action) {
      actions.push_back(std::move(action));
      clock.at(
          origin + date,
          [](void* list, std::uint64_t number) {
            (*static_cast<std::vector<std::function<void()>>*>(list))[number]();
          },
          &actions, actions.size() - 1);
    };
    for (std::size_t i = 0; i < set.flows.size(); ++i)
      at(set.flows[i].start, [&, i] {
        const RandomFlow& flow = set.flows[i];
        network->transfer(flow.from, flow.to, flow.bytes, mark, &marks[i], 0);
      });
    for (std::size_t i = 0; i < set.groups.size(); ++i)
      at(set.groups[i].start, [&, i] {
        network->transfer_all(set.groups[i].set, set.groups[i].bytes, mark,
                              &marks[set.flows.size() + i], 0);
      });
    for (const RandomChange& change : set.changes)
      at(change.date, [&, change] {
        network->set_bandwidth(change.link, cluster.links()[change.link].bandwidth * change.factor);
      });
    network->run();
    for (const double date : arrived) dates.push_back(date < 0 ? date : date - origin);
    for (const RandomChange& change : set.changes)
      network->set_bandwidth(change.link, cluster.links()[change.link].bandwidth);
  }
  return dates;
}

/// Flows of `sets` random sets on `networks` random networks arrive on both engines within 1e-9 of
/// one another (and within SimGrid's own 1e-9 s).
inline void expect_equal_engines(std::uint32_t first_seed, std::uint32_t networks,
                                 std::size_t sets) {
  std::size_t compared = 0;
  for (std::uint32_t seed = first_seed; seed < first_seed + networks; ++seed) {
    std::mt19937 random(seed);
    const std::size_t endpoints = 2 + random() % 12, links = 1 + random() % 30;
    const auto cluster = random_network(random, endpoints, links);
    std::vector<FlowSet> list;
    for (std::size_t i = 0; i < sets; ++i) list.push_back(random_set(random, *cluster));
    const std::vector<double> flat = arrivals(NetworkEngine::flat, *cluster, list);
    const std::vector<double> reference =
        in_child([&] { return arrivals(NetworkEngine::simgrid, *cluster, list); });
    ASSERT_EQ(flat.size(), reference.size());
    std::size_t flow = 0;
    for (std::size_t s = 0; s < list.size(); ++s)
      for (std::size_t i = 0; i < list[s].flows.size() + list[s].groups.size(); ++i, ++flow) {
        ASSERT_GE(reference[flow], 0);
        ASSERT_NEAR(flat[flow], reference[flow], 1e-9 * std::max(1.0, reference[flow]))
            << "seed " << seed << ", set " << s << ", flow " << i;
        ++compared;
      }
  }
  EXPECT_GT(compared, networks * sets);
}

}  // namespace paceline
