#include "platforms/gpus.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"

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
  for (const char* other : {"NVIDIA GeForce RTX 4090", "NVIDIA H100 PCIe", "NVIDIA A100-SXM4-40GB"})
    EXPECT_THROW((void)find_gpu(other), InputError) << other;
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
    std::string aliases(gpu.aliases);
    for (std::size_t start = 0; start < aliases.size();) {
      const std::size_t bar = std::min(aliases.find('|', start), aliases.size());
      EXPECT_EQ(&find_gpu(aliases.substr(start, bar - start)), &gpu) << gpu.name;
      start = bar + 1;
    }
  }
}

TEST(Gpus, PeakFollowsFromLanesAndClock) {
  // 2 x SMs x lanes x boost clock; the published TFLOP/s are rounded.
  for (const GpuSpec& gpu : gpus()) {
    const double peak = 2.0 * gpu.sms * gpu.fp32_lanes * gpu.boost_hz;
    EXPECT_NEAR(gpu.fp32_flops / peak, 1, 0.01) << gpu.name;
    EXPECT_GT(gpu.memory_bytes, 4e9) << gpu.name;
    EXPECT_GT(gpu.memory_bandwidth, 2e11) << gpu.name;
    EXPECT_FALSE(gpu.source.empty()) << gpu.name;
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
