// paceline-calibrate network and import as a user meets them.
#include "base/json.hpp"
#include "calibrate_cli.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kBandwidth =
    "# OSU MPI Bandwidth Test v5.9\n# Size      Bandwidth (MB/s)\n1000   500\n100000  900\n"
    "1000000  1000\n";
constexpr const char* kLatency =
    "# OSU MPI Latency Test v5.9\n# Size          Latency (us)\n8  20.0\n1024  21.0\n"
    "1048576  1000.0\n";
constexpr const char* kRing =
    "bytes,seconds,ranks\n1000,1e-4,4\n1000000,1e-3,4\n"
    "1000,2e-4,8\n1000000,1.4e-3,8\n";

TEST_F(CalibrateCli, BandwidthAloneKeepsTheLatencyOfTheBase) {
  write("bw.txt", kBandwidth);
  ASSERT_EQ(calibrate("network bw.txt --base 16x1-1080ti-10gbe --out new.json"), 0) << read("err");
  EXPECT_THAT(read("out"), HasSubstr("latency: the log has none; that of 16x1-1080ti-10gbe stays"));
  EXPECT_EQ(Json::parse(read("new.json")).at("network").at("latency"), "43us");
}

// The whole run as its receiver sees it, whatever else the program prints.
TEST_F(CalibrateCli, OneBandwidthMakesANetwork) {
  write("perftest.txt",
        "                    RDMA_Write BW Test\n Dual-port       : OFF\n"
        " #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   MsgRate[Mpps]\n"
        " 65536      5000             1130.94            1100.00              0.017600\n");
  write("gbits.txt",
        " #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]\n"
        " 65536      5000             9.50               9.20                 0.017548\n");
  write("iperf.txt",
        "[  3]  0.0- 1.0 sec  1.00 GBytes  8.59 Gbits/sec\n"
        "[  3]  0.0-10.0 sec  10.9 GBytes  9.20 Gbits/sec\n");
  write("iperf3.txt",
        "[ ID] Interval           Transfer     Bitrate         Retr\n"
        "[  5]   0.00-1.00   sec  1.09 GBytes  9.40 Gbits/sec    0\n"
        "[SUM]   0.00-10.00  sec  10.9 GBytes  9.37 Gbits/sec    0             sender\n"
        "[  5]   0.00-10.04  sec  5.4 GBytes  4.60 Gbits/sec                  receiver\n"
        "[SUM]   0.00-10.04  sec  10.9 GBytes  9.20 Gbits/sec                  receiver\n");
  write("iperf3.json", R"({"start": {}, "intervals": [],
    "end": {"sum_sent": {"bits_per_second": 9.37e9}, "sum_received": {"bits_per_second": 9.2e9}}})");
  for (const std::string log : {"perftest", "gbits", "iperf", "iperf3"}) {
    ASSERT_EQ(calibrate("network " + log + ".txt --base 16x1-1080ti-10gbe --out new.json"), 0)
        << read("err");
    const Json network = Json::parse(read("new.json")).at("network");
    const double bits = log == "perftest" ? 1100.0 * 1048576 * 8 : 9.2e9;
    EXPECT_NEAR(network.at("efficiency").get<double>(), bits / 1e10, 1e-6) << log;
    EXPECT_EQ(network.at("latency"), "43us") << log;
    EXPECT_THAT(read("out"), HasSubstr("latency and overhead: the log has none")) << log;
    std::filesystem::remove(folder_ / "new.json");
  }
  ASSERT_EQ(calibrate("network iperf3.json --json"), 0) << read("err");
  EXPECT_NEAR(Json::parse(read("out")).at("link").at("bandwidth").get<double>(), 1.15e9, 1);
  write("lat.txt",
        " #bytes #iterations    t_min[usec]    t_max[usec]\n 2       1000          1.0   2.0\n");
  refuses("network lat.txt", "lat.txt:1: expected 'BW average' among the columns");
  write("failed.json", R"({"start": {}, "end": {}, "error": "unable to connect"})");
  refuses("network failed.json", "iperf3 failed: \"unable to connect\"");
}

