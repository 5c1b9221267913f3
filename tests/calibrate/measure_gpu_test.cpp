#include "base/json.hpp"
#include "calibrate/measure/gpu.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/error.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/measure/measure.hpp"
#include "calibrate/profile/step_costs.hpp"
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
  const Json& record = profile.metadata->at("batches").at("4");
  for (const char* key : {"graph", "eager", "load", "update", "clocks", "operators",
                          "eager_less_graph_seconds", "dropped_for_low_clock"})
    EXPECT_TRUE(record.contains(key)) << key;
  const Json& clocks = record.at("clocks");
  EXPECT_EQ(clocks.at("sm_mhz").at("median"), 1980);
  EXPECT_EQ(clocks.at("memory_mhz").at("least"), 2600);
  EXPECT_EQ(clocks.at("celsius").at("most"), 40);
  EXPECT_GT(clocks.at("watts").at("n"), 1);
  EXPECT_EQ(record.at("convolutions").at(0).at("algorithm"), 6);
  EXPECT_TRUE(record.contains("date") && record.contains("tool"));
  EXPECT_EQ(record.at("operators_complete"), true);
  for (const Json& row : record.at("operators")) {
    EXPECT_FALSE(row.contains("error")) << row;
    // What a forward pass touches, all sets together.
    EXPECT_TRUE(row.at("buffers") == 64 || row.at("bytes").get<double>() > 2 * (1 << 16)) << row;
  }
  const Json& operations = profile.metadata->at("operations");
  EXPECT_EQ(operations.at("copies").size(), 5);
  // Every kernel is measured, fitted and priced from its fit.
  const OperationCosts costs = operation_costs(profile);
  for (const kernels::OperationInfo& kernel : kernels::kOperations) {
    const auto line = profile.operations.kernels.find(kernel.name);
    ASSERT_NE(line, profile.operations.kernels.end()) << kernel.name;
    EXPECT_GE(costs.kernel(kernel.name, 1e4, 10), line->second.seconds(1e4, 10));
  }
  EXPECT_NE(operations.at("kernels").dump().find("torch_legacy"), std::string::npos);
  EXPECT_FALSE(operations.at("cost_models").empty());
  EXPECT_EQ(profile.metadata->at("operations_complete"), true);
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
}

TEST(MeasureGpu, OperationsGoOnWhereTheyWereInterrupted) {
  kernels::FakeGpu gpu = fake_gpu();
  GpuOperationsOptions options;
  options.most_elements = 10'000;
  int asked = 0, saved = 0;
  options.stop = [&] { return ++asked > 14; };
  options.save = [&] { ++saved; };
  Json record = Json::object();
  EXPECT_FALSE(measure_operations_on_gpu(gpu, options, record));
  EXPECT_GT(saved, 8);
  const Json before = record;
  const std::size_t measured = before.at("kernels").size();
  EXPECT_GT(measured, 2);
  options.stop = [] { return false; };
  ASSERT_TRUE(measure_operations_on_gpu(gpu, options, record));
  EXPECT_EQ(record.at("ceilings"), before.at("ceilings"));
  EXPECT_EQ(record.at("copies"), before.at("copies"));
  for (std::size_t i = 0; i < measured; ++i)
    EXPECT_EQ(record.at("kernels").at(i).at("points").at(0).at("seconds"),
              before.at("kernels").at(i).at("points").at(0).at("seconds"));
  // A third time nothing is measured.
  const int replays = gpu.replays;
  EXPECT_TRUE(measure_operations_on_gpu(gpu, options, record));
  EXPECT_EQ(gpu.replays, replays);
  record["kernels"] = "none";
  EXPECT_THROW(measure_operations_on_gpu(gpu, options, record), InputError);
}

TEST(MeasureGpu, OperatorsGoOnWhereTheyWereInterrupted) {
  const Model model = make_model("lenet5");
  kernels::FakeGpu gpu = fake_gpu();
  std::atomic<bool> stop{false};
  MeasureOptions options = quick();
  options.stop = &stop;
  options.measured = [&](const Profile& profile) {
    stop = profile.metadata->at("batches").at("2").at("operators").size() == 3;
  };
  const Profile first = measure_profile(model, gpu, {2}, options);
  const Json& partial = first.metadata->at("batches").at("2");
  EXPECT_EQ(partial.at("operators").size(), 3);
  EXPECT_EQ(partial.at("operators_complete"), false);
  EXPECT_EQ(read_profile(profile_json(first), "file"), first);
  stop = false;
  options.measured = {};
  const Profile second = measure_profile(model, gpu, {2}, options, first);
  const Json& whole = second.metadata->at("batches").at("2");
  EXPECT_EQ(whole.at("operators_complete"), true);
  EXPECT_GT(whole.at("operators").size(), 3);
  EXPECT_EQ(whole.at("operators").at(2), partial.at("operators").at(2));
  EXPECT_EQ(second.batches, first.batches);
}

