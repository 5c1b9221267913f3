#include "calibrate/network_fit.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.hpp"
#include "platforms/cluster_file.hpp"

namespace paceline {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<TransferSample> law(double alpha, double beta, double from, double to) {
  std::vector<TransferSample> samples;
  for (double bytes = from; bytes <= to; bytes *= 2)
    samples.push_back({bytes, alpha + beta * bytes});
  return samples;
}

TEST(NetworkFit, OneLawComesBackExactly) {
  const TransferFit fit = fit_transfers(law(50e-6, 1e-9, 8, 1 << 26), "test");
  ASSERT_EQ(fit.segments.size(), 1);
  EXPECT_NEAR(fit.segments[0].alpha_s, 50e-6, 1e-12);
  EXPECT_NEAR(fit.segments[0].beta_s_per_byte, 1e-9, 1e-17);
  EXPECT_LT(fit.segments[0].worst_error, 1e-9);
}

TEST(NetworkFit, NoiseAloneMakesNoSecondSegment) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(1, 0.03);
    auto samples = law(50e-6, 1e-9, 8, 1 << 26);
    for (TransferSample& sample : samples) sample.seconds *= noise(random);
    const TransferFit fit = fit_transfers(samples, "test");
    EXPECT_EQ(fit.segments.size(), 1) << seed;
    EXPECT_NEAR(fit.segments[0].alpha_s, 50e-6, 5e-6);
    EXPECT_NEAR(fit.segments[0].beta_s_per_byte, 1e-9, 1e-10);
  }
}

TEST(NetworkFit, AProtocolSwitchMakesTwo) {
  auto samples = law(5e-6, 2e-9, 8, 1 << 14);
  for (const TransferSample& large : law(40e-6, 1e-10, 1 << 15, 1 << 26)) samples.push_back(large);
  const TransferFit fit = fit_transfers(samples, "test");
  ASSERT_EQ(fit.segments.size(), 2);
  EXPECT_EQ(fit.segments[0].to_bytes, 1 << 14);
  EXPECT_NEAR(fit.segments[0].alpha_s, 5e-6, 1e-10);
  EXPECT_NEAR(fit.segments[1].beta_s_per_byte, 1e-10, 1e-15);
  for (const TransferSample& sample : samples)
    EXPECT_NEAR(fit.seconds(sample.bytes) / sample.seconds, 1, 1e-6) << sample.bytes;
}

TEST(NetworkFit, NeitherLatencyNorBandwidthBecomesNegative) {
  const TransferFit fit = fit_transfers({{1e6, 1e-3}, {2e6, 2.5e-3}, {4e6, 6e-3}}, "test");
  EXPECT_EQ(fit.segments[0].alpha_s, 0);
  const TransferFit flat = fit_transfers({{1e6, 3e-3}, {2e6, 2.5e-3}, {4e6, 2e-3}}, "test");
  EXPECT_EQ(flat.segments[0].beta_s_per_byte, 0);
  TransferLog log{TransferKind::point_to_point, {}, {}, "flat.csv"};
  EXPECT_THAT([&] { link_of(log, flat); }, ThrowsMessage<InputError>(HasSubstr("flat.csv")));
}

TEST(NetworkFit, OneSizeIsRefused) {
  EXPECT_THAT(
      [] {
        fit_transfers({{8, 1e-6}, {8, 2e-6}}, "log.txt");
      },
      ThrowsMessage<InputError>(HasSubstr("log.txt: a fit of latency and bandwidth")));
}

TEST(NetworkFit, ContentionComesBack) {
  std::vector<ContentionSample> samples;
  for (int jobs = 1; jobs <= 8; ++jobs)
    samples.push_back({double(jobs), 1e7, 1e-4 + 9e-9 * jobs * 1e7 + 2e-9 * (jobs - 1) * 1e7});
  EXPECT_NEAR(fit_contention(samples, 1e-4, 9e-9), 2e-9, 1e-15);
  EXPECT_THROW(fit_contention({{1, 1e6, 1}}, 0, 0), InputError);
}

