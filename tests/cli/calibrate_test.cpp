// paceline-calibrate as a user meets it: exit codes, one-line messages, nothing half-written.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/json.hpp"
#include "calibrate_cli.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kLenet = R"({"format": "paceline-profile-1", "source": "published",
  "uncertainty": 0.1, "device": "GTX 1080 Ti", "model": "lenet5", "batches": [{"batch": 16,
  "whole_net": {"forward": "@", "backward": "2ms", "spread": "analytic"}}]})";

std::string lenet(const std::string& forward) {
  std::string text = kLenet;
  return text.replace(text.find('@'), 1, forward);
}

TEST_F(CalibrateCli, RefusesAProfileOfAnotherModelAndTimesThatAreNone) {
  write("lenet.json", lenet("1ms"));
  refuses("--device cpu --model resnet20 --batch 2 --out lenet.json", "of model 'lenet5', not");
  EXPECT_EQ(read("lenet.json"), lenet("1ms"));
  write("nan.json", lenet("nanms"));
  refuses("check nan.json", "nan.json: $.batches[0].whole_net.forward");
  EXPECT_EQ(shell("'" PACELINE_BINARY "' run -m resnet50 -b 16 -c 16x1-1080ti-1gbe --profile "
                  "lenet.json"),
            2);
  EXPECT_THAT(read("err"), HasSubstr("lenet5"));
}

TEST_F(CalibrateCli, RefusesNumbersThatMakeNoSense) {
  const std::string measure = "--device cpu --model lenet5 --out new ";
  for (const char* seconds : {"nan", "-1", "inf", "0"})
    refuses(measure + "--batch 2 --seconds=" + seconds, "--seconds");
  for (const char* batch : {"1000000000000", "9223372036854775807"})
    refuses(measure + "--batch " + batch, "needs at least");
  refuses(measure + "--batch 0", "a batch must be 1 or more");
  refuses(measure + "--batch 2 --most-elements 1e30", "--most-elements");
  refuses(measure + "--batch 2 --precision fp16", "there are fp32 and, on a GPU, tf32");
  refuses(measure + "--batch 2 --precision tf32", "tf32 is a GPU's");
  refuses(measure + "--batch 2 --operations-from no.json", "no.json");
}

TEST_F(CalibrateCli, LooksAtItsOutputBeforeItMeasures) {
  const std::string measure = "--device cpu --model lenet5 --batch 2 --seconds 600 --out ";
  refuses(measure + "no/such/folder/x.json", "there is no folder");
  refuses(measure + ".", "not a regular file");
  refuses(measure + "/dev/full", "not a regular file");
  if (shell("command -v flock") != 0) return;
  EXPECT_EQ(shell("flock x.json.lock '" PACELINE_CALIBRATE_BINARY "' " + measure + "x.json"), 2);
  EXPECT_THAT(read("err"), HasSubstr("another paceline-calibrate is measuring into it"));
}

TEST_F(CalibrateCli, ChecksOnlyWhatWasMeasuredHereOrSaysSo) {
  std::string profile = lenet("1ms");
  const auto put = [&](const std::string& from, const std::string& to) {
    profile.replace(profile.find(from), from.size(), to);
  };
  put(R"("batch": 16,)", "");
  write("none.json", profile);
  refuses("check none.json", "states no batch");
  refuses("check none.json --seconds nan", "--seconds");
  profile = lenet("1ms");
  put("published", "measured");
  write("other.json", profile);
  refuses("check other.json", "the profile is of 'GTX 1080 Ti', and this is '");
  write("published.json", lenet("1ms"));
  EXPECT_EQ(calibrate("check published.json --seconds 0.1"), 0) << read("err");
  EXPECT_THAT(read("err"), HasSubstr("published times are compared"));
}

TEST_F(CalibrateCli, RefusesTruncatedFiles) {
  write("cut.json", lenet("1ms").substr(0, 150));
  refuses("check cut.json", "cut.json");
  write("nccl.log",
        "# nThread 1 nGpus 1 minBytes 8\n#\n#       size         count      type   redop\n"
        "        1024           256     float     sum      -1    30");
  refuses("network nccl.log --base 2x8-1080ti-10gbe --out new", "nccl.log");
}

