// What nobody meant to ask: sizes, depths and values that end a program that trusts its input.
#include "base/json.hpp"
#include "tests/cli/cli.hpp"

namespace paceline {
namespace {

TEST_F(Cli, NumbersOfOptionsBeyondTheirRange) {
  for (const char* option : {"-b", "--seed", "--steps", "--accumulation", "--threads"})
    refuses(base_ + option + " 99999999999999999999", "is beyond the range of whole numbers");
  refuses(base_ + "--steps 0x10", "expected a whole number, found '0x10'");
  refuses(base_ + "--steps 1.5", "expected a whole number, found '1.5'");
  EXPECT_EQ(paceline("run -m lenet5 -b 010 -c 16x1-1080ti-10gbe --steps 2 --json").out,
            paceline("run -m lenet5 -b 10 -c 16x1-1080ti-10gbe --steps 2 --json").out);
  refuses(base_ + "--set 'nodes[18446744073709551616].count=2'",
          "element 18446744073709551616 of an array of 1");
  refuses(base_ + "--set 'nodes[0x].count=2'", "'0x' is not the number of an element");
  refuses(base_ + "--jitter gamma:1e-320", "must be between 0.0001 and 10");
  refuses(base_ + "--jitter lognormal:12", "must be between 0.0001 and 10");
  refuses(base_ + "--jitter lognormal", "cv");
  refuses(base_ + "--set nodes[0].speed=5e-324", "$.nodes[0].speed: must be between");
  refuses(base_ + "--set network.efficiency=1e-320", "network.efficiency: must be between");
  refuses(base_ + "--set nodes[0].pcie.efficiency=1e-320", "pcie.efficiency: must be between");
  refuses(base_ + "--set network.latency=1e300s", "network.latency: must be between");
  refuses(base_ + "--set network.bandwidth=1e-300bps",
          "network.bandwidth: must be between 1e-6 B/s and 1e9 TB/s");
}

TEST_F(Cli, FilesThatNoProgramOfOursWrote) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  write("deep.json", deep);
  write("deeper.json", R"({"format": "paceline-experiment-1", "model": )" + deep + "}");
  for (const std::string& arguments :
       {std::string("run deep.json"), std::string("run deeper.json"),
        std::string("run -m deep.json -b 1 -c 16x1-1080ti-10gbe"),
        std::string("run -m lenet5 -b 1 -c deep.json"), base_ + "-p deep.json",
        std::string("plot deep.json -o x.svg")})
    refuses(arguments, "nested more than 200 deep");
  write("large.json", R"({"format": "paceline-experiment-1", "batch": 1e999})");
  refuses("run large.json", "the number 1e999 is too large");
  write("gpus.json", R"({"format": "paceline-experiment-1", "model": "lenet5", "batch": 1,
                         "cluster": "16x1-1080ti-10gbe", "gpus": [9223372036854775808]})");
  refuses("run gpus.json", "$.gpus: expected whole numbers, found 9223372036854775808");
  refuses("run /dev/zero", "is a device, expected a JSON file");
  ASSERT_EQ(shell("mkfifo pipe").code, 0);
  refuses("run ./pipe", "is a pipe, expected a JSON file");
}

TEST_F(Cli, ComparisonsHaveALimit) {
  std::string arguments = "compare -m lenet5 -b 8 -c 16x1-1080ti-10gbe";
  for (const char* key : {"batch", "seed", "steps", "accumulation", "network.latency", "servers"}) {
    arguments += std::string(" --vary ") + key + "=";
    for (int i = 1; i <= 30; ++i) arguments += std::to_string(i) + (i < 30 ? "," : "");
  }
  refuses(arguments, "6 axes make 729000000 combinations; at most 100000");
}

TEST_F(Cli, OutputFilesKeepWhatTheyAre) {
  write("real.json", "old");
  ASSERT_EQ(shell("ln -s real.json link.json && chmod 600 real.json").code, 0);
  ASSERT_EQ(paceline(base_ + "--steps 2 --trace link.json").code, 0);
  EXPECT_TRUE(fs::is_symlink(folder_ / "link.json"));
  EXPECT_TRUE(load_json(folder_ / "real.json").contains("traceEvents"));
  EXPECT_EQ(fs::status(folder_ / "real.json").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_EQ(shell("chmod 400 real.json").code, 0);
  refuses(base_ + "--steps 2 --trace link.json", "the file is read-only");
  refuses(base_ + "--steps 2 --trace .", "is a folder, expected a file");
}

TEST_F(Cli, PlatformFilesWithValuesThatNoLinkHas) {
  write("c.json", R"({"format": "paceline-cluster-1", "name": "x",
    "nodes": [{"count": 2, "gpus": 1, "gpu": "T4", "pcie": "inf"}],
    "network": {"topology": {"kind": "xml", "file": "p.xml"}}})");
  const auto platform = [&](const std::string& bandwidth, const std::string& latency) {
    write("p.xml",
          "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
          "<platform version=\"4.1\"><!-- <link id=\"no\" bandwidth=\"-1GBps\"/> -->"
          "<zone id=\"z\" routing=\"Full\"><host id=\"a\" speed=\"1Gf\"/><host id=\"b\" "
          "speed=\"1Gf\"/><link id=\"wire\" bandwidth=\"" +
              bandwidth + "\" latency=\"" + latency +
              "\"/><route src=\"a\" dst=\"b\"><link_ctn id=\"wire\"/></route></zone></platform>\n");
  };
  const std::string run = "run -m lenet5 -b 8 --steps 2 -c c.json";
  platform("1GBps", "10us");
  EXPECT_EQ(paceline(run).code, 0) << paceline(run).err;
  for (const char* bandwidth : {"-1GBps", "0Bps", "nan", "inf", "nanGBps", "1e999Bps"}) {
    platform(bandwidth, "10us");
    refuses(run, std::string("p.xml: link 'wire': bandwidth '") + bandwidth + "' must be greater");
  }
  for (const char* latency : {"-10ms", "nan", "inf", "nanms"}) {
    platform("1GBps", latency);
    refuses(run, std::string("p.xml: link 'wire': latency '") + latency + "' must be zero or more");
  }
  platform("1furlong", "10us");
  EXPECT_EQ(paceline(run).code, 2);
}

