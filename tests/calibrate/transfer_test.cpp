#include "calibrate/transfer/transfer.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

const TransferGpu kFast{{50e12, 4e12}, 4e-6, 0, 0};
const TransferGpu kSlow{{10e12, 400e9}, 6e-6, 0, 0};
const TransferGpu kFastWithL2{{50e12, 4e12}, 4e-6, 60e6, 12e12};
const TransferGpu kSlowWithL2{{10e12, 400e9}, 6e-6, 3e6, 800e9};

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

TEST(RooflineTransfer, TensorsInTheL2MoveAtItsBandwidth) {
  const auto kernel = [](double bytes) {
    return TransferAnchor{"streaming", 1, bytes, false, 0, 0};
  };
  const auto ratio = [&](double bytes, const TransferGpu& from, const TransferGpu& to) {
    return (roofline_transfer(1e-3 + from.launch_s, kernel(bytes), from, to) - to.launch_s) / 1e-3;
  };
  // In both; in the first alone, whose speed then matters more; in none.
  EXPECT_NEAR(ratio(1e6, kFastWithL2, kSlowWithL2), 12e12 / 800e9, 1e-6);
  EXPECT_NEAR(ratio(10e6, kFastWithL2, kSlowWithL2), 12e12 / 400e9, 1e-6);
  EXPECT_NEAR(ratio(100e6, kFastWithL2, kSlowWithL2), 4e12 / 400e9, 1e-6);
  // The second's bandwidth is not known: it is needed for the first only.
  TransferGpu unknown = kSlowWithL2;
  unknown.l2_bandwidth = 0;
  EXPECT_NEAR(ratio(1e6, kFastWithL2, unknown), 4e12 / 400e9, 1e-6);
  EXPECT_NEAR(ratio(10e6, kFastWithL2, unknown), 12e12 / 400e9, 1e-6);
  EXPECT_EQ(l2_use(kernel(1e6), kFastWithL2, unknown), L2Use::unknown);
  EXPECT_EQ(l2_use(kernel(10e6), kFastWithL2, unknown), L2Use::known);
  EXPECT_EQ(l2_use(kernel(100e6), kFastWithL2, unknown), L2Use::none);
  const TransferModel model(kFastWithL2, unknown);
  EXPECT_GT(model.sigma(kernel(1e6)), model.sigma(kernel(10e6)));
  // Weights are not there from the step before.
  for (const char* law : {"gemm", "rnn forward"})
    EXPECT_EQ(transfer_bandwidths({law, 1, 1e6, false, 0, 0}, kFastWithL2, kSlowWithL2).first,
              4e12);
}

TEST(TransferModel, KappaIsHeldBeyondItsAnchorsAndItsSigmaIsOfKernelsNotSeen) {
  std::vector<TransferAnchor> anchors;
  for (int i = 0; i < 60; ++i) {
    TransferAnchor kernel{"gemm", std::pow(10, 8 + i % 3), std::pow(10, 6 + i % 2), false, 0, 0};
    kernel.from_s = 1e-3 * (1 + i);
    kernel.to_s = std::pow(kernel.flops, 0.1) * (i % 4 == 0 ? 1.5 : 1) *
                  roofline_transfer(kernel.from_s, kernel, kFast, kSlow);
    anchors.push_back(kernel);
  }
  const TransferModel model(kFast, kSlow, anchors);
  const auto kappa = [&](double flops, double bytes) {
    const TransferAnchor kernel{"gemm", flops, bytes, false, 0, 0};
    return model.seconds(1, kernel) / roofline_transfer(1, kernel, kFast, kSlow);
  };
  EXPECT_GT(kappa(1e10, 1e6), kappa(1e8, 1e6));
  EXPECT_DOUBLE_EQ(kappa(1e16, 1e10), kappa(1e18, 1e12));
  EXPECT_GT(model.sigma("gemm"), 0.12);
  EXPECT_EQ(model.record()[0].at("anchors"), 60);
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
  const Profile to = transfer_profile(from, model, gpu, {});
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
  const Profile to =
      transfer_profile(from, model, find_gpu("GTX 1080 Ti"), deepbench_anchors("V100", "1080Ti"));
  EXPECT_EQ(to.device, "GTX 1080 Ti");
  EXPECT_GT(to.uncertainty, 0.05);
  EXPECT_LT(to.uncertainty, 0.5);
  const Json& sigmas = to.metadata->at("layer_sigma");
  EXPECT_GE(sigmas.size(), 20);
  for (const auto& [name, sigma] : sigmas.items())
    EXPECT_GE(sigma.get<double>(), from.uncertainty) << name;
  const double ratio = step_costs(model, to, 32).step_s() / step_costs(model, from, 32).step_s();
  EXPECT_GT(ratio, 1);
  EXPECT_LT(ratio, 4);
}