TEST_F(CalibrateCli, RefusesATraceWithoutGpuEvents) {
  write("trace.json", R"({"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::conv2d",
                          "ts": 1, "dur": 5, "pid": 1, "tid": 1}]})");
  refuses("import trace.json --model lenet5 --batch 2 --device V100 --out new",
          "there are no GPU events");
}

TEST_F(CalibrateCli, RefusesDevicesThatAreNotThere) {
  refuses("--device gpu --model lenet5 --batch 2 --out new", "expected 'cpu' or 'cuda:0'");
  refuses("--device cuda:x --model lenet5 --batch 2 --out new", "expected 'cpu' or 'cuda:0'");
  // Without the module, without a GPU, or without so many: one line, and what to do.
  refuses("--device cuda:4711 --model lenet5 --batch 2 --out new", "CUDA ");
  const std::string run =
      "'" PACELINE_BINARY "' run -m lenet5 -b 16 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 2 ";
  EXPECT_EQ(shell(run + "--numerics --device cuda:4711"), 2);
  EXPECT_THAT(read("err"), HasSubstr("CUDA "));
  const std::string err = read("err");
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_EQ(read("out"), "");
  EXPECT_EQ(shell(run + "--numerics --device cdua"), 2);
  EXPECT_THAT(read("err"), HasSubstr("did you mean 'cuda'"));
  EXPECT_EQ(shell("PACELINE_CUDA_MODULE=/no/such.so " + run + "--device cuda"), 2);
  EXPECT_THAT(read("err"), HasSubstr("/no/such.so cannot be opened"));
}

TEST_F(CalibrateCli, ComparesWithPublishedTimes) {
  ASSERT_EQ(calibrate("transfer --published --json"), 0) << read("err");
  const Json rows = Json::parse(read("out"));
  EXPECT_EQ(rows.size(), 13U);
  for (const Json& row : rows) EXPECT_LT(std::abs(row.at("error").get<double>()), 0.14) << row;
  refuses("transfer --published --to 'Tesla K80'", "no published times on ");
}

// The measured profile of LeNet-5 that a transfer starts from, with `edit` applied.
std::string measured_lenet(const std::function<void(Json&)>& edit = {}) {
  Json profile = {
      {"format", "paceline-profile-1"}, {"source", "measured"}, {"uncertainty", 0.02},
      {"device", "H200 SXM"},           {"model", "lenet5"},    {"batches", Json::array()}};
  Json layers = Json::array();
  for (const char* name : {"conv1", "tanh1", "pool1", "conv2", "tanh2", "pool2", "fc1", "tanh3",
                           "fc2", "tanh4", "fc3", "loss"})
    layers.push_back({{"name", name}, {"forward", "20us"}, {"backward", "30us"}});
  profile["batches"].push_back({{"batch", 16}, {"layers", layers}});
  if (edit) edit(profile);
  return profile.dump();
}

TEST_F(CalibrateCli, TransferChecksAllBeforeItWritesOrPrints) {
  write("from.json", measured_lenet());
  const std::string to = " --to gtx-1080ti";
  ASSERT_EQ(calibrate("transfer --from from.json --out to.json" + to), 0) << read("err");
  EXPECT_EQ(Json::parse(read("to.json")).at("source"), "transferred");
  write("reversed.json", measured_lenet([](Json& profile) {
          Json& layers = profile["batches"][0]["layers"];
          std::reverse(layers.begin(), layers.end());
        }));
  for (const char* json : {"", " --json"})
    refuses("transfer --from reversed.json --out new" + to + json,
            "reversed.json: $.batches[0].layers[0].name: expected 'conv1'");
  write("inf.json", measured_lenet([](Json& profile) {
          profile["ceilings"] = {{"memory_bandwidth", "inf"}};
        }));
  refuses("transfer --from inf.json --out new --json" + to,
          "inf.json: $.ceilings.memory_bandwidth");
  write("unsure.json", measured_lenet([](Json& profile) { profile["uncertainty"] = 10; }));
  refuses("transfer --from unsure.json --out new" + to, "unsure.json: $.uncertainty");
  refuses("transfer --validate --out new", "--out");
}

