// A user's own card, precision and model: what is in no table, and what the tables say of it.
#include "cli.hpp"

namespace paceline {
namespace {

class Hardware : public Cli {
 protected:
  Json result(const std::string& arguments) {
    const Outcome outcome = paceline(arguments + " --json");
    EXPECT_EQ(outcome.code, 0) << arguments << outcome.err;
    return outcome.code == 0 ? Json::parse(outcome.out) : Json();
  }
  double iteration(const std::string& arguments) {
    return result(arguments).at("iteration_time_s").get<double>();
  }
};

constexpr const char* kCluster =
    R"({"format": "paceline-cluster-1", "name": "two", "nodes": [{"count": 2, "gpus": 4, "gpu":
        {"name": "RTX 9999", "memory": "24GiB"}, "pcie": "12GB/s"}],
        "network": {"bandwidth": "10Gbps", "latency": "50us"}})";

// Times are given for every layer: the card needs no more than a name.
TEST_F(Hardware, ACardThatIsInNoTableRunsOnGivenTimes) {
  write("c.json", kCluster);
  write("times.csv",
        "operation,forward_s,backward_s\nconv1,21e-6,34e-6\ntanh1,4e-6,5e-6\npool1,5e-6,7e-6\n"
        "conv2,18e-6,41e-6\ntanh2,3e-6,4e-6\npool2,4e-6,5e-6\nfc1,9e-6,17e-6\ntanh3,3e-6,3e-6\n"
        "fc2,8e-6,15e-6\ntanh4,3e-6,3e-6\nfc3,7e-6,14e-6\nloss,6e-6,6e-6\n");
  write("p.json",
        R"({"format": "paceline-profile-1", "source": "published", "uncertainty": 0.05, "device":
            "RTX 9999", "model": "resnet50", "batches": [{"batch": 64, "whole_net": {"forward":
            "60ms", "backward": "120ms", "spread": "uniform"}}]})");
  ASSERT_EQ(shell(std::string(PACELINE_CALIBRATE_BINARY) +
                  " import times.csv --model lenet5 --batch 16 --device 'RTX 9999' --out l.json")
                .code,
            0);
  const Json lenet = result("run -m lenet5 -b 16 -c c.json --profile l.json --gpus 0");
  EXPECT_NEAR(lenet["time"]["forward_s"].get<double>(), 91e-6, 1e-12);
  const Json resnet = result("run -m resnet50 -b 64 -c c.json -p p.json --gpus 0");
  EXPECT_NEAR(resnet["time"]["backward_s"].get<double>(), 0.12, 1e-9);
  // What is another card's is said.
  EXPECT_THAT(resnet["assumptions"].dump(),
              HasSubstr("a V100 SXM2's, 'bandwidth' of the RTX 9999 not being given"));
  EXPECT_EQ(resnet["warnings"].size(), 0U) << resnet["warnings"].dump();
}

TEST_F(Hardware, TimesOfACardNeedItsFiguresOrOneGpu) {
  write("c.json", kCluster);
  refuses("run -m resnet50 -b 64 -c c.json", "its times need its 'fp32' and 'bandwidth'");
  EXPECT_NEAR(iteration("run -m resnet50 -b 64 -c c.json --gpus 0 --one-gpu 203/s"), 64 / 203.0,
              1e-12);
  // With the figures of an RTX 3090 it is one.
  const std::string own =
      R"( --gpu-spec '{"name": "RTX 9999", "memory": "24GiB", "fp32": "35.58TFLOPS", "tf32":
          "35.6TFLOPS", "bandwidth": "936GB/s", "multiprocessors": 82, "boost_MHz": 1695,
          "compute_capability": [8, 6]}')";
  const std::string run = "run -m resnet50 -b 64 --gpus 0 -c 16x1-1080ti-10gbe ";
  EXPECT_NEAR(iteration(run + own) / iteration(run + "--gpu-spec 'RTX 3090'"), 1, 1e-9);
  EXPECT_NEAR(iteration(run + "--precision tf32" + own) /
                  iteration(run + "--precision tf32 --gpu-spec 3090"),
              1, 1e-9);
  refuses(run + "--precision amp-fp16" + own, "its \"fp16\" is not given");
  refuses(run + "--gpu-spec 'RTX 3060 Ti'", "did you mean 'RTX 3090 Ti'");
  refuses(run + "--gpu-spec '{\"name\": \"X\", \"fp32\": 3}'", "lacks a unit");
}

