#include "calibrate/measure_gpu.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "calibrate/measure.hpp"
#include "calibrate/step_costs.hpp"
#include "fake_gpu.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

kernels::FakeGpu fake_gpu() {
  return kernels::FakeGpu(kernels::make_backend("reference"));
}

MeasureOptions quick() {
  MeasureOptions options;
  options.device = "H100 SXM";
  options.warm_up_seconds = 0.01;
  options.seconds = 0.1;
  options.least_rounds = 5;
  options.most_elements = 10'000;
  return options;
}

TEST(MeasureGpu, AProfileHasLayersOverheadOperationsAndTheirResiduals) {
  const Model model = make_model("lenet5");
  kernels::FakeGpu gpu = fake_gpu();
  const Profile profile = measure_profile(model, gpu, {2, 4}, quick());
  EXPECT_EQ(read_profile(profile_json(profile), "file"), profile);
  ASSERT_EQ(profile.batches.size(), 2);
  for (const BatchTimes& times : profile.batches) {
    EXPECT_GT(times.iteration->median_s, 0);
    EXPECT_GT(*times.closure_ratio, 0.3);
    EXPECT_LT(*times.closure_ratio, 3);
    EXPECT_TRUE(times.host_overhead_per_op_s);
    const StepCosts costs = step_costs(model, profile, *times.batch);
    EXPECT_DOUBLE_EQ(costs.host_overhead_s,
                     *times.host_overhead_per_op_s * double(host_launches(model)));
  }
  EXPECT_EQ(profile.ceilings.sgemm_flops, 50e12);
  EXPECT_EQ(profile.ceilings.l2_bandwidth, 6e12);
  EXPECT_EQ(profile.operations.launch_s, 3e-6);
  EXPECT_NEAR(profile.operations.host_to_device_pinned->latency_s, 10e-6, 1e-9);
  EXPECT_NEAR(profile.operations.host_to_device_pageable->bandwidth, 5e9, 1e6);
  EXPECT_GT(*profile.operations.torch_legacy_s, 0);
  const Json& record = profile.metadata.at("batches").at("4");
  for (const char* key : {"graph", "eager", "load", "update", "clocks", "operators",
                          "eager_less_graph_seconds", "dropped_for_low_clock"})
    EXPECT_TRUE(record.contains(key)) << key;
  EXPECT_EQ(record.at("clocks").at("sm_mhz"), 1980);
  for (const Json& row : record.at("operators")) {
    EXPECT_FALSE(row.contains("error")) << row;
    EXPECT_GT(row.at("bytes").get<double>() / row.at("buffers").get<double>(), 0);
    EXPECT_TRUE(row.at("buffers") == 64 || row.at("bytes").get<double>() > 2 * (1 << 16)) << row;
  }
  const Json& operations = profile.metadata.at("operations");
  EXPECT_EQ(operations.at("copies").size(), 5);
  for (const char* kernel : {"error_feedback_top_k", "sort", "torch_legacy", "dgc_sample",
                             "gaussian_k", "scatter_add of 4", "pack_fp16", "sgd_momentum"})
    EXPECT_NE(operations.at("kernels").dump().find(kernel), std::string::npos) << kernel;
  EXPECT_FALSE(operations.at("cost_models").empty());
}

TEST(MeasureGpu, WhatIsInterruptedIsKeptAndGoneOnWith) {
  const Model model = make_model("lenet5");
  kernels::FakeGpu gpu = fake_gpu();
  std::atomic<bool> stop{false};
  MeasureOptions options = quick();
  options.operators = false;
  options.stop = &stop;
  options.measured = [&](const Profile&) { stop = true; };
  const Profile first = measure_profile(model, gpu, {2, 4}, options);
  ASSERT_EQ(first.batches.size(), 1);
  EXPECT_FALSE(first.operations.launch_s);
  stop = false;
  options.measured = {};
  const Profile second = measure_profile(model, gpu, {2, 4}, options, first);
  ASSERT_EQ(second.batches.size(), 2);
  EXPECT_EQ(second.batches[0], first.batches[0]);
  EXPECT_TRUE(second.operations.launch_s);
  // Of the operations alone nothing half-measured stays.
  int asked = 0;
  EXPECT_FALSE(measure_operations_on_gpu(
      gpu, 10'000, [&] { return ++asked > 3; }, [](double) {}));
}

TEST(MeasureGpu, OperationsAreMeasuredIfOnlyTheyAreMissing) {
  const Model model = make_model("lenet5");
  kernels::FakeGpu gpu = fake_gpu();
  MeasureOptions options = quick();
  options.operators = false;
  Profile known = measure_profile(model, gpu, {2}, options);
  known.operations = {};
  const Profile again = measure_profile(model, gpu, {2}, options, known);
  EXPECT_EQ(again.batches, known.batches);
  EXPECT_TRUE(again.operations.launch_s);
}

TEST(MeasureGpu, BuffersRotateOverMoreThanTwiceTheL2) {
  const kernels::FakeGpu gpu = fake_gpu();  // 64 KiB
  EXPECT_EQ(rotation(gpu, 1 << 20), 1);
  EXPECT_EQ(rotation(gpu, 1 << 17), 2);
  EXPECT_EQ(rotation(gpu, 1 << 14), 9);
  EXPECT_EQ(rotation(gpu, 1), 64);
}

TEST(FitLine, FindsTheLineAndItsErrors) {
  const std::vector<double> x{1e3, 1e4, 1e6}, t{11e-6, 20e-6, 1010e-6};
  const LineFit fit = fit_line(x, t);
  EXPECT_NEAR(fit.a, 10e-6, 1e-12);
  EXPECT_NEAR(fit.b, 1e-9, 1e-15);
  EXPECT_NEAR(fit.worst_error, 0, 1e-9);
  const std::vector<double> bent{11e-6, 30e-6, 1010e-6};
  EXPECT_GT(fit_line(x, bent).worst_error, 0.1);
  // A negative latency makes no sense: then the line goes through the origin.
  EXPECT_EQ(fit_line(std::vector<double>{1, 2}, std::vector<double>{1, 3}).a, 0);
  EXPECT_EQ(fit_line(std::vector<double>{2}, std::vector<double>{4}).b, 2);
  EXPECT_THROW(fit_line({}, {}), std::invalid_argument);
}

}  // namespace
}  // namespace paceline