TEST_F(CalibrateCli, TransferDoesNotOverwriteItsSource) {
  write("from.json", measured_lenet());
  refuses("transfer --from from.json --to T4 --out ./from.json", "--out: './from.json'");
  EXPECT_EQ(read("from.json"), measured_lenet());
}

TEST_F(CalibrateCli, AnchorsOfTheSourceCorrectATransferOrAreRefused) {
  ASSERT_EQ(calibrate("anchors --device cpu --limit 2 --seconds 0.01 --out a.json"), 0)
      << read("err");
  EXPECT_THAT(read("out"), HasSubstr("2 kernels of DeepBench"));
  Json anchors = Json::parse(read("a.json"));
  EXPECT_EQ(anchors.at("source"), "measured");
  EXPECT_EQ(anchors.at("kernels").size(), 2U);
  write("from.json", measured_lenet());
  const std::string transfer = "transfer --from from.json --anchors a.json --out new --to ";
  refuses(transfer + "gtx-1080ti", "a.json: $.device: the anchors are of");
  anchors["device"] = "NVIDIA H200";
  write("a.json", anchors.dump());
  refuses(transfer + "gtx-1080ti", "a.json: $.kernels: too few");
  refuses(transfer + "A100", "--anchors: DeepBench did not time the A100");
  refuses("transfer --from from.json --anchors a.json --to T4 --out a.json", "--out: 'a.json'");
  EXPECT_EQ(read("a.json"), anchors.dump());
  // As if measured: products of one size with times that no device had.
  std::ifstream table(PACELINE_SOURCE_DIR "/calibrate/data/deepbench/gemm.csv");
  anchors["kernels"] = Json::array();
  for (std::string line; std::getline(table, line);)
    if (line.starts_with("1080Ti,")) {
      std::string key = line.substr(7, line.rfind(',') - 7);
      std::replace(key.begin(), key.end(), ',', ' ');
      const Json time = {{"median", "1ms"}, {"p25", "1ms"}, {"p75", "1ms"}};
      anchors["kernels"].push_back({{"law", "gemm"},
                                    {"key", key},
                                    {"hot", time},
                                    {"cold", time},
                                    {"buffers", 1},
                                    {"sm_mhz", 0},
                                    {"dropped", 0},
                                    {"warm", true}});
    }
  write("a.json", anchors.dump());
  ASSERT_EQ(calibrate("transfer --from from.json --anchors a.json --to gtx-1080ti --json"), 0)
      << read("err");
  const Json to = Json::parse(read("out"));
  EXPECT_EQ(to.at("source"), "transferred");
  EXPECT_EQ(to.at("metadata").at("classes").at(0).at("anchors"), 160);
  EXPECT_EQ(to.at("metadata").at("anchors").at("file"), "a.json");
}

TEST_F(CalibrateCli, NeitherProgramLinksACudaLibrary) {
  for (const char* program : {PACELINE_BINARY, PACELINE_CALIBRATE_BINARY}) {
    ASSERT_EQ(shell(std::string("ldd '") + program + "'"), 0) << read("err");
    std::string libraries = read("out");
    if (shell("command -v readelf") == 0) {
      ASSERT_EQ(shell(std::string("readelf -d '") + program + "'"), 0) << read("err");
      EXPECT_THAT(read("out"), HasSubstr("NEEDED"));
      libraries += read("out");
    }
    EXPECT_THAT(libraries, HasSubstr("libstdc++"));
    for (const char* cuda :
         {"libcuda", "libcublas", "libcudnn", "libnv", "libnccl", "libpaceline_cuda"})
      EXPECT_THAT(libraries, Not(HasSubstr(cuda))) << program;
  }
}

}  // namespace
}  // namespace paceline