TEST(NetworkFit, ARingGivesItsLinksAndTheClusterKeepsItsLineRate) {
  const int ranks = 8;
  const double latency = 43e-6, bandwidth = 1.1e9;
  TransferLog log{TransferKind::all_reduce, ranks, {}, "ring.log"};
  log.samples = law(14 * latency, 14.0 / 8 / bandwidth, 1e3, 1e9);
  const FittedLink link = link_of(log, fit_transfers(log.samples, "ring"));
  EXPECT_NEAR(link.latency_s, latency, 1e-9);
  EXPECT_NEAR(link.bandwidth, bandwidth, 1e3);
  const ClusterSpec base = load_cluster_spec("reference-star", {"network.bandwidth=10Gbps"});
  const ClusterSpec fitted = with_link(base, link, "mine", "ring.log");
  EXPECT_EQ(fitted.network.bandwidth, 1.25e9);
  EXPECT_NEAR(fitted.network.efficiency, 0.88, 1e-6);
  ClusterSpec again = read_cluster(write_cluster(fitted), "mine.json");
  again.file = fitted.file;
  EXPECT_EQ(again.network, fitted.network);
  log.ranks.reset();
  EXPECT_THAT([&] { link_of(log, fit_transfers(log.samples, "ring")); },
              ThrowsMessage<InputError>(HasSubstr("--ranks")));
}

TEST(NetworkFit, LatencyAndBandwidthTestsGiveTheOverheadPerMessage) {
  TransferLog log{TransferKind::point_to_point, {}, {}, "osu"};
  const TransferFit latency = fit_transfers(law(20e-6, 1e-9, 8, 1 << 22), "latency");
  const TransferFit bandwidth = fit_transfers(law(2e-6, 0.8e-9, 8, 1 << 22), "bandwidth");
  const FittedLink link = link_of(log, latency, &bandwidth);
  EXPECT_NEAR(link.overhead_s, 2e-6, 1e-10);
  EXPECT_NEAR(link.latency_s, 18e-6, 1e-10);
  EXPECT_NEAR(link.bandwidth, 1 / 0.8e-9, 1e4);
}

const std::string kNccl =
    "# Collective test starting: all_reduce_perf\n"
    "# nThread 1 nGpus 4 minBytes 8 maxBytes 128 step: 2(factor)\n"
    "#  Rank  0 Group  0 Pid 1 on a device  0 [0x00] T4\n"
    "#  Rank  1 Group  0 Pid 1 on a device  1 [0x00] T4\n"
    "#                                    out-of-place                       in-place\n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong     time"
    "   algbw   busbw #wrong\n"
    "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)"
    "  (GB/s)  (GB/s)\n"
    "           0             0     float     sum      -1     0.10    0.00    0.00      0     0.10 "
    "   0.00    0.00      0\n"
    "     1048576        262144     float     sum      -1    215.4    4.87    4.87      0    214.9 "
    "   4.88    4.88      0\n"
    "     2097152        524288     float     sum      -1    415.2    5.05    5.05      0    414.1 "
    "   5.06    5.06      0\n";
const std::string kNcclEnd = "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 3.97\n";

TEST(TransferLog, NcclTestsAreRead) {
  const std::vector<TransferLog> logs = parse_transfer_log(kNccl + kNcclEnd, "log");
  ASSERT_EQ(logs.size(), 1);
  EXPECT_EQ(logs[0].kind, TransferKind::all_reduce);
  EXPECT_EQ(logs[0].ranks, 2);
  ASSERT_EQ(logs[0].samples.size(), 2);
  EXPECT_EQ(logs[0].samples[1].bytes, 2097152);
  EXPECT_THAT(logs[0].samples[1].seconds, DoubleNear(415.2e-6, 1e-12));
}

void expect_refused(const std::string& text, const std::string& message) {
  EXPECT_THAT([&] { parse_transfer_log(text, "log"); },
              ThrowsMessage<InputError>(HasSubstr(message)))
      << text;
}