TEST_F(Hardware, TheCardGoesIntoTheClusterOfTheResult) {
  const Json asked = result("run -m resnet18 -b 32 -c 16x1-1080ti-10gbe --steps 2 --gpu-spec L40S");
  write("result.json", asked.dump());
  const Json again = result("run result.json");
  EXPECT_EQ(again["iteration_time_s"], asked["iteration_time_s"]);
  EXPECT_EQ(again["profiles"][0]["gpu"], "L40S");
  const Outcome compared = paceline(
      "compare -m resnet18 -b 32 -c 16x1-1080ti-10gbe --steps 2 --vary gpu=A100,4090 --csv");
  EXPECT_EQ(compared.code, 0) << compared.err;
}

// horovod issue 779: 872 images a second on one V100 in half precision.
TEST_F(Hardware, MixedPrecisionIsComputedAndNotOnlySent) {
  const std::string run = "run -m resnet50 -b 256 -c 4x4-v100-100gbib --gpus 0 ";
  const double fp32 = 256 / iteration(run), fp16 = 256 / iteration(run + "--precision fp16");
  EXPECT_NEAR(fp16, 872, 0.15 * 872);
  EXPECT_GT(fp16, 2 * fp32);
  refuses(run + "--precision bf16", "a V100 PCIe 32GB has no bf16 units: fp16, amp-fp16");
  refuses(run + "--precision fp8", "known: fp32, tf32, amp-fp16, amp-bf16, fp16, bf16");
  EXPECT_GT(256 / iteration(run + "--precision bf16 --gpu-spec H100"), 2 * fp16);
  const Outcome text = paceline(run + "--precision fp16");
  EXPECT_THAT(text.out, HasSubstr("fp16, fp16 on the wire"));
  EXPECT_THAT(text.out, HasSubstr("in fp32: master weights, optimiser, norms, softmax and loss"));
}

TEST_F(Hardware, TheWireIsApartFromThePrecision) {
  const std::string run = "run -m resnet50 -b 64 -c 4x4-v100-100gbib --gpus 0-3 ";
  const auto sent = [&](const std::string& options) {
    return result(run + options)["sent_bytes"].get<double>();
  };
  const double fp32 = sent("");
  EXPECT_EQ(sent("--precision amp-fp16"), fp32);
  EXPECT_EQ(sent("--precision fp16"), fp32 / 2);
  EXPECT_EQ(sent("--precision amp-fp16 --wire fp16"), fp32 / 2);
  EXPECT_EQ(sent("--wire bf16"), fp32 / 2);
  EXPECT_EQ(sent("--precision fp16 --wire fp32"), fp32);
  refuses(run + "--wire int8", "wire");
  refuses("run -m lenet5 -b 8 -c 16x1-1080ti-10gbe --numerics --wire bf16",
          "gradients are rounded to fp16 only");
}

TEST_F(Hardware, AModelTakesOptionsAndAConfigJson) {
  const Json shorter = result("run -m bert-large:seq=64:batch=8 -c 4x4-v100-100gbib --gpus 0");
  EXPECT_EQ(shorter["batch"], 8);
  EXPECT_EQ(shorter["model"], "bert-large:seq=64");
  EXPECT_LT(shorter["iteration_time_s"].get<double>(),
            0.6 * iteration("run -m bert-large -b 8 -c 4x4-v100-100gbib --gpus 0"));
  refuses("run -m bert-large:batch=8 -b 4 -c 4x4-v100-100gbib", "says batch 8");
  write("config.json",
        R"({"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024,
            "vocab_size": 50257})");
  EXPECT_THAT(paceline("show config.json").out, HasSubstr("124439808"));
  EXPECT_NEAR(iteration("run -m config.json:seq=512 -b 4 -c 4x4-v100-100gbib --gpus 0") /
                  iteration("run -m gpt2:seq=512 -b 4 -c 4x4-v100-100gbib --gpus 0"),
              1, 1e-12);
}

}  // namespace
}  // namespace paceline
