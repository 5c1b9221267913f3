#include "platforms/cluster_file.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "platforms/gpus.hpp"
#include "tests/platforms/routes.hpp"

namespace paceline {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

const char* const kText = R"({
  "format": "paceline-cluster-1",
  "name": "two-kinds",
  "description": "everything a file may say",
  "sources": {"network.latency": "assumed"},
  "nodes": [
    {"name": "slow", "count": 6, "gpus": 2, "gpu": "1080ti", "speed": 0.5,
     "pcie": {"bandwidth": "12GB/s", "latency": "1us", "overhead": "5us", "efficiency": 0.8},
     "bridge": "16GB/s", "roots": {"count": 2, "bandwidth": "9.6GB/s"}, "peers_cross_bridge": false,
     "host": {"memory_bandwidth": "60GB/s", "memory": "128GiB"}},
    {"name": "fast", "count": 2, "gpus": 4, "gpu": {"name": "Lab card", "memory": "24GiB"},
     "pcie": "inf", "nvlink": "150GB/s", "nic": "25Gbps"},
    {"name": "servers", "gpus": 0, "nic": "40Gbps"}
  ],
  "network": {"bandwidth": "10Gbps", "latency": "43us", "overhead": "3us", "efficiency": 0.9,
              "switch_latency": "300ns",
              "topology": {"kind": "fat_tree", "levels": 3, "nodes_per_leaf": 2, "leaves_per_pod": 2,
                           "oversubscription": [1, 2.5], "uplinks": [2, 1]}},
  "servers": [8],
  "stragglers": [{"worker": 3, "slowdown": 1.5, "from": "10s", "until": "20s"},
                 {"worker": 4, "slowdown": 2}],
  "link_events": [{"links": "node0-*", "at": "5s", "factor": 0.1}],
  "background": [{"from": "node1", "to": "gpu19", "rate": "5Gbps", "since": "1s"}],
  "jitter": {"distribution": "lognormal", "cv": 0.05}
})";

Json base() {
  return parse_json(kText, "test.json");
}