// Once SimGrid's settings were within a file's reach, and its tracing emptied what they named.
TEST_F(Cli, APlatformFileWritesNothing) {
  write("victim.txt", "precious\n");
  write("c.json", R"({"format": "paceline-cluster-1", "name": "x",
    "nodes": [{"count": 2, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"}],
    "network": {"topology": {"kind": "xml", "file": "p.xml"}}})");
  const auto platform = [&](const std::string& config) {
    write("p.xml", "<?xml version='1.0'?>\n<platform version=\"4.1\">" + config +
                       "<zone id=\"z\" routing=\"Full\"><host id=\"a\" speed=\"1Gf\"/><host "
                       "id=\"b\" speed=\"1Gf\"/><link id=\"wire 1\" bandwidth=\"125MBps\" "
                       "latency=\"50us\" sharing_policy=\"SPLITDUPLEX\"/><route src=\"a\" "
                       "dst=\"b\"><link_ctn id=\"wire 1\" direction=\"UP\"/></route></zone>"
                       "</platform>");
  };
  platform("<config><prop id='tracing' value='yes'/><prop id='tracing/filename' value='" +
           (folder_ / "victim.txt").string() + "'/></config>");
  refuses("show c.json", "p.xml: <config> of 'tracing', 'tracing/filename': SimGrid's own");
  EXPECT_EQ(slurp(folder_ / "victim.txt"), "precious\n");
  // 55.3 ms + 46.76 MB at 125 MB/s + 2 x 50 us
  platform("");
  const Outcome run = paceline("run -m resnet18 -b 32 -c c.json -s s-sgd:overlap=none --steps 3");
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("429.5 ms"));
}

TEST_F(Cli, AProfileOfAnotherDeviceIsSaid) {
  const auto warns = [&](const std::string& device) {
    write("p.json", R"({"format": "paceline-profile-1", "source": "measured", "uncertainty": 0.1,
      "model": "lenet5", "batches": [{"batch": 8, "whole_net": {"forward": "1ms",
      "backward": "2ms", "spread": "uniform"}}], "operations": {"launch": "1us",
      "memory_bandwidth": "10GB/s", "select_efficiency": 0.5, "torch_legacy": "1ns",
      "host_bandwidth": "10GB/s", "top_k": "radix_select",
      "host_to_device_pinned": {"latency": "1us", "bandwidth": "10GB/s"},
      "host_to_device_pageable": {"latency": "1us", "bandwidth": "10GB/s"},
      "device_to_host_pinned": {"latency": "1us", "bandwidth": "10GB/s"},
      "device_to_host_pageable": {"latency": "1us", "bandwidth": "10GB/s"}}, "device": ")" +
                        device + "\"}");
    const Outcome run = paceline("run -m lenet5 -b 8 --steps 2 -p p.json -c 16x1-1080ti-10gbe");
    EXPECT_EQ(run.code, 0) << run.err;
    return run.out.find("the profile is of a " + device + ", the cluster has GTX 1080 Ti") !=
           std::string::npos;
  };
  EXPECT_TRUE(warns("AMD EPYC"));
  EXPECT_TRUE(warns("V100"));
  EXPECT_FALSE(warns("GTX 1080 Ti"));
  EXPECT_FALSE(warns("NVIDIA GeForce GTX 1080 Ti"));
}

TEST_F(Cli, CalibrateIsTheProgramBesideIt) {
  const std::string help = paceline("--help").out;
  EXPECT_THAT(help, HasSubstr("\n  calibrate "));
  EXPECT_THAT(help, HasSubstr("paceline calibrate --device cuda:0 --model resnet50 --batch 32"));
  const Outcome own = paceline("calibrate --help");
  EXPECT_EQ(own.code, 0);
  EXPECT_THAT(own.out, HasSubstr("paceline calibrate [OPTIONS]"));
  EXPECT_THAT(own.out, HasSubstr("Examples:\n  paceline calibrate --device"));
  for (const char* command : {"check", "network", "transfer", "import"})
    EXPECT_THAT(own.out, HasSubstr(std::string("\n  ") + command + " "));
  EXPECT_EQ(paceline("calibrate transfer --published --json").out,
            shell("paceline-calibrate transfer --published --json").out);
  refuses("calibrate --device gpu --model lenet5 --batch 2 --out new",
          "paceline calibrate: --device: expected 'cpu' or 'cuda:0'");
  refuses("calibrate check 'no such.json'", "no such.json: there is no such profile file");
  refuses("calibrat --device cpu", "did you mean 'calibrate'");

  // As installed with its bin/ beside the folder, and alone.
  ASSERT_EQ(shell("mkdir lib bin && cp \"$(command -v paceline)\" lib/ && cp \"$(command -v "
                  "paceline-calibrate)\" bin/")
                .code,
            0);
  EXPECT_EQ(shell("lib/paceline calibrate --version").code, 0);
  fs::remove_all(folder_ / "bin");
  const Outcome alone = shell("lib/paceline calibrate --version");
  EXPECT_EQ(alone.code, 1);
  EXPECT_THAT(alone.err, HasSubstr("the program 'paceline-calibrate' is neither in '"));
}

}  // namespace
}  // namespace paceline
