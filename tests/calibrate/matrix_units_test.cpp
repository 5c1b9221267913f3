#include "calibrate/analytic/matrix_units.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

double step(const char* gpu, const char* model, std::int64_t batch, Precision precision) {
  const Model m = make_model(model);
  return step_costs(m, analytic_profile(m, find_gpu(gpu), batch, precision), batch).step_s();
}

// By hand: 2 x 8192 x 1024 x 1024 FLOPs, and 16-bit input, output and weight.
TEST(MatrixUnits, APassIsProductsPlusBytes) {
  GraphBuilder g("one");
  const std::size_t x = g.dense("first", g.input("x", {1024}), {.features = 1024, .bias = false});
  g.dense("second", x, {.features = 1024, .bias = false});
  const Model model = g.build();
  const GpuSpec& gpu = find_gpu("V100");
  const MatrixUnitLaw& law = matrix_unit_law();
  const double batch = 8192;
  const PassTimes times = matrix_unit_times(model.operations()[2], gpu, Precision::fp16, batch);
  const double products = 2 * batch * 1024 * 1024 / (law.product_efficiency * 125e12);
  const double bytes = 2 * (batch * 2048 + 1024 * 1024) / (law.bandwidth_share * 900e9);
  EXPECT_NEAR(times.forward, products + bytes, 1e-12);
  EXPECT_NEAR(times.backward_data, products + bytes, 1e-12);
  EXPECT_NEAR(times.backward_weight, products + bytes, 1e-12);
  // Autocast casts the weight in every forward pass: 4 bytes read, 2 written.
  const PassTimes cast = matrix_unit_times(model.operations()[2], gpu, Precision::amp_fp16, batch);
  EXPECT_NEAR(cast.forward - times.forward, 6 * 1024 * 1024 / (law.bandwidth_share * 900e9), 1e-12);
}

TEST(MatrixUnits, WhatOnlyMovesBytesPaysForItsElements) {
  GraphBuilder g("one");
  g.relu("relu", g.dense("first", g.input("x", {1024}), {.features = 1'000'000}));
  const Model model = g.build();
  const MatrixUnitLaw& law = matrix_unit_law();
  const double elements = 2 * 1e6 * 64, cycles = 80 * 1530e6;
  EXPECT_NEAR(
      matrix_unit_times(model.operations()[2], find_gpu("V100"), Precision::fp16, 64).forward,
      2 * elements / (law.bandwidth_share * 900e9) + elements / (law.elements_per_cycle * cycles),
      1e-12);
}

TEST(MatrixUnits, AreFasterThanFp32WhereThereAreAny) {
  EXPECT_LT(step("A100", "resnet50", 128, Precision::amp_fp16),
            0.8 * step("A100", "resnet50", 128, Precision::tf32));
  EXPECT_LT(step("A100", "bert-base", 32, Precision::tf32),
            0.5 * step("A100", "bert-base", 32, Precision::fp32));
  EXPECT_EQ(step("A100", "bert-base", 32, Precision::amp_fp16),
            step("A100", "bert-base", 32, Precision::amp_bf16));
  // None on Pascal: half the bytes. Lambda's ResNet-50 on a 1080 Ti gains 1.22.
  const double gain = step("1080 Ti", "resnet50", 100, Precision::fp32) /
                      step("1080 Ti", "resnet50", 100, Precision::amp_fp16);
  EXPECT_GT(gain, 1.1);
  EXPECT_LT(gain, 1.7);
}

TEST(MatrixUnits, WhatAGpuHasNotIsRefusedWithWhatItHas) {
  const auto message = [](const char* gpu, Precision precision) {
    try {
      (void)analytic_profile(make_model("resnet18"), find_gpu(gpu), 8, precision);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(message("V100", Precision::bf16), HasSubstr("a V100 SXM2 has no bf16 units: fp16"));
  EXPECT_THAT(message("V100", Precision::tf32), HasSubstr("no TF32 units"));
  EXPECT_EQ(message("V100", Precision::fp16), "accepted");
  EXPECT_EQ(message("H100", Precision::bf16), "accepted");
}

TEST(Precision, NamesAndBytes) {
  for (const std::string& name : precision_names())
    EXPECT_EQ(to_string(precision_from_name(name)), name);
  EXPECT_THROW((void)precision_from_name("fp8"), InputError);
  EXPECT_EQ(precision_of_profile("fp64"), Precision::fp32);
  // A parameter without its slot: fp32 weight, 16-bit copy and fp32 gradient; 16 bits twice and fp32.
  const ElementBytes amp = element_bytes(Precision::amp_bf16),
                     half = element_bytes(Precision::bf16);
  EXPECT_EQ(amp.weights + amp.gradients + amp.master, 10);
  EXPECT_EQ(half.weights + half.gradients + half.master, 8);
  EXPECT_EQ(default_wire(Precision::amp_fp16), "fp32");
  EXPECT_EQ(default_wire(Precision::fp16), "fp16");
  EXPECT_EQ(default_wire(Precision::bf16), "bf16");
}

}  // namespace
}  // namespace paceline