/// The message that reading and building `json` ends with.
std::string refusal(const Json& json) {
  try {
    (void)make_cluster(read_cluster(json, "test.json"));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal_at(const std::string& pointer, const Json& value) {
  Json json = base();
  json[Json::json_pointer(pointer)] = value;
  return refusal(json);
}

std::string topology_refusal(const char* topology) {
  return refusal_at("/network/topology", parse_json(topology, "topology"));
}

std::string load_refusal(const std::string& name, const std::vector<std::string>& overrides = {}) {
  try {
    (void)load_cluster(name, overrides);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ClusterFile, ReadsEverything) {
  const ClusterSpec spec = read_cluster(base(), "test.json");
  EXPECT_EQ(spec.gpu_count(), 20u);
  EXPECT_EQ(spec.node_count(), 9u);
  EXPECT_EQ(spec.nodes[0].gpu, "GTX 1080 Ti");
  EXPECT_EQ(spec.nodes[0].pcie, (LinkSpec{12e9, 1e-6, 5e-6, 0.8}));
  EXPECT_EQ(spec.nodes[0].host.memory_bytes, 128.0 * (1 << 30));
  EXPECT_EQ(spec.nodes[1].pcie.bandwidth, kInfinity);
  EXPECT_EQ(spec.nodes[1].nvlink->bandwidth, 150e9);
  EXPECT_EQ(write_topology(spec.network.topology)["oversubscription"], Json::array({1, 2.5}));
  EXPECT_EQ(spec.stragglers[1].until, kInfinity);
  EXPECT_EQ(spec.background[0].from, 21u);
  EXPECT_EQ(spec.background[0].to, 19u);
  EXPECT_EQ(spec.jitter.distribution, Jitter::Distribution::lognormal);
  const Cluster cluster = make_cluster(spec);
  EXPECT_EQ(cluster.device(12).gpu, "Lab card");
  EXPECT_EQ(cluster.device(12).memory_bytes(), 24.0 * (1 << 30));
}

TEST(ClusterFile, WritesWhatItReads) {
  const ClusterSpec spec = read_cluster(base(), "test.json");
  const Json written = write_cluster(spec);
  EXPECT_EQ(read_cluster(written, "test.json"), spec);
  EXPECT_EQ(write_cluster(read_cluster(written, "test.json")).dump(), written.dump());
  EXPECT_EQ(written["network"]["bandwidth"], "10Gbps");
  EXPECT_EQ(written["network"]["switch_latency"], "0.3us");
  for (const std::string& name : shipped_clusters()) {
    const ClusterSpec shipped = load_cluster_spec(name);
    EXPECT_EQ(read_cluster(write_cluster(shipped), shipped.file), shipped) << name;
  }
}

TEST(ClusterFile, OddQuantitiesSurviveWriting) {
  ClusterSpec spec = read_cluster(base(), "test.json");
  spec.network.bandwidth = 1.0 / 3;
  spec.network.latency = 1e-6 / 7;
  spec.network.topology = {};
  spec.nodes[0].host.memory_bytes = 12345678901.0;
  EXPECT_EQ(read_cluster(write_cluster(spec), "test.json"), spec);
}

TEST(ClusterFile, RefusesUnknownKeys) {
  EXPECT_THAT(refusal_at("/networks", 1),
              AllOf(HasSubstr("test.json: $:"), HasSubstr("'network'")));
  EXPECT_THAT(refusal_at("/network/bandwith", "1Gbps"), HasSubstr("did you mean 'bandwidth'"));
  EXPECT_THAT(refusal_at("/nodes/1/gpuz", 4),
              AllOf(HasSubstr("$.nodes[1]"), HasSubstr("did you mean 'gpu")));
  EXPECT_THAT(refusal_at("/nodes/0/pcie/speed", "1GB/s"), HasSubstr("$.nodes[0].pcie"));
  EXPECT_THAT(refusal_at("/network/topology/dimensions", Json::array({3, 3})),
              HasSubstr("unknown key 'dimensions'"));
  EXPECT_THAT(refusal_at("/stragglers/0/factor", 2), HasSubstr("$.stragglers[0]"));
}

TEST(ClusterFile, RefusesAnotherFormat) {
  EXPECT_THAT(refusal_at("/format", "paceline-cluster-2"), HasSubstr("'paceline-cluster-1'"));
}

TEST(ClusterFile, RefusesBareNumbersAndWrongRates) {
  EXPECT_THAT(refusal_at("/network/bandwidth", 10),
              AllOf(HasSubstr("$.network.bandwidth"), HasSubstr("lacks a unit")));
  EXPECT_THAT(refusal_at("/network/latency", 5e-5), HasSubstr("lacks a unit"));
  EXPECT_THAT(refusal_at("/nodes/0/pcie", 12), HasSubstr("$.nodes[0].pcie"));
  EXPECT_THAT(refusal_at("/network/bandwidth", "-10Gbps"), HasSubstr("greater than zero"));
  EXPECT_THAT(refusal_at("/network/bandwidth", "0Gbps"), HasSubstr("greater than zero"));
  EXPECT_THAT(refusal_at("/nodes/0/nic", "0B/s"), HasSubstr("$.nodes[0].nic"));
  EXPECT_THAT(refusal_at("/network/latency", "-1us"), HasSubstr("$.network.latency"));
  EXPECT_THAT(refusal_at("/network/latency", "inf"), HasSubstr("finite"));
  EXPECT_THAT(refusal_at("/network/efficiency", 0), HasSubstr("$.network.efficiency"));
  EXPECT_THAT(refusal_at("/network/efficiency", 1.1), HasSubstr("$.network.efficiency"));
}

TEST(ClusterFile, RefusesEmptyAndMisnamedNodes) {
  EXPECT_THAT(refusal_at("/nodes", Json::array()), HasSubstr("$.nodes: a cluster needs"));
  EXPECT_THAT(refusal_at("/nodes/0/count", 0), HasSubstr("$.nodes[0].count: must be 1 or more"));
  EXPECT_THAT(refusal_at("/nodes/0/gpus", -1), HasSubstr("$.nodes[0].gpus: must be 0 or more"));
  EXPECT_THAT(refusal_at("/nodes", parse_json(R"([{"count": 9, "gpus": 0}])", "nodes")),
              HasSubstr("at least one GPU"));
  EXPECT_THAT(refusal_at("/nodes/1/name", "slow"), HasSubstr("a group named 'slow' comes before"));
  EXPECT_THAT(refusal_at("/nodes/0/gpu", "GTX 1080 Tj"),
              AllOf(HasSubstr("$.nodes[0].gpu"), HasSubstr("did you mean 'GTX 1080 Ti'")));
  EXPECT_THAT(refusal_at("/nodes/0/gpu", 1080), HasSubstr("expected a string"));
  EXPECT_THAT(refusal_at("/nodes/0/speed", 0), HasSubstr("$.nodes[0].speed"));
  EXPECT_THAT(refusal_at("/nodes/0/count", 100000000), HasSubstr("more than"));
  // No GPU, no PCIe.
  EXPECT_THAT(refusal_at("/nodes/2/pcie", "inf"), HasSubstr("unknown key 'pcie'"));
}

TEST(ClusterFile, RefusesTopologiesThatDoNotFit) {
  EXPECT_THAT(topology_refusal(R"({"kind": "torsu"})"), HasSubstr("did you mean 'torus'"));
  EXPECT_THAT(topology_refusal(R"({"kind": "torus", "dimensions": [4, 2]})"),
              HasSubstr("$.network.topology.dimensions: 4 x 2 = 8 places for 9 nodes"));
  EXPECT_THAT(topology_refusal(R"({"kind": "torus", "dimensions": [9]})"),
              HasSubstr("2 or 3 dimensions"));
  EXPECT_THAT(topology_refusal(R"({"kind": "torus", "dimensions": [-3, -3]})"),
              HasSubstr("0 or more"));
  EXPECT_EQ(topology_refusal(R"({"kind": "torus", "dimensions": [3, 3]})"), "accepted");
  EXPECT_THAT(topology_refusal(
                  R"({"kind": "dragonfly", "groups": 2, "routers": 2, "nodes_per_router": 2})"),
              HasSubstr("2 x 2 x 2 = 8 places for 9 nodes"));
  EXPECT_THAT(
      topology_refusal(R"({"kind": "fat_tree", "nodes_per_leaf": 3, "oversubscription": [0.5]})"),
      HasSubstr("1 or more, found 0.5"));
  EXPECT_THAT(
      topology_refusal(R"({"kind": "fat_tree", "nodes_per_leaf": 3, "oversubscription": [2, 2]})"),
      HasSubstr("2 levels need 1 ratio(s), found 2"));
  EXPECT_THAT(topology_refusal(R"({"kind": "fat_tree", "nodes_per_leaf": 3, "uplinks": [0]})"),
              HasSubstr("between 1 and 4096"));
  EXPECT_THAT(topology_refusal(R"({"kind": "fat_tree", "nodes_per_leaf": 0})"),
              HasSubstr("$.network.topology.nodes_per_leaf"));
  EXPECT_THAT(topology_refusal(R"({"kind": "fat_tree", "levels": 3, "nodes_per_leaf": 3})"),
              HasSubstr("missing key 'leaves_per_pod'"));
}

TEST(ClusterFile, RefusesTooManyLinks) {
  Json json = base();
  json["nodes"] =
      parse_json(R"([{"count": 1000000, "gpus": 1, "gpu": "T4", "pcie": "inf"}])", "nodes");
  json["network"]["topology"] =
      parse_json(R"({"kind": "dragonfly", "groups": 1, "routers": 1000000, "nodes_per_router": 1})",
                 "topology");
  EXPECT_THAT(refusal(json), HasSubstr("links; the limit is"));
}

TEST(ClusterFile, LeavesXmlToTheSimulator) {
  Json json = base();
  json["network"] = parse_json(R"({"topology": {"kind": "xml", "file": "grid.xml"}})", "network");
  json.erase("link_events");
  const ClusterSpec spec = read_cluster(json, "folder/test.json");
  EXPECT_EQ(spec.network.topology.platform_file(), "folder/grid.xml");
  EXPECT_EQ(spec.network.bandwidth, kInfinity);
  try {
    (void)make_cluster(spec);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("folder/grid.xml"), HasSubstr("by the simulator")));
  }
}

TEST(ClusterFile, RefusesDisturbancesOfWhatIsNotThere) {
  EXPECT_THAT(refusal_at("/link_events/0/links", "nod0-leaf0"),
              AllOf(HasSubstr("$.link_events[0].links: no link matches 'nod0-leaf0'"),
                    HasSubstr("did you mean 'node0-leaf0'")));
  EXPECT_THAT(refusal_at("/link_events/0/factor", 0), HasSubstr("$.link_events[0].factor"));
  EXPECT_THAT(refusal_at("/stragglers/0/worker", 20), HasSubstr("worker 20 of workers 0 to 19"));
  EXPECT_THAT(refusal_at("/stragglers/0/slowdown", 0.5), HasSubstr("$.stragglers[0].slowdown"));
  EXPECT_THAT(refusal_at("/stragglers/0/until", "10s"), HasSubstr("$.stragglers[0].until"));
  EXPECT_THAT(refusal_at("/background/0/to", "gpu20"), HasSubstr("the last one is 'gpu19'"));
  EXPECT_THAT(refusal_at("/background/0/to", "rank3"), HasSubstr("expected \"gpuN\" or \"nodeN\""));
  EXPECT_THAT(refusal_at("/background/0/to", "node1"), HasSubstr("to itself"));
  EXPECT_THAT(refusal_at("/servers", Json::array({9})), HasSubstr("node 9 of nodes 0 to 8"));
  EXPECT_THAT(refusal_at("/servers", Json::array({1, 1})), HasSubstr("node 1 appears twice"));
  EXPECT_THAT(refusal_at("/jitter/distribution", "gama"), HasSubstr("did you mean 'gamma'"));
  EXPECT_THAT(refusal_at("/jitter/cv", 0), HasSubstr("$.jitter.cv"));
  EXPECT_THAT(refusal_at("/jitter/cv", 12),
              HasSubstr("$.jitter.cv: must be between 0.0001 and 10"));
}

TEST(ShippedClusters, EveryNameLoadsAndStatesItsSources) {
  const std::vector<std::string> names = shipped_clusters();
  EXPECT_GE(names.size(), 24u);
  for (const std::string& name : names) {
    const Cluster cluster = load_cluster(name);
    EXPECT_EQ(cluster.name(), name);
    EXPECT_FALSE(cluster.spec().sources.empty()) << name;
    EXPECT_FALSE(cluster.spec().description.empty()) << name;
    EXPECT_GT(cluster.bandwidth(route_of(cluster, 0, static_cast<Endpoint>(cluster.gpus() - 1))),
              5e7);
    if (name == "reference-star") continue;
    // The line rate stated for PCIe is that of the GPU's generation and lanes.
    const NodeGroup& group = cluster.spec().nodes[0];
    const GpuSpec& gpu = find_gpu(group.gpu);
    const double line = pcie_bandwidth(gpu.pcie_generation, gpu.pcie_lanes);
    EXPECT_NEAR(group.pcie.bandwidth / line, 1, 1e-3) << name;
  }
  for (const char* shape : {"16x1", "4x4", "2x8"})
    for (const char* network : {"1gbe", "10gbe", "25gbe", "40gbe", "100gbe", "56gbib"}) {
      const std::string name = std::string(shape) + "-1080ti-" + network;
      EXPECT_THAT(names, Contains(name));
      EXPECT_EQ(load_cluster(name).gpus(), 16u);
    }
  for (const char* name :
       {"16x1-p102100-1gbe", "4x4-v100-10gbe", "4x4-v100-56gbib", "8x4-2080ti-10gbe",
        "8x4-2080ti-100gbib", "8x2-gk210-10gbe", "reference-star"})
    EXPECT_THAT(names, Contains(name));
}

TEST(ShippedClusters, GtopkClusterHasThePublishedFit) {
  const Cluster cluster = load_cluster("16x1-p102100-1gbe");
  const Route route = route_of(cluster, 0, 15);
  EXPECT_DOUBLE_EQ(route.latency, 0.436e-3);
  EXPECT_NEAR(cluster.bandwidth(route), 1 / 9e-9, 1);
}

TEST(ShippedClusters, InfinibandReproducesItsFit) {
  // A ring over the 16 GPUs crosses each port once: 30 steps of alpha and M/16 bytes (MG-WFBP
  // 2021).
  const Cluster cluster = load_cluster("4x4-v100-56gbib");
  const Route route = route_of(cluster, 3, 4);
  EXPECT_NEAR(30 * route.latency / 0.000236, 1, 0.01);
  EXPECT_NEAR(30.0 / 16 / cluster.bandwidth(route) / 4.06e-10, 1, 0.01);
}

TEST(ShippedClusters, UnknownNameNamesTheNearest) {
  EXPECT_THAT(load_refusal("reference-sta"), HasSubstr("did you mean 'reference-star'"));
  EXPECT_THAT(load_refusal("16x1-1080ti-10gb"), HasSubstr("did you mean '16x1-1080ti-10gbe'"));
  EXPECT_THAT(load_refusal("no/such.json"), HasSubstr("no/such.json: cannot be read"));
}

TEST(ShippedClusters, DataFolderAndPathsComeFirst) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / ("paceline-data-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "platforms" / "clusters");
  const std::filesystem::path file = folder / "platforms" / "clusters" / "reference-star.json";
  Json json = base();
  json["name"] = "mine";
  std::ofstream(file) << json;
  EXPECT_EQ(load_cluster(file.string()).name(), "mine");
  EXPECT_EQ(load_cluster("reference-star").name(), "reference-star");
  ::setenv("PACELINE_DATA", folder.c_str(), 1);
  EXPECT_EQ(load_cluster("reference-star").name(), "mine");
  std::filesystem::rename(file, file.parent_path() / "extra.json");
  EXPECT_EQ(load_cluster("reference-star").name(), "reference-star");
  EXPECT_THAT(shipped_clusters(), AllOf(Contains("extra"), Contains("16x1-1080ti-10gbe")));
  ::unsetenv("PACELINE_DATA");
  std::filesystem::remove_all(folder);
}

TEST(Overrides, ChangeWhatTheyName) {
  const Cluster cluster = load_cluster(
      "4x4-1080ti-10gbe",
      {"network.bandwidth=25Gbps", "network.overhead=7us", "nodes[0].count=9", "nodes[*].pcie=inf",
       "network.topology={\"kind\": \"torus\"}", "network.topology.dimensions=[3, 3]"});
  EXPECT_EQ(cluster.gpus(), 36u);
  EXPECT_EQ(cluster.spec().network.bandwidth, 25e9 / 8);
  EXPECT_EQ(cluster.spec().network.overhead, 7 * 1e-6);
  EXPECT_EQ(cluster.spec().nodes[0].pcie.bandwidth, kInfinity);
  EXPECT_EQ(cluster.spec().network.topology.kind(), "torus");
  EXPECT_THAT(cluster.spec().sources.at("overridden"), HasSubstr("network.bandwidth=25Gbps"));
}

TEST(Overrides, ReachBelowAShortForm) {
  const ClusterSpec spec = load_cluster_spec("reference-star", {"nodes[0].pcie.latency=3us"});
  EXPECT_EQ(spec.nodes[0].pcie, (LinkSpec{kInfinity, 3 * 1e-6, 0, 1}));
}

TEST(Overrides, RefuseUnknownPaths) {
  EXPECT_THAT(
      load_refusal("reference-star", {"network.bandwith=25Gbps"}),
      AllOf(HasSubstr("did you mean 'bandwidth'"), HasSubstr("--set network.bandwith=25Gbps")));
  EXPECT_THAT(load_refusal("reference-star", {"netwrok.bandwidth=25Gbps"}),
              HasSubstr("did you mean 'network'"));
  EXPECT_THAT(load_refusal("reference-star", {"nodes[1].gpus=2"}),
              HasSubstr("element 1 of an array of 1"));
  EXPECT_THAT(load_refusal("reference-star", {"nodes[x].gpus=2"}),
              HasSubstr("'x' is not the number"));
  EXPECT_THAT(load_refusal("reference-star", {"nodes.gpus=2"}), HasSubstr("nodes[0].gpus"));
  EXPECT_THAT(load_refusal("reference-star", {"nodes[0"}), HasSubstr("expected PATH=VALUE"));
  EXPECT_THAT(load_refusal("reference-star", {"nodes[0=2"}), HasSubstr("without its"));
  EXPECT_THAT(load_refusal("reference-star", {"network..latency=0s"}), HasSubstr("empty part"));
  EXPECT_THAT(load_refusal("reference-star", {"network.bandwidth=25"}), HasSubstr("lacks a unit"));
  EXPECT_THAT(load_refusal("reference-star", {"servers[0]=2"}), HasSubstr("not an element"));
}

}  // namespace
}  // namespace paceline