TEST_F(CalibrateCli, APlatformFileGetsNoFittedNetwork) {
  write("lat.txt", kLatency);
  write("p.xml", "<platform version=\"4.1\"/>");
  write("xml.json", R"({"format": "paceline-cluster-1", "name": "x",
    "nodes": [{"count": 2, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"}],
    "network": {"topology": {"kind": "xml", "file": "p.xml"}}})");
  refuses("network lat.txt --base xml.json --out new", "xml.json: $.network.topology: ");
}

TEST_F(CalibrateCli, AClassOfLinksIsChosen) {
  write("lat.txt", kLatency);
  ASSERT_EQ(calibrate("network lat.txt --base 2x8-1080ti-10gbe --link pcie --out new.json"), 0)
      << read("err");
  const Json made = Json::parse(read("new.json"));
  EXPECT_THAT(made.at("sources").at("nodes.pcie").get<std::string>(), HasSubstr("lat.txt"));
  EXPECT_EQ(made.at("network").at("latency"), "43us");
  std::filesystem::remove(folder_ / "new.json");
  refuses("network lat.txt --base 2x8-1080ti-10gbe --link nvlink --out new", "there is no nvlink");
  refuses("network lat.txt --base 2x8-1080ti-10gbe --link pice --out new", "did you mean 'pcie'");
}

TEST_F(CalibrateCli, RanksAreNeverIgnored) {
  write("ring.csv", kRing);
  write("lat.txt", kLatency);
  refuses("network ring.csv --ranks 0", "--ranks: expected 2 or more, found 0");
  refuses("network ring.csv --ranks -3", "--ranks: expected 2 or more, found -3");
  refuses("network ring.csv --ranks 7", "ring.csv: its all-reduces are of 4, 8 ranks, not of 7");
  refuses("network lat.txt --ranks 4", "there is none in these logs");
  ASSERT_EQ(calibrate("network ring.csv"), 0);
  EXPECT_THAT(read("out"), HasSubstr("ring.csv (8 ranks): read as a ring of 14 steps"));
  EXPECT_THAT(read("out"), HasSubstr("ring.csv (4 ranks): only compared; that link misses it by"));
  ASSERT_EQ(calibrate("network ring.csv --ranks 4"), 0);
  EXPECT_THAT(read("out"), Not(HasSubstr("8 ranks")));
}

// What is printed is what the written cluster does: the rest of the base is on the way too.
TEST_F(CalibrateCli, TheWrittenClusterIsHeldAgainstTheLog) {
  write("ring.csv", kRing);
  ASSERT_EQ(calibrate("network ring.csv --ranks 8 --base 16x1-1080ti-10gbe --out a.json --json"), 0)
      << read("err");
  const Json good = Json::parse(read("out")).at("written");
  EXPECT_EQ(good.at("gpus"), "one GPU of each of 8 nodes");
  EXPECT_LT(good.at("mean_error"), 0.15);
  EXPECT_THAT(Json::parse(read("a.json")).at("sources").dump(), HasSubstr("misses the log by"));
  // Several rails at once: no single GPU's PCIe carries that.
  write("rails.csv",
        "bytes,seconds,ranks\n8192,9e-5,16\n33554432,7.9e-4,16\n"
        "268435456,5.7e-3,16\n");
  ASSERT_EQ(calibrate("network rails.csv --base 16x1-1080ti-10gbe --out b.json"), 0);
  EXPECT_THAT(read("out"), HasSubstr("at 268.4 MB"));
  EXPECT_THAT(read("out"), HasSubstr("WARNING: this cluster does not do what the log says: gpu"));
  EXPECT_THAT(read("out"), HasSubstr("and the log needs"));
}

// Two nodes of eight GPUs and eight NICs: most hops of the ring stay inside a node, and what goes
// between the nodes goes through all NICs.
TEST_F(CalibrateCli, AClusterOfRailsDoesWhatItsLogSays) {
  write("base.json", R"({"format": "paceline-cluster-1", "name": "rails",
    "nodes": [{"count": 2, "gpus": 8, "gpu": "A100 SXM 80GB",
               "pcie": {"bandwidth": "31.5GB/s", "efficiency": 0.8, "overhead": "5us"},
               "nvlink": {"bandwidth": "300GB/s", "overhead": "2us"}}],
    "network": {"bandwidth": "100Gbps", "latency": "5us",
                "topology": {"kind": "rails", "count": 8}}})");
  write("rails.csv",
        "bytes,seconds,ranks\n8192,90.17e-6,16\n65536,91.37e-6,16\n524288,100.92e-6,16\n"
        "4194304,177.38e-6,16\n33554432,789.05e-6,16\n268435456,5682.41e-6,16\n");
  ASSERT_EQ(calibrate("network rails.csv --base base.json --out mine.json --json"), 0)
      << read("err");
  const Json written = Json::parse(read("out")).at("written");
  EXPECT_EQ(written.at("gpus"), "its first 16 GPUs");
  EXPECT_LT(written.at("mean_error"), 0.1);
  const Json network = Json::parse(read("mine.json")).at("network");
  EXPECT_EQ(network.at("bandwidth"), "100Gbps");
  EXPECT_NEAR(network.at("efficiency").get<double>(), 90e9 / 8 / 12.5e9, 1e-3);
  write("t.json", R"({"format": "paceline-model-1", "name": "t",
    "tensors": [{"name": "t", "elements": 67108864}]})");
  ASSERT_EQ(
      shell("'" PACELINE_BINARY "' run -m t.json -b 1 -c mine.json -s s-sgd:overlap=none --json"),
      0)
      << read("err");
  const Json time = Json::parse(read("out")).at("time");
  EXPECT_NEAR(time.at("exposed_communication_s").get<double>(), 5682.41e-6, 0.03 * 5682.41e-6);
}