TEST(MeasureGpu, ARecurrentLayerIsTimedWithTheForwardPassThatItsBackwardUsesUp) {
  const Model model = make_lstm_language_model({.hidden = 8, .vocabulary = 11, .time_steps = 5});
  kernels::FakeGpu gpu = fake_gpu();
  Json rows = Json::array();
  EXPECT_TRUE(measure_operators(
      model, gpu, 2, quick(), rows, [](double) {}, [] {}));
  int recurrent = 0;
  for (const Json& row : rows) {
    EXPECT_FALSE(row.contains("error")) << row;
    const bool is_lstm = row.at("kind").get<std::string>().find("lstm") != std::string::npos;
    recurrent += is_lstm ? 1 : 0;
    EXPECT_EQ(row.contains("backward"), is_lstm) << row;
  }
  EXPECT_GE(recurrent, 1);
}

TEST(MeasureGpu, Tf32IsAProfileOfItsOwn) {
  const Model model = make_model("lenet5");
  kernels::FakeGpu gpu = fake_gpu();
  MeasureOptions options = quick();
  options.operators = false;
  const Profile fp32 = measure_profile(model, gpu, {2}, options);
  EXPECT_EQ(fp32.precision, "fp32");
  options.precision = "tf32";
  const Profile tf32 = measure_profile(model, gpu, {2}, options);
  EXPECT_TRUE(gpu.tf32);
  EXPECT_EQ(tf32.precision, "tf32");
  EXPECT_NE(tf32.metadata->at("arithmetic"), fp32.metadata->at("arithmetic"));
  EXPECT_NE(tf32.description, fp32.description);
  EXPECT_THROW(measure_profile(model, gpu, {4}, options, fp32), InputError);
  options.precision = "fp32";
  measure_profile(model, gpu, {2}, options, fp32);
  EXPECT_FALSE(gpu.tf32);
  options.precision = "fp16";
  EXPECT_THROW(measure_profile(model, gpu, {2}, options), InputError);
}

TEST(MeasureGpu, OperationsAreTakenFromAProfileOfTheSameGpuOnly) {
  kernels::FakeGpu gpu = fake_gpu();
  MeasureOptions options = quick();
  options.operators = false;
  options.device_record = {{"uuid_hash", "0123456789abcdef"}};
  const Profile first = measure_profile(make_model("lenet5"), gpu, {2}, options);
  options.operations_from = first;
  const Profile second = measure_profile(make_model("lenet5"), gpu, {4}, options);
  EXPECT_EQ(second.operations, first.operations);
  EXPECT_EQ(second.ceilings, first.ceilings);
  EXPECT_EQ(second.metadata->at("operations"), first.metadata->at("operations"));
  EXPECT_EQ(second.metadata->at("operations_from").at("model"), "lenet5");
  options.device_record = {{"uuid_hash", "another"}};
  EXPECT_THROW(measure_profile(make_model("lenet5"), gpu, {4}, options), InputError);
  options.device_record = {{"uuid_hash", "0123456789abcdef"}};
  options.operations_from->operations = {};
  EXPECT_THROW(measure_profile(make_model("lenet5"), gpu, {4}, options), InputError);
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
  EXPECT_EQ(rotation(gpu, 1 << 20, 1 << 20), 1);
  EXPECT_EQ(rotation(gpu, 1 << 17, 1 << 18), 2);
  EXPECT_EQ(rotation(gpu, 1 << 14, 1 << 15), 9);
  EXPECT_EQ(rotation(gpu, 1, 2), 64);
  EXPECT_EQ(rotation(gpu, 1, 1 << 26), 4);  // of 1 GiB
}

TEST(FitKernel, FindsTheThreePartsAndNothingNegative) {
  std::vector<KernelPoint> points;
  for (const double n : {1e4, 1e5, 1e6, 1e7})
    for (const double parts : {100., 1000., 1e4})
      points.push_back({n, n / parts, 5e-6 + 2e-12 * n + 3e-11 * n / parts});
  const KernelCost cost = fit_kernel(points, true, true);
  EXPECT_NEAR(cost.fixed_s, 5e-6, 1e-10);
  EXPECT_NEAR(cost.per_element_s, 2e-12, 1e-16);
  EXPECT_NEAR(cost.per_pair_s, 3e-11, 1e-14);
  EXPECT_NEAR(cost.residual, 0, 1e-6);
  const KernelCost dense = fit_kernel(points, true, false);
  EXPECT_EQ(dense.per_pair_s, 0);
  EXPECT_GT(dense.residual, 1e-3);
  // Faster than in proportion would need a negative start.
  const std::vector<KernelPoint> bent{{1, 0, 1}, {2, 0, 3}};
  EXPECT_EQ(fit_kernel(bent, true, false).fixed_s, 0);
  EXPECT_EQ(fit_kernel(std::vector<KernelPoint>{{2, 0, 4}}, true, true).seconds(2), 4);
  EXPECT_THROW(fit_kernel({}, true, true), std::invalid_argument);
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