// Refuses `from` as model's profile, for that reason.
void refuses(const Profile& from, const Model& model, const std::string& why) {
  EXPECT_THAT([&] { transfer_profile(from, model, find_gpu("T4"), {}, "a.json"); },
              ThrowsMessage<InputError>(HasSubstr("a.json: " + why)));
}

TEST(TransferProfile, RefusesWhatWasNotMeasuredAndOtherModels) {
  const Model model = make_model("lenet5");
  refuses(analytic_profile(model, find_gpu("V100"), 8), model,
          "$.source: it is analytic, not measured");
  const Profile from = measured(model, "V100 SXM2", 8);
  refuses(from, make_model("resnet20"), "$.model: it is not of 'resnet20-cifar'");
  Profile half = from;
  half.precision = "fp16";
  refuses(half, model, "$.precision: its precision is fp16");
}

TEST(TransferProfile, RefusesLayersThatAreNotTheModels) {
  const Model model = make_model("lenet5");
  const Profile from = measured(model, "V100 SXM2", 8);
  const std::string first = from.batches[0].layers.front().name;
  Profile cut = from;
  cut.batches[0].layers.pop_back();
  refuses(cut, model, "$.batches[0].layers: expected the ");
  Profile reversed = from;
  std::reverse(reversed.batches[0].layers.begin(), reversed.batches[0].layers.end());
  refuses(reversed, model, "$.batches[0].layers[0].name: expected '" + first + "'");
  Profile renamed = from;
  renamed.batches[0].layers[2].name = "other";
  refuses(renamed, model, "$.batches[0].layers[2].name: expected ");
}

TEST(TransferProfile, RefusesSpeedsThatNoDeviceHas) {
  const Model model = make_model("lenet5");
  const Profile from = measured(model, "V100 SXM2", 8);
  Profile wrong = from;
  wrong.ceilings.memory_bandwidth = std::numeric_limits<double>::infinity();
  refuses(wrong, model, "$.ceilings.memory_bandwidth: expected a value between");
  wrong = from;
  wrong.ceilings.sgemm_flops = 1e-300;
  refuses(wrong, model, "$.ceilings.sgemm: expected a value between");
  wrong = from;
  wrong.ceilings.l2_bandwidth = 1e-3;
  refuses(wrong, model, "$.ceilings.l2_bandwidth: expected a value between");
  wrong = from;
  wrong.operations.launch_s = 1e9;
  refuses(wrong, model, "$.operations.launch: expected at most 1 s");
  wrong = from;
  wrong.uncertainty = 10;
  refuses(wrong, model, "$.uncertainty: 10 becomes 10.0");
}

TEST(TransferProfile, ALaunchMayCostNothing) {
  const Model model = make_model("lenet5");
  Profile from = measured(model, "V100 SXM2", 8);
  from.operations.launch_s = 0;
  const Profile to = transfer_profile(from, model, find_gpu("T4"), {});
  const double step = step_costs(model, to, 8).step_s();
  EXPECT_GT(step, 1e-6);
  EXPECT_LT(step, 1);
  const GpuSpec& same = find_gpu("V100 SXM2");
  EXPECT_NEAR(step_costs(model, transfer_profile(from, model, same, {}), 8).step_s(),
              step_costs(model, from, 8).step_s(), 1e-9);
}