TEST(TransferLog, DamagedNcclLogsAreRefusedWithTheirLine) {
  expect_refused(kNccl, "log:10: the log is cut off");
  expect_refused(kNccl.substr(0, kNccl.size() - 20), "log:10: 10 columns, expected 13");
  std::string wrong = kNccl + kNcclEnd;
  wrong.replace(wrong.find("4.87      0") + 10, 1, "3");
  expect_refused(wrong, "log:9: the result was wrong in 3 places");
  std::string nan = kNccl + kNcclEnd;
  nan.replace(nan.find("215.4"), 5, "  nan");
  expect_refused(nan, "log:9: expected a positive time, found 'nan'");
  std::string other = kNccl + kNcclEnd;
  other.replace(other.find("all_reduce_perf"), 15, "broadcast_perf ");
  expect_refused(other, "log:1: 'broadcast_perf' is not used");
}

TEST(TransferLog, OsuBenchmarksAreRead) {
  const auto latency = parse_transfer_log(
      "# OSU MPI Latency Test v5.9\n# Size          Latency (us)\n0  1.5\n8  2.0\n1024  3.5\n",
      "l");
  EXPECT_EQ(latency[0].kind, TransferKind::point_to_point);
  ASSERT_EQ(latency[0].samples.size(), 2);
  EXPECT_THAT(latency[0].samples[1].seconds, DoubleNear(3.5e-6, 1e-15));
  const auto bandwidth = parse_transfer_log(
      "# OSU MPI Bandwidth Test v5.9\n# Size      Bandwidth (MB/s)\n1000   500\n2000  800\n", "b");
  EXPECT_EQ(bandwidth[0].kind, TransferKind::bandwidth);
  EXPECT_THAT(bandwidth[0].samples[0].seconds, DoubleNear(2e-6, 1e-15));
  const auto reduce = parse_transfer_log(
      "# OSU MPI Allreduce Latency Test v5.9\n# Size   Avg Latency(us)   Min Latency(us)   Max "
      "Latency(us)  Iterations\n4  10.0  9.0  11.0  1000\n8  11.0  9.5  12.0 1000\n",
      "r", {}, 16);
  EXPECT_EQ(reduce[0].kind, TransferKind::all_reduce);
  EXPECT_EQ(reduce[0].ranks, 16);
}

TEST(TransferLog, DamagedOsuLogsAreRefusedWithTheirLine) {
  expect_refused("# OSU MPI Latency Test v5.9\n# Size   Latency (us)\n8  2.0\n16\n",
                 "log:4: 1 columns, expected 2");
  expect_refused("# OSU MPI Latency Test v5.9\n# Size   Bandwidth (MB/s)\n8  2.0\n", "log:2: ");
  expect_refused("# OSU MPI Bcast\n", "log:1: expected osu_latency");
  expect_refused("# OSU MPI Latency Test v5.9\n", "log: there are no measurements");
  expect_refused("hello\n", "log:1: expected the output of nccl-tests");
}

TEST(TransferLog, CsvIsReadByRanksAndRefused) {
  const auto logs =
      parse_transfer_log("bytes,seconds,ranks\n8,1e-6,2\n16,2e-6,2\n8,3e-6,4\n", "t.csv");
  ASSERT_EQ(logs.size(), 2);
  EXPECT_EQ(logs[0].ranks, 2);
  EXPECT_EQ(logs[0].samples.size(), 2);
  EXPECT_EQ(logs[1].ranks, 4);
  expect_refused("bytes,time\n8,1e-6\n", "log:1: expected the columns bytes, seconds");
  expect_refused("bytes,seconds\n8,nan\n", "log:2: expected a positive time, found 'nan'");
  expect_refused("bytes,seconds\n8,1e-6\n16\n", "log:3: 1 fields");
  EXPECT_THAT([] { read_transfer_log("/nonexistent.log"); },
              ThrowsMessage<InputError>(HasSubstr("cannot be read: No such file")));
}

TEST(ShippedNetworkFits, DescribeTheDataTheyComeFrom) {
  const std::vector<ShippedFit> fits = shipped_network_fits();
  EXPECT_GE(fits.size(), 30);
  bool found = false;
  for (const ShippedFit& shipped : fits) {
    if (shipped.name != "DeepBench 1080Ti x4") continue;
    found = true;
    // 64.5 M floats on four GPUs took 35.1 ms.
    EXPECT_NEAR(shipped.fit.seconds(4 * 64.5e6), 35.1e-3, 4e-3);
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace paceline
