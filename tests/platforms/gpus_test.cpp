#include "platforms/gpus.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

TEST(Gpus, AreFoundByNameAliasAndSpelling) {
  for (const char* name :
       {"1080ti", "GTX 1080 Ti", "GeForce GTX 1080 Ti", "gtx-1080-ti", "NVIDIA GTX1080Ti"})
    EXPECT_EQ(find_gpu(name).name, "GTX 1080 Ti") << name;
  EXPECT_EQ(find_gpu("Tesla V100-SXM2-32GB").name, "V100 SXM2 32GB");
  EXPECT_EQ(find_gpu("NVIDIA H100 80GB HBM3").name, "H100 SXM");
  EXPECT_EQ(find_gpu("k80").name, "GK210");
}

TEST(Gpus, AreFoundByTheNamesThatDriversReport) {
  const std::vector<std::pair<const char*, const char*>> names{
      {"NVIDIA A100-SXM4-80GB", "A100 SXM 80GB"},
      {"NVIDIA A100-PCIE-40GB", "A100 PCIe"},
      {"NVIDIA A100 80GB PCIe", "A100 PCIe 80GB"},
      {"NVIDIA H100 80GB HBM3", "H100 SXM"},
      {"NVIDIA H200", "H200 SXM"},
      {"NVIDIA GeForce RTX 2080 Ti", "RTX 2080 Ti"},
      {"Tesla P100-PCIE-16GB", "P100 PCIe"},
      {"Tesla P100-SXM2-16GB", "P100 SXM2"},
      {"Tesla V100-PCIE-16GB", "V100 PCIe"},
      {"Tesla V100-PCIE-32GB", "V100 PCIe 32GB"},
      {"Tesla V100-SXM2-16GB", "V100 SXM2"},
      {"Tesla V100-SXM2-32GB", "V100 SXM2 32GB"},
      {"V100 32GB SXM", "V100 SXM2 32GB"},
      {"NVIDIA TITAN X (Pascal)", "Titan X Pascal"},
      {"GeForce GTX 1080 Ti", "GTX 1080 Ti"},
      {"Tesla T4", "T4"}};
  for (const auto& [reported, name] : names) EXPECT_EQ(find_gpu(reported).name, name) << reported;
  // Another chip, or the same with other memory, is not in the table.
  for (const char* other : {"NVIDIA GeForce RTX 4060", "Tesla M40 24GB", "NVIDIA A100X"})
    EXPECT_THROW((void)find_gpu(other), InputError) << other;
}

TEST(Gpus, HaveTheCardsOfTheField) {
  const std::pair<const char*, const char*> names[] = {{"geforce rtx 3090", "RTX 3090"},
                                                       {"3090", "RTX 3090"},
                                                       {"NVIDIA GeForce RTX 4090", "RTX 4090"},
                                                       {"NVIDIA H100 PCIe", "H100 PCIe"},
                                                       {"NVIDIA A100-SXM4-40GB", "A100 SXM 40GB"},
                                                       {"NVIDIA A10G", "A10G"},
                                                       {"NVIDIA L40S", "L40S"},
                                                       {"GeForce GTX TITAN X", "Titan X Maxwell"},
                                                       {"TITAN X (Pascal)", "Titan X Pascal"},
                                                       {"Tesla K40c", "K40"},
                                                       {"AMD Instinct MI300X", "MI300X"},
                                                       {"NVIDIA GH200 480GB", "GH200"}};
  for (const auto& [reported, name] : names) EXPECT_EQ(find_gpu(reported).name, name) << reported;
  EXPECT_GE(gpus().size(), 50U);
}

// Dense rates with fp32 accumulation: no sparsity, and GeForce cards at half of their fp16 rate.
TEST(Gpus, MatrixRatesAreDense) {
  EXPECT_EQ(find_gpu("A100").tf32_flops, 156e12);
  EXPECT_EQ(find_gpu("A100").bf16_flops, 312e12);
  EXPECT_EQ(find_gpu("RTX 3090").fp16_flops, 71e12);
  EXPECT_EQ(find_gpu("V100").fp16_flops, 125e12);
  for (const GpuSpec& gpu : gpus()) {
    if (gpu.cc_major > 0 && gpu.cc_major < 8) {
      EXPECT_EQ(gpu.tf32_flops + gpu.bf16_flops, 0) << gpu.name;
    }
    if (gpu.cc_major > 0 && gpu.cc_major < 7) {
      EXPECT_EQ(gpu.fp16_flops, 0) << gpu.name;
    }
    if (gpu.tf32_flops > 0) {
      EXPECT_NEAR(gpu.fp16_flops / gpu.tf32_flops, 2, 0.03) << gpu.name;
    }
  }
}

TEST(Gpus, UnknownNameNamesTheNearest) {
  try {
    (void)find_gpu("GTX 1080 Tj");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("did you mean 'GTX 1080 Ti'"));
  }
  EXPECT_THROW((void)find_gpu(""), InputError);
  EXPECT_THROW((void)find_gpu("nvidia"), InputError);
}

