#include "calibrate/transfer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "calibrate/analytic.hpp"
#include "calibrate/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

const TransferGpu kFast{{50e12, 4e12}, 4e-6};
const TransferGpu kSlow{{10e12, 400e9}, 6e-6};

// Stands for a measured profile: the analytic times under the other name.
Profile measured(const Model& model, const char* gpu, std::int64_t batch) {
  Profile profile = analytic_profile(model, find_gpu(gpu), batch);
  profile.source = ProfileSource::measured;
  profile.uncertainty = 0.02;
  return profile;
}

TEST(RooflineTransfer, ScalesByTheCeilingThatBinds) {
  const TransferAnchor compute{"gemm", 1e12, 1e6, false, 0, 0};
  const TransferAnchor memory{"gemm", 1e6, 1e9, false, 0, 0};
  EXPECT_NEAR(roofline_transfer(4e-6 + 40e-3, compute, kFast, kSlow), 6e-6 + 200e-3, 1e-9);
  EXPECT_NEAR(roofline_transfer(4e-6 + 1e-3, memory, kFast, kSlow), 6e-6 + 10e-3, 1e-9);
}

TEST(RooflineTransfer, TheSameGpuChangesNothingWhateverTheTime) {
  for (const double seconds : {1e-6, 4e-6, 1e-5, 1e-3, 1.0})
    for (const double flops : {1e3, 1e9, 1e12})
      for (const bool three : {false, true}) {
        const TransferAnchor kernel{"gemm", flops, 1e7, three, 0, 0};
        EXPECT_NEAR(roofline_transfer(seconds, kernel, kFast, kFast), seconds, 1e-12 * seconds);
      }
}

TEST(TransferModel, FindsAConstantFactorOfAClass) {
  std::vector<TransferAnchor> anchors;
  for (int i = 0; i < 40; ++i) {
    TransferAnchor kernel{"gemm", std::pow(10, 8 + i % 5), std::pow(10, 6 + i % 3), false, 0, 0};
    kernel.from_s = 1e-3 * (1 + i);
    kernel.to_s = 1.7 * roofline_transfer(kernel.from_s, kernel, kFast, kSlow);
    anchors.push_back(kernel);
  }
  const TransferModel model(kFast, kSlow, anchors);
  for (const TransferAnchor& kernel : anchors)
    EXPECT_NEAR(model.seconds(kernel.from_s, kernel) / kernel.to_s, 1, 0.02);
  EXPECT_LT(model.sigma("gemm"), 0.02);
  EXPECT_GT(model.sigma("conv 3x3 forward"), 0.1);  // no anchors: what raw transfers showed
}

TEST(TransferProfile, TheSameGpuGivesTheSameTimesAndStillDoesNotLookMeasured) {
  const Model model = make_model("resnet20");
  const Profile from = measured(model, "V100 SXM2", 32);
  const GpuSpec& gpu = find_gpu("V100 SXM2");
  const Profile to = transfer_profile(from, model, gpu, gpu, {});
  EXPECT_EQ(to.source, ProfileSource::transferred);
  EXPECT_EQ(to.parent, profile_hash(from));
  EXPECT_NEAR(to.uncertainty, from.uncertainty, 1e-12);
  for (std::size_t i = 0; i < from.batches[0].layers.size(); ++i) {
    const LayerTimes &a = from.batches[0].layers[i], &b = to.batches[0].layers[i];
    EXPECT_NEAR(b.forward.median_s, a.forward.median_s, 1e-9 * a.forward.median_s);
    EXPECT_NEAR(b.backward_data.median_s, a.backward_data.median_s,
                1e-9 * a.backward_data.median_s);
  }
  EXPECT_EQ(read_profile(profile_json(to), "file"), to);
}

TEST(TransferProfile, CarriesUncertaintyOfTheSourceAndOfEachLayer) {
  const Model model = make_model("resnet20");
  const Profile from = measured(model, "V100 SXM2", 32);
  const Profile to = transfer_profile(from, model, find_gpu("V100 SXM2"), find_gpu("GTX 1080 Ti"),
                                      deepbench_anchors("V100", "1080Ti"));
  EXPECT_EQ(to.device, "GTX 1080 Ti");
  EXPECT_GT(to.uncertainty, 0.05);
  EXPECT_LT(to.uncertainty, 0.5);
  const Json& sigmas = to.metadata.at("layer_sigma");
  EXPECT_GE(sigmas.size(), 20);
  for (const auto& [name, sigma] : sigmas.items())
    EXPECT_GE(sigma.get<double>(), from.uncertainty) << name;
  const double ratio = step_costs(model, to, 32).step_s() / step_costs(model, from, 32).step_s();
  EXPECT_GT(ratio, 1);
  EXPECT_LT(ratio, 4);
}

TEST(TransferProfile, RefusesWhatWasNotMeasuredAndOtherModels) {
  const Model model = make_model("lenet5");
  const GpuSpec &v100 = find_gpu("V100 SXM2"), &t4 = find_gpu("T4");
  const Profile analytic = analytic_profile(model, v100, 8);
  EXPECT_THAT([&] { transfer_profile(analytic, model, v100, t4, {}); },
              ThrowsMessage<InputError>(HasSubstr("it is analytic, not measured")));
  const Profile from = measured(model, "V100 SXM2", 8);
  EXPECT_THAT([&] { transfer_profile(from, make_model("resnet20"), v100, t4, {}); },
              ThrowsMessage<InputError>(HasSubstr("it is not of 'resnet20-cifar'")));
  Profile half = from;
  half.precision = "fp16";
  EXPECT_THAT([&] { transfer_profile(half, model, v100, t4, {}); },
              ThrowsMessage<InputError>(HasSubstr("precision is fp16")));
  Profile cut = from;
  cut.batches[0].layers.pop_back();
  EXPECT_THAT([&] { transfer_profile(cut, model, v100, t4, {}); },
              ThrowsMessage<InputError>(HasSubstr("layers")));
}

// Cross-validated on kernels that the correction has not seen.
class DeepBenchPair : public testing::TestWithParam<std::pair<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(Pairs, DeepBenchPair, testing::ValuesIn(validation_pairs()));

TEST_P(DeepBenchPair, ConvolutionsTransferWithinTheStatedErrors) {
  const auto& [from, to] = GetParam();
  int convolutions = 0;
  for (const TransferErrors& errors : validate_transfer(from, to)) {
    if (!errors.group.starts_with("conv")) continue;
    ++convolutions;
    EXPECT_GE(errors.corrected.points, 80) << errors.group;
    EXPECT_LT(errors.corrected.mean_absolute_error, 0.25) << errors.group;
    EXPECT_LT(errors.corrected.median_absolute_error, 0.16) << errors.group;
    EXPECT_LT(errors.corrected.mean_absolute_error, errors.raw.mean_absolute_error) << errors.group;
  }
  EXPECT_EQ(convolutions, 3);
}

TEST(ValidateTransfer, AnUnknownGpuIsNamed) {
  EXPECT_THAT([] { validate_transfer("1080Tii", "V100"); },
              ThrowsMessage<InputError>(HasSubstr("did you mean '1080Ti'")));
}

}  // namespace
}  // namespace paceline
