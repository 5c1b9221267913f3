#include "calibrate/transfer/anchors.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "base/error.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "fake_gpu.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

kernels::FakeGpu fake_gpu() {
  return kernels::FakeGpu(kernels::make_backend(kernels::fastest_cpu_backend()));
}

AnchorOptions quick(std::size_t kernels) {
  AnchorOptions options;
  options.device = "NVIDIA H200";
  options.software = {{"cuDNN", "9.19.0"}};
  options.most_kernels = kernels;
  options.warm_up_seconds = 0.001;
  options.seconds = 0.01;
  return options;
}

TEST(DeepBenchKernels, AreTheSameWorkAsTheLayersThatStandForThem) {
  std::map<std::string, int> laws;
  double before = 0;
  for (const DeepBenchKernel& kernel : deepbench_kernels()) {
    ++laws[transfer_group(kernel.point.law)];
    EXPECT_GE(kernel.point.flops, before);
    before = kernel.point.flops;
    kernels::check_shape(*kernel.shape);
    const auto extent = [](const kernels::Dims& dims) {
      return static_cast<double>(kernels::elements(dims));
    };
    double weights = 0;
    for (const kernels::Dims& dims : kernels::parameter_dims(*kernel.shape))
      if (dims.size() > 1) weights += extent(dims);
    const double in = extent(kernels::input_dims(*kernel.shape).at(0)),
                 out = extent(kernels::output_dims(*kernel.shape));
    if (const auto* conv = std::get_if<kernels::Conv2dShape>(&*kernel.shape)) {
      const double filter = weights / static_cast<double>(conv->channels);
      EXPECT_DOUBLE_EQ(kernel.point.flops, 2 * out * filter) << kernel.point.key;
      EXPECT_DOUBLE_EQ(kernel.point.bytes, 4 * (in + out + weights)) << kernel.point.key;
    } else if (const auto* dense = std::get_if<kernels::DenseShape>(&*kernel.shape)) {
      EXPECT_DOUBLE_EQ(kernel.point.flops, 2 * static_cast<double>(dense->rows) * weights);
      EXPECT_DOUBLE_EQ(kernel.point.bytes, 4 * (in + out + weights)) << kernel.point.key;
    } else {
      const auto& lstm = std::get<kernels::LstmShape>(*kernel.shape);
      EXPECT_DOUBLE_EQ(kernel.point.flops,
                       2 * weights * static_cast<double>(lstm.batch * lstm.steps));
    }
  }
  // DeepBench lists some shapes twice; 22 LSTMs; no GRUs.
  EXPECT_GE(laws["conv forward"], 90);
  EXPECT_EQ(laws["conv forward"], laws["conv backward weight"]);
  EXPECT_GE(laws["gemm"], 155);
  EXPECT_EQ(laws["rnn"], 3 * 22);
}

TEST(Anchors, AreMeasuredHotAndColdAndReadBackExactly) {
  kernels::FakeGpu gpu = fake_gpu();
  int saved = 0;
  AnchorOptions options = quick(12);
  options.measured = [&](const AnchorSet&) { ++saved; };
  const AnchorSet set = measure_anchors(gpu, options);
  ASSERT_EQ(set.kernels.size(), 12) << set.metadata.at("failed");
  EXPECT_EQ(saved, 12);
  EXPECT_EQ(read_anchors(anchors_json(set), "file"), set);
  EXPECT_EQ(set.device, "NVIDIA H200");
  EXPECT_EQ(set.metadata.at("ceilings").at("sgemm_flops"), 50e12);
  for (const MeasuredAnchor& anchor : set.kernels) {
    EXPECT_GT(anchor.hot.median_s, 0) << anchor.key;
    EXPECT_GT(anchor.cold.median_s, 0) << anchor.key;
    EXPECT_EQ(anchor.sm_mhz, 1980);
  }
}

TEST(Anchors, WhatIsInterruptedIsKeptAndGoneOnWith) {
  kernels::FakeGpu gpu = fake_gpu();
  std::atomic<bool> stop{false};
  AnchorOptions options = quick(6);
  options.stop = &stop;
  options.measured = [&](const AnchorSet& set) { stop = set.kernels.size() == 2; };
  const AnchorSet first = measure_anchors(gpu, options);
  ASSERT_EQ(first.kernels.size(), 2);
  stop = false;
  options.measured = {};
  const AnchorSet second = measure_anchors(gpu, options, first);
  ASSERT_EQ(second.kernels.size(), 6);
  EXPECT_TRUE(std::equal(first.kernels.begin(), first.kernels.end(), second.kernels.begin()));
  options.device = "Tesla T4";
  EXPECT_THAT([&] { measure_anchors(gpu, options, first); },
              ThrowsMessage<InputError>(HasSubstr("of device 'NVIDIA H200', not 'Tesla T4'")));
}