TEST(Gpus, EveryNameAndAliasIsItsOwn) {
  for (const GpuSpec& gpu : gpus()) {
    EXPECT_EQ(&find_gpu(gpu.name), &gpu) << gpu.name;
    for (const std::string& alias : gpu.aliases) EXPECT_EQ(&find_gpu(alias), &gpu) << gpu.name;
  }
}

TEST(Gpus, PeakFollowsFromLanesAndClock) {
  // 2 x SMs x lanes x boost clock; the published TFLOP/s are rounded.
  for (const GpuSpec& gpu : gpus()) {
    const double peak = 2.0 * gpu.sms * gpu.fp32_lanes * gpu.boost_hz;
    if (gpu.name != "H20") {  // whose lanes and clock are not published
      EXPECT_NEAR(gpu.fp32_flops / peak, 1, 0.01) << gpu.name;
    }
    EXPECT_GT(gpu.memory_bytes, 4e9) << gpu.name;
    EXPECT_GE(gpu.memory_bandwidth, 1.6e11) << gpu.name;
    EXPECT_FALSE(gpu.source.empty()) << gpu.name;
  }
}

GpuSpec card(const char* text) {
  const Json json = Json::parse(text);
  ObjectReader reader(json, "card.json");
  return read_gpu_card(reader);
}

TEST(GpuCard, TakesItsOwnFiguresAndSaysWhatIsNotItsOwn) {
  const GpuSpec gpu = card(
      R"({"name": "RTX 9999", "memory": "24GiB", "fp32": "35.6TFLOPS", "bandwidth": "936GB/s"})");
  EXPECT_EQ(gpu.fp32_flops, 35.6e12);
  EXPECT_EQ(gpu.memory_bandwidth, 936e9);
  EXPECT_TRUE(gpu.knows("fp32") && gpu.knows("bandwidth"));
  EXPECT_FALSE(gpu.knows("pcie"));
  EXPECT_EQ(gpu.pcie_generation, find_gpu(kStandInGpu).pcie_generation);
  // Of its lanes and clock alone: their product.
  const GpuSpec lanes =
      card(R"({"name": "X", "multiprocessors": 82, "fp32_lanes": 128, "boost_MHz": 1695})");
  EXPECT_NEAR(lanes.fp32_flops, 35.58e12, 0.01e12);
  EXPECT_TRUE(lanes.knows("fp32"));
  EXPECT_FALSE(lanes.knows("bandwidth"));
}

TEST(GpuCard, OverridesTheTable) {
  const GpuSpec more = card(R"({"name": "rtx3090", "memory": "48GiB"})");
  EXPECT_EQ(more.name, "RTX 3090");
  EXPECT_EQ(more.memory_bytes, 48.0 * (1 << 30));
  EXPECT_EQ(more.fp32_flops, find_gpu("RTX 3090").fp32_flops);
  EXPECT_TRUE(more.assumed.empty());
}

TEST(GpuCard, IsWrittenAsItWasGiven) {
  for (const char* text :
       {R"({"name": "RTX 9999"})", R"({"name": "RTX 3090", "memory": "48GiB"})",
        R"({"name": "X", "fp32": "10TFLOPS", "fp16": "80TFLOPS", "memory": "8GiB", "bandwidth":
            "300GB/s", "pcie": {"generation": 5, "lanes": 8}, "boost_MHz": 1500, "l2": "32MiB"})"}) {
    const GpuSpec gpu = card(text);
    EXPECT_EQ(card(write_gpu(gpu).dump().c_str()), gpu) << text;
  }
  EXPECT_EQ(write_gpu(find_gpu("A100")), Json({{"name", "A100 SXM 80GB"}}));
}

TEST(GpuCard, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW((void)card(R"({"memory": "24GiB"})"), InputError);
  EXPECT_THROW((void)card(R"({"name": "X", "bandwith": "1GB/s"})"), InputError);
  EXPECT_THROW((void)card(R"({"name": "X", "fp32": 35.6})"), InputError);
  try {
    (void)load_gpu("RTX 3060 Ti");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("did you mean 'RTX 3090 Ti'"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("\"bandwidth\": \"936GB/s\""));
  }
}

TEST(Gpus, PcieLineRates) {
  EXPECT_DOUBLE_EQ(pcie_bandwidth(1, 4), 1e9);
  EXPECT_DOUBLE_EQ(pcie_bandwidth(2, 16), 8e9);
  EXPECT_NEAR(pcie_bandwidth(3, 16), 15.754e9, 1e6);
  EXPECT_NEAR(pcie_bandwidth(5, 16), 63.015e9, 1e6);
  EXPECT_THROW((void)pcie_bandwidth(0, 16), InputError);
  EXPECT_THROW((void)pcie_bandwidth(3, 0), InputError);
}

}  // namespace
}  // namespace paceline