TEST_F(CalibrateCli, ContentionIsCheckedLineByLine) {
  write("ring.csv", kRing);
  const auto refused = [&](const std::string& row, const std::string& message) {
    write("jobs.csv", "jobs,bytes,seconds\n1,1000000,1e-3\n" + row + "\n");
    refuses("network ring.csv --contention jobs.csv", message);
  };
  refused("0,1000000,1", "jobs.csv:3: expected a whole number of 1 or more in column 'jobs'");
  refused("2,1000000,-1", "jobs.csv:3: expected 1 ns to one day in column 'seconds'");
  refused("2,0,1", "jobs.csv:3: expected 1 byte to 1 PB in column 'bytes'");
  refused("1,1000000,1", "contention needs times with two jobs or more");
}

TEST_F(CalibrateCli, ShippedFitsMakeClusters) {
  ASSERT_EQ(calibrate("network --shipped"), 0);
  for (const char* name : {"1GbE point-to-point", "1GbE sparse all-gather P102-100 x16, later fit",
                           "contention, 1GbE, 20 MiB", "DeepBench 1080Ti x16"})
    EXPECT_THAT(read("out"), HasSubstr(name));
  ASSERT_EQ(
      calibrate("network --shipped 'NCCL 10GbE 4 nodes' --base 16x1-1080ti-1gbe --out a.json"), 0)
      << read("err");
  const Json made = Json::parse(read("a.json"));
  EXPECT_THAT(made.at("network").at("latency").get<std::string>(), HasSubstr("43.3"));
  EXPECT_THAT(made.at("sources").dump(), HasSubstr("published fit: NCCL 10GbE 4 nodes"));
  refuses("network --shipped 'NCCL 10GbE 4 node' --base 16x1-1080ti-1gbe --out new",
          "did you mean 'NCCL 10GbE 4 nodes'");
  refuses("network --shipped --base 16x1-1080ti-1gbe --out new", "which shipped fit");
  refuses("network --shipped NCCL x.log", "takes the place of logs");
}

TEST_F(CalibrateCli, CompressedFilesAreNamed) {
  write("log.gz", "\x1f\x8b rest");
  refuses("network log.gz", "log.gz: is compressed with gzip, and is damaged");
  refuses("import log.gz --model lenet5 --batch 2 --device V100 --out new", "compressed with gzip");
}