TEST(Anchors, OfACpuAreTimedOneByOne) {
  const auto cpu = kernels::make_backend(kernels::fastest_cpu_backend());
  AnchorOptions options = quick(3);
  options.device = "";
  const AnchorSet set = measure_anchors(*cpu, options);
  EXPECT_EQ(set.kernels.size(), 3);
  EXPECT_FALSE(set.metadata.contains("ceilings"));
}

TEST(Anchors, EveryKindOfKernelAndPassIsTimed) {
  kernels::FakeGpu gpu = fake_gpu();
  AnchorOptions options = quick(SIZE_MAX);
  // All but the first of each class and pass count as known.
  AnchorSet known = measure_anchors(gpu, quick(0));
  std::map<std::string, int> seen;
  for (const DeepBenchKernel& kernel : deepbench_kernels())
    if (++seen[kernel.point.law + std::to_string(static_cast<int>(kernel.pass))] > 1)
      known.kernels.push_back({kernel.point.law, kernel.point.key, {1, 1, 1}, {1, 1, 1}});
  const std::size_t before = known.kernels.size();
  const AnchorSet set = measure_anchors(gpu, options, known);
  // 9 of convolutions, 3 of products, 3 of LSTMs; a difference may drown in noise here.
  EXPECT_EQ(seen.size(), 15);
  EXPECT_GE(set.kernels.size() - before + set.metadata.at("failed").size(), 15);
  EXPECT_GE(set.kernels.size() - before, 13) << set.metadata.at("failed");
}

// Stands for a measurement of one of DeepBench's own GPUs.
AnchorSet as_if_measured(const char* column, const char* device) {
  AnchorSet set;
  set.device = device;
  set.software = {{"cuDNN", "7"}};
  std::map<std::string, bool> seen;
  for (const DeepBenchPoint& point : shipped_deepbench(column).points) {
    const Timing timing{point.seconds, point.seconds, point.seconds};
    if (!std::exchange(seen[point.law + point.key], true))
      set.kernels.push_back({point.law, point.key, timing, timing});
  }
  return set;
}

TEST(Anchors, PairedWithDeepBenchCorrectATransferAsItsOwnPairsDo) {
  const std::vector<TransferAnchor> pairs = pair_anchors(as_if_measured("V100", "V100"), "1080Ti");
  EXPECT_NEAR(double(pairs.size()), double(deepbench_anchors("V100", "1080Ti").size()), 12);
  const Model model = make_model("resnet20");
  Profile from = analytic_profile(model, find_gpu("V100"), 32);
  from.source = ProfileSource::measured;
  const Profile with = transfer_profile(from, model, find_gpu("1080ti"), pairs);
  const Profile without = transfer_profile(from, model, find_gpu("1080ti"), {});
  EXPECT_GE(with.metadata->at("classes").size(), 13);
  EXPECT_LT(with.uncertainty, without.uncertainty);
  EXPECT_THAT(with.description, HasSubstr("corrected on "));
}

TEST(Anchors, AreRefusedOfOtherDevicesLibrariesAndForms) {
  AnchorSet set = as_if_measured("V100", "Tesla V100-SXM2-16GB");
  Profile profile = analytic_profile(make_model("lenet5"), find_gpu("V100"), 8);
  check_anchors(set, profile, "a.json");  // the same GPU by another name
  profile.software["cuDNN"] = "9";
  EXPECT_THAT([&] { check_anchors(set, profile, "a.json"); },
              ThrowsMessage<InputError>(HasSubstr("a.json: $.software.cuDNN: ")));
  set.device = "Tesla T4";
  EXPECT_THAT([&] { check_anchors(set, profile, "a.json"); },
              ThrowsMessage<InputError>(HasSubstr("a.json: $.device: the anchors are of")));
  Json json = anchors_json(set);
  json["kernels"][1]["hot"]["median"] = "0s";
  EXPECT_THAT([&] { read_anchors(json, "a.json"); },
              ThrowsMessage<InputError>(HasSubstr("a.json: $.kernels[1].hot: expected p25")));
  json = anchors_json(set);
  json["kernels"].push_back(json["kernels"][0]);
  EXPECT_THAT([&] { read_anchors(json, "a.json"); },
              ThrowsMessage<InputError>(HasSubstr("appears twice")));
  json["source"] = "analytic";
  EXPECT_THROW(read_anchors(json, "a.json"), InputError);
}

}  // namespace
}  // namespace paceline
