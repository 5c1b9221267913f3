// paceline-calibrate as a user meets it: exit codes, one-line messages, nothing half-written.
#include <algorithm>
#include <cmath>
#include <cstdlib>

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
  refuses("--device cuda:4711 --model lenet5 --batch 2 --out new", "CUDA backend: ");
  const std::string run =
      "'" PACELINE_BINARY "' run -m lenet5 -b 16 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 2 ";
  EXPECT_EQ(shell(run + "--numerics --device cuda:4711"), 2);
  EXPECT_THAT(read("err"), HasSubstr("CUDA backend: "));
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