constexpr const char* kTimes =
    "operation,forward_s,backward_s\nconv1,1e-6,2e-6\ntanh1,1e-6,2e-6\npool1,1e-6,2e-6\n"
    "conv2,1e-6,2e-6\ntanh2,1e-6,2e-6\npool2,1e-6,2e-6\nfc1,1e-6,2e-6\ntanh3,1e-6,2e-6\n"
    "fc2,1e-6,2e-6\ntanh4,1e-6,2e-6\nfc3,1e-6,2e-6\nloss,1e-6,2e-6\n";

TEST_F(CalibrateCli, AnImportedProfileSaysWhereItComesFrom) {
  write("times.CSV", kTimes);
  ASSERT_EQ(calibrate("import times.CSV --model lenet5 --batch 16 --device T4 --out p.json"), 0)
      << read("err");
  const Json profile = Json::parse(read("p.json"));
  EXPECT_EQ(profile.at("metadata").at("source_file"), "times.CSV");
  EXPECT_THAT(profile.at("metadata").at("source_hash").get<std::string>(), HasSubstr("fnv1a64:"));
  EXPECT_EQ(profile.at("metadata").at("date").get<std::string>().size(), 20U);
  EXPECT_THAT(profile.at("software").at("tool").get<std::string>(),
              HasSubstr("paceline-calibrate "));
  refuses("check p.json", "the profile is of 'T4'");  // and this is no T4
}

TEST_F(CalibrateCli, AModelOfTheUsersOwnIsImportedAndMeasured) {
  write(
      "tiny.json",
      R"({"format": "paceline-model-1", "name": "tiny-net", "tensors": [{"name": "a", "elements": 40},
            {"name": "b", "elements": "2k"}]})");
  write("times.csv", "operation,forward_s,backward_s\na,1e-6,2e-6\nb,1e-6,2e-6\n");
  ASSERT_EQ(calibrate("import times.csv --model tiny.json --batch 4 --device T4 --out p.json"), 0)
      << read("err");
  EXPECT_EQ(Json::parse(read("p.json")).at("model"), "tiny-net");
  refuses("check p.json", "unknown model 'tiny-net'");
  refuses("check p.json --model tiny.json", "the profile is of 'T4'");
  refuses("check p.json --model lenet5", "it is of the model 'tiny-net', not of 'lenet5'");
}

TEST_F(CalibrateCli, ImportOptionsThatNobodyCouldReadAreRefused) {
  write("times.csv", kTimes);
  const std::string command = "import times.csv --model lenet5 --batch 16 --out new ";
  for (const char* uncertainty : {"-1", "nan", "inf", "11"})
    refuses(command + "--device T4 --uncertainty " + uncertainty,
            "the uncertainty must be 0 to 10");
  refuses(command + "--device T4 --precision fp99", "unknown precision 'fp99'");
  refuses(command + "--device ''", "the device must have a name");
}

// The commands of the two pages, from top to bottom; a text block shows what the one before prints.
TEST_F(CalibrateCli, TheGuidesCommandsPrintWhatItShows) {
  for (const char* page : {"network.md", "import.md"}) {
    std::ifstream stream(std::filesystem::path(PACELINE_SOURCE_DIR) / "docs" / page);
    std::string line, kind, block;
    int shown = 0;
    while (std::getline(stream, line)) {
      if (kind.empty()) {
        if (line.starts_with("```")) kind = line, block.clear();
        continue;
      }
      if (line != "```") {
        block += line + "\n";
        continue;
      }
      if (kind == "```sh") {
        write("commands.sh",
              "set -e\nPATH=$(dirname '" PACELINE_CALIBRATE_BINARY "'):$PATH\n" + block);
        EXPECT_EQ(shell("sh commands.sh"), 0) << block << read("err");
      } else if (kind == "```text") {
        EXPECT_EQ(read("out"), block) << page;
        ++shown;
      }
      kind.clear();
    }
    EXPECT_GE(shown, 1) << page;
  }
}

}  // namespace
}  // namespace paceline