TEST(TransferProfile, ADeviceOutsideTheTableNeedsCeilingsOfItsOwn) {
  const Model model = make_model("lenet5");
  Profile from = measured(model, "V100 SXM2", 8);
  from.device = "NVIDIA GeForce RTX 4060";
  from.ceilings = {60e12, 900e9, 4e12};
  EXPECT_EQ(transfer_profile(from, model, find_gpu("T4"), {}).metadata->at("parent_device"),
            "NVIDIA GeForce RTX 4060");
  EXPECT_EQ(transfer_source(from, "a.json").ceilings.sgemm_flops, 60e12);
  from.ceilings.memory_bandwidth.reset();
  refuses(from, model, "$.ceilings.memory_bandwidth: missing, and 'NVIDIA GeForce RTX 4060'");
}

// Backward as one: the part of each pass follows from the time it would take at the ceilings.
TEST(TransferProfile, ABackwardPassTimedAsOneIsSplitByTime) {
  const Model model = make_model("lenet5");
  Profile from = measured(model, "V100 SXM2", 64);
  from.ceilings = {1e12, 1e15, {}};  // no pass is bound by memory
  for (LayerTimes& layer : from.batches[0].layers) {
    layer.backward_data.median_s = 1e-3;
    layer.backward_weight.median_s = 0;
  }
  from.operations.launch_s = 0;
  const TransferModel transfer(transfer_source(from, "a"), transfer_gpu(find_gpu("T4")));
  const Profile to = transfer_profile(from, model, find_gpu("T4"), {});
  const std::vector<std::size_t> timed = timed_operations(model);
  int seen = 0;
  for (std::size_t i = 0; i < timed.size(); ++i) {
    const Operation& op = model.operations()[timed[i]];
    if (!op.is<DenseOp>() || op.backward_data_flops == 0) continue;
    // The weight gradient moves other bytes than dx, which must not matter here.
    const double data = op.backward_data_flops * 64, weight = op.backward_weight_flops * 64;
    const auto part = [&](double flops, double bytes) {
      return transfer.seconds(1e-3 * flops / (data + weight), {"gemm", flops, bytes, false, 0, 0});
    };
    const double expected =
        part(data, (op.backward_bytes - op.backward_weight_bytes) * 64 + op.parameter_bytes) +
        part(weight, op.backward_weight_bytes * 64 + op.gradient_bytes);
    EXPECT_NEAR(to.batches[0].layers[i].backward_data.median_s, expected, 1e-9);
    ++seen;
  }
  EXPECT_GE(seen, 2);
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

TEST_P(DeepBenchPair, ProductsAndRecurrentLayersTransferWithinTheStatedErrors) {
  const auto& [from, to] = GetParam();
  for (const TransferErrors& errors : validate_transfer(from, to)) {
    if (errors.group.starts_with("conv")) continue;
    EXPECT_GE(errors.corrected.points, 150) << errors.group;
    EXPECT_LT(errors.corrected.mean_absolute_error, 0.42) << errors.group;
    EXPECT_LT(errors.corrected.median_absolute_error, 0.27) << errors.group;
    EXPECT_LT(errors.corrected.log_sigma, errors.raw.log_sigma + 0.02) << errors.group;
  }
}

// docs/transfer.md has a row for every pair and group, and no other.
TEST(DeepBenchPairs, TheDocumentStatesTheErrorsThatValidateTransferFinds) {
  std::ifstream document(PACELINE_SOURCE_DIR "/docs/transfer.md");
  std::vector<std::string> stated, found;
  for (std::string line; std::getline(document, line);)
    if (line.find(" | conv ") != std::string::npos || line.find(" | gemm |") != std::string::npos ||
        line.find(" | rnn |") != std::string::npos)
      stated.push_back(line);
  for (const auto& [from, to] : validation_pairs())
    for (const TransferErrors& errors : validate_transfer(from, to))
      found.push_back(markdown_row(errors));
  EXPECT_THAT(stated, testing::ElementsAreArray(found));
}

TEST(ValidateTransfer, AnUnknownGpuIsNamed) {
  EXPECT_THAT([] { validate_transfer("1080Tii", "V100"); },
              ThrowsMessage<InputError>(HasSubstr("did you mean '1080Ti'")));
}

}  // namespace
}  // namespace paceline
