#include "base/json.hpp"
#include "calibrate/network/link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "platforms/cluster_file.hpp"

namespace paceline {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<MessageSample> law(double alpha, double beta, double from, double to) {
  std::vector<MessageSample> samples;
  for (double bytes = from; bytes <= to; bytes *= 2)
    samples.push_back({bytes, alpha + beta * bytes});
  return samples;
}

FittedLog fitted(MessagePattern kind, std::optional<int> ranks, std::vector<MessageSample> samples,
                 const std::string& source) {
  TransferFit fit = fit_transfers(samples, source);
  return {{kind, ranks, std::move(samples), source}, std::move(fit)};
}
FittedLog pairs(std::vector<MessageSample> samples, const std::string& source) {
  return fitted(MessagePattern::point_to_point, {}, std::move(samples), source);
}

TEST(NetworkLink, ARingGivesItsLinksAndTheClusterKeepsItsLineRate) {
  const int ranks = 8;
  const double latency = 43e-6, bandwidth = 1.1e9;
  FittedLog ring = fitted(MessagePattern::all_reduce, ranks,
                          law(14 * latency, 14.0 / 8 / bandwidth, 1e3, 1e9), "ring.log");
  const FittedLink link = link_of(ring);
  EXPECT_NEAR(*link.latency_s, latency, 1e-9);
  EXPECT_NEAR(link.bandwidth, bandwidth, 1e3);
  const ClusterSpec base = load_cluster_spec("reference-star", {"network.bandwidth=10Gbps"});
  const ClusterSpec fitted = with_link(base, link, LinkClass::network, "mine", "ring.log");
  EXPECT_EQ(fitted.network.bandwidth, 1.25e9);
  EXPECT_NEAR(fitted.network.efficiency, 0.88, 1e-6);
  ClusterSpec again = read_cluster(write_cluster(fitted), "mine.json");
  again.file = fitted.file;
  EXPECT_EQ(again.network, fitted.network);
  EXPECT_NEAR(seconds_over(link, ring.log, 1e6), ring.fit.seconds(1e6), 1e-9);
  EXPECT_NEAR(mean_error_over(link, ring.log), 0, 1e-9);
  ring.log.ranks.reset();
  EXPECT_THAT([&] { link_of(ring); }, ThrowsMessage<InputError>(HasSubstr("--ranks")));
}

TEST(NetworkLink, LatencyAndBandwidthTestsGiveTheOverheadPerMessage) {
  const FittedLog latency = pairs(law(20e-6, 1e-9, 8, 1 << 22), "latency");
  const FittedLog bandwidth =
      fitted(MessagePattern::bandwidth, {}, law(2e-6, 0.8e-9, 8, 1 << 22), "bandwidth");
  const FittedLink link = link_of(latency, &bandwidth);
  EXPECT_NEAR(link.overhead_s, 2e-6, 1e-10);
  EXPECT_NEAR(*link.latency_s, 18e-6, 1e-10);
  EXPECT_NEAR(link.bandwidth, 1 / 0.8e-9, 1e4);
}

TEST(NetworkLink, TimesThatDoNotGrowAreRefused) {
  const FittedLog flat = pairs({{1e6, 3e-3}, {2e6, 2.5e-3}, {4e6, 2e-3}}, "flat.csv");
  EXPECT_THAT([&] { link_of(flat); }, ThrowsMessage<InputError>(HasSubstr("flat.csv")));
}

TEST(NetworkLink, BandwidthAloneKeepsTheLatencyOfTheBase) {
  const FittedLog bandwidth =
      fitted(MessagePattern::bandwidth, {}, law(2e-6, 1e-9, 8, 1 << 22), "osu_bw");
  const FittedLink link = link_of(bandwidth);
  EXPECT_FALSE(link.latency_s);
  const ClusterSpec base = load_cluster_spec("16x1-1080ti-10gbe");
  const ClusterSpec made = with_link(base, link, LinkClass::network, "mine", "osu_bw");
  EXPECT_EQ(made.network.latency, base.network.latency);
  EXPECT_NEAR(made.network.overhead, 2e-6, 1e-10);
  EXPECT_TRUE(made.sources.contains("network.latency"));
  EXPECT_TRUE(made.sources.contains("network.overhead, network.efficiency"));
}

TEST(NetworkLink, SourcesOfWhatIsReplacedGo) {
  const FittedLink link = link_of(pairs(law(43e-6, 1e-9, 8, 1 << 26), "pairs.log"));
  const ClusterSpec made = with_link(load_cluster_spec("16x1-1080ti-10gbe"), link,
                                     LinkClass::network, "mine", "pairs.log");
  EXPECT_FALSE(made.sources.contains("network.latency, network.efficiency"));
  EXPECT_THAT(made.sources.at("network.latency, network.overhead, network.efficiency"),
              HasSubstr("measured: pairs.log"));
  EXPECT_TRUE(made.sources.contains("network.switch_latency"));
  const ClusterSpec star =
      with_link(load_cluster_spec("reference-star"), link, LinkClass::network, "mine", "pairs.log");
  EXPECT_FALSE(star.sources.contains("network"));
  EXPECT_THAT(star.sources.at("network.bandwidth, network.topology"), HasSubstr("chosen"));
}

TEST(NetworkLink, LinksInsideANodeGetHalfOfTheLatencyEach) {
  const FittedLink link = link_of(pairs(law(10e-6, 1e-10, 8, 1 << 26), "pairs.log"));
  const ClusterSpec base = load_cluster_spec("2x8-1080ti-10gbe");
  const ClusterSpec made = with_link(base, link, LinkClass::pcie, "mine", "pairs.log");
  EXPECT_EQ(made.network, base.network);
  const LinkSpec& pcie = made.nodes[0].pcie;
  EXPECT_NEAR(pcie.latency, 5e-6, 1e-11);
  EXPECT_NEAR(pcie.bandwidth * pcie.efficiency, 1e10, 1e4);
  EXPECT_TRUE(base.nodes[0].roots && !made.nodes[0].roots);  // the log's ring has crossed them
  EXPECT_FALSE(made.sources.contains("nodes.roots"));
  EXPECT_THAT(made.sources.at("nodes.pcie"), HasSubstr("pairs.log"));
  EXPECT_THAT([&] { with_link(base, link, LinkClass::nvlink, "mine", "pairs.log"); },
              ThrowsMessage<InputError>(HasSubstr("there is no nvlink")));
}

TEST(NetworkLink, APlatformFileKeepsItsNetwork) {
  const FittedLink link = link_of(pairs(law(10e-6, 1e-10, 8, 1 << 26), "pairs.log"));
  ClusterSpec base = load_cluster_spec("16x1-1080ti-10gbe");
  const Json topology{{"kind", "xml"}, {"file", "two-sites.xml"}};
  base.network.topology = read_topology(ObjectReader(topology, "test"));
  base.file = "two-sites.json";
  EXPECT_THAT([&] { with_link(base, link, LinkClass::network, "mine", "pairs.log"); },
              ThrowsMessage<InputError>(HasSubstr("two-sites.json: $.network.topology")));
}

TEST(ShippedNetworkFits, DescribeTheDataTheyComeFrom) {
  EXPECT_GE(shipped_network_fits().size(), 39);
  // 64.5 M floats on four GPUs took 35.1 ms.
  const ShippedFit four = shipped_network_fit("DeepBench 1080Ti x4");
  EXPECT_NEAR(four.fitted.fit.seconds(4 * 64.5e6), 35.1e-3, 4e-3);
  EXPECT_EQ(four.fitted.log.ranks, 4);
  EXPECT_EQ(four.fitted.fit.segments.size(), 1);
  EXPECT_THAT([] { shipped_network_fit("DeepBench 1080Ti x5"); },
              ThrowsMessage<InputError>(HasSubstr("did you mean 'DeepBench 1080Ti x")));
}

// gpu.md 4.3: from 16 GPUs on, 16.8 M floats and more go another way.
TEST(ShippedNetworkFits, TheSlowAlgorithmFromSixteenGpusOnIsFound) {
  for (const char* name : {"DeepBench 1080Ti x16", "DeepBench 1080Ti x32"}) {
    const TransferFit fit = shipped_network_fit(name).fitted.fit;
    ASSERT_EQ(fit.segments.size(), 2) << name;
    EXPECT_EQ(fit.segments[1].from_bytes, 4.0 * 16777216) << name;
    for (const TransferSegment& segment : fit.segments)
      EXPECT_LT(segment.worst_error, 0.35 * fit.one_law.worst_error) << name;
  }
}

TEST(ShippedNetworkFits, EveryPublishedFitIsThereWithItsRanks) {
  EXPECT_EQ(shipped_network_fit("NCCL 10GbE 8 nodes").fitted.log.ranks, 8);
  const FittedLink pair = link_of(shipped_network_fit("1GbE point-to-point").fitted);
  EXPECT_NEAR(*pair.latency_s, 436e-6, 1e-12);
  // gTop-k: an all-gather of n bytes on 16 workers takes 11 ms + 1.7e-8 n; a ring has 15 steps.
  const FittedLog gather = shipped_network_fit("1GbE sparse all-gather P102-100 x16").fitted;
  EXPECT_EQ(gather.log.kind, MessagePattern::all_gather);
  EXPECT_NEAR(*link_of(gather).latency_s, 0.011 / 15, 1e-9);
  EXPECT_NEAR(link_of(gather).bandwidth, 15.0 / 16 / 1.7e-8, 1);
  shipped_network_fit("1GbE sparse all-gather P102-100 x16, later fit");
}

TEST(ShippedNetworkFits, ContentionIsFittedToSixteenPoints) {
  const ShippedContention contention = shipped_contention();
  EXPECT_EQ(contention.samples.size(), 16);
  EXPECT_GT(contention.eta_s_per_byte, 0);
  EXPECT_LT(contention.mean_error, 0.5 * contention.mean_error_without);
}

}  // namespace
}  // namespace paceline
