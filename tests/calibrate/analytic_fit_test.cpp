#include "calibrate/analytic/fit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "calibrate/profile/gpu_ceilings.hpp"

namespace paceline {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

const std::filesystem::path kData = PACELINE_SOURCE_DIR "/calibrate/data/deepbench";

TEST(QualityOf, ABiasCountsInEveryFigure) {
  const FitQuality quality = quality_of({2, 4, 8}, {1, 2, 4});
  EXPECT_EQ(quality.points, 3);
  EXPECT_DOUBLE_EQ(quality.mean_absolute_error, 1);
  EXPECT_DOUBLE_EQ(quality.median_absolute_error, 1);
  EXPECT_DOUBLE_EQ(quality.total_bias, 1);
  EXPECT_NEAR(quality.log_sigma, std::log(2), 1e-12);
  EXPECT_EQ(quality_of({}, {}).points, 0);
}

TEST(AnalyticFit, CommittedLawsAreTheFitOfTheData) {
  ASSERT_EQ(committed_laws().size(), 2);
  for (const LawSet& set : committed_laws()) {
    const std::vector<FittedLaw> again = fit_deepbench(kData, set.column, set.ceilings);
    ASSERT_EQ(again.size(), set.laws.size());
    for (std::size_t i = 0; i < again.size(); ++i) {
      EXPECT_EQ(again[i].name, set.laws[i].name);
      const auto same = [&](double PowerLaw::*field) {
        const double value = again[i].law.*field;
        EXPECT_NEAR(set.laws[i].law.*field, value, 1e-9 * std::max(1.0, std::abs(value)))
            << set.gpu << ' ' << again[i].name;
      };
      same(&PowerLaw::constant);
      same(&PowerLaw::compute_exponent);
      same(&PowerLaw::memory_exponent);
      same(&PowerLaw::steps_exponent);
      const FitQuality &now = again[i].quality, &then = set.laws[i].quality;
      EXPECT_EQ(now.points, then.points);
      EXPECT_NEAR(now.mean_absolute_error, then.mean_absolute_error, 1e-4);
      EXPECT_NEAR(now.total_bias, then.total_bias, 1e-4);
    }
  }
}

TEST(AnalyticFit, EfficiencyNeverFallsWithSize) {
  for (const LawSet& set : committed_laws())
    for (const FittedLaw& law : set.laws) {
      if (law.name.starts_with("rnn")) continue;
      EXPECT_LE(law.law.compute_exponent + law.law.memory_exponent, 1 + 1e-12)
          << set.gpu << law.name;
    }
}

TEST(AnalyticFit, LeastSquaresLeavesNoCorrelatedResidual) {
  // The normal equations hold: the mean logarithmic error of each law is zero.
  const CsvTable table(kData / "conv.csv");
  double sum = 0;
  int rows = 0;
  const LawSet& set = laws_for(find_gpu("1080 Ti"));
  const FitCeilings& ceilings = set.ceilings;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto at = [&](const char* column) { return table.number(row, column); };
    if (table.text(row, "gpu") != "1080Ti" || at("R") != 1 || at("S") != 1) continue;
    const double w = std::floor((at("W") + 2 * at("pw") - 1) / at("sw")) + 1;
    const double h = std::floor((at("H") + 2 * at("ph") - 1) / at("sh")) + 1;
    const double flops = 2 * at("N") * at("K") * at("C") * w * h;
    const double bytes =
        4 * (at("N") * at("C") * at("H") * at("W") + at("N") * at("K") * w * h + at("K") * at("C"));
    sum += std::log(set.law("conv 1x1 forward")(flops / ceilings.sgemm_flops,
                                                bytes / ceilings.memory_bandwidth) /
                    (at("fwd") * 1e-3));
    ++rows;
  }
  EXPECT_EQ(rows, 45);
  EXPECT_NEAR(sum, 0, 1e-9);
}

TEST(AnalyticFit, MeasuredCeilingsOfDeepBench) {
  const auto teraflops = [](const char* gpu) { return deepbench_sgemm_ceiling(kData, gpu) / 1e12; };
  EXPECT_NEAR(teraflops("1080Ti"), 12.12, 0.005);
  EXPECT_NEAR(teraflops("TitanXp"), 11.36, 0.005);
  EXPECT_NEAR(teraflops("TitanX_Pascal"), 10.76, 0.005);
  EXPECT_NEAR(teraflops("P100"), 9.12, 0.005);
  EXPECT_NEAR(teraflops("V100"), 14.78, 0.005);
  EXPECT_NEAR(teraflops("T4"), 4.67, 0.005);
  EXPECT_NEAR(gpu_ceilings(find_gpu("V100")).sgemm_flops / 1e12, teraflops("V100"), 0.005);
  EXPECT_NEAR(gpu_ceilings(find_gpu("1080 Ti")).sgemm_flops / 1e12, teraflops("1080Ti"), 0.005);
}

// The uncertainty that analytic profiles state for other GPUs covers what the transfer misses on
// their own DeepBench convolutions.
TEST(AnalyticFit, StatedUncertaintyCoversTheTransferBias) {
  const std::pair<const char*, const char*> pairs[] = {{"TitanX_Pascal", "Titan X Pascal"},
                                                       {"P100", "P100 SXM2"},
                                                       {"V100", "V100 SXM2"},
                                                       {"T4", "T4"}};
  for (const auto& [column, name] : pairs) {
    const GpuSpec& gpu = find_gpu(name);
    const GpuCeilings ceilings = gpu_ceilings(gpu);
    const FitQuality quality = transfer_quality(laws_for(gpu).laws, kData, column,
                                                {ceilings.sgemm_flops, ceilings.memory_bandwidth});
    EXPECT_LT(std::abs(quality.total_bias), ceilings.relative_sigma) << name;
    EXPECT_LT(quality.median_absolute_error, 0.25) << name;
  }
}

TEST(GpuCeilings, SigmaGrowsAwayFromTheFittedCard) {
  const auto sigma = [](const char* gpu) { return gpu_ceilings(find_gpu(gpu)).relative_sigma; };
  EXPECT_LT(sigma("1080 Ti"), sigma("P100 SXM2"));
  EXPECT_LT(sigma("V100"), sigma("RTX 2080 Ti"));  // data sheet only
  EXPECT_LT(sigma("RTX 2080 Ti"), sigma("H200"));
  for (const GpuSpec& gpu : gpus()) {
    const GpuCeilings ceilings = gpu_ceilings(gpu);
    EXPECT_GT(ceilings.sgemm_flops / gpu.fp32_flops, 0.5) << gpu.name;
    EXPECT_LT(ceilings.sgemm_flops / gpu.fp32_flops, 1.1) << gpu.name;
    EXPECT_LT(ceilings.memory_bandwidth, gpu.memory_bandwidth) << gpu.name;
  }
}

TEST(AnalyticFit, UnknownGpuAndMissingFileAreNamed) {
  EXPECT_THAT(
      [] {
        fit_deepbench(kData, "1080", FitCeilings{1e13, 1e11});
      },
      ThrowsMessage<InputError>(HasSubstr("no rows of GPU '1080'")));
  EXPECT_THAT(
      [] {
        fit_deepbench(kData / "none", "1080Ti", FitCeilings{1e13, 1e11});
      },
      ThrowsMessage<InputError>(HasSubstr("conv.csv")));
}

TEST(AnalyticFit, TableNamesEveryLaw) {
  const std::vector<FittedLaw>& laws = committed_laws().front().laws;
  const std::string table = fit_table(laws);
  for (const FittedLaw& law : laws) EXPECT_THAT(table, HasSubstr(law.name));
}

TEST(CsvTable, QuotesAndErrors) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "paceline_csv_test.csv";
  std::ofstream(file) << "name,pair,x\na,\"1,2\",3.5\nb,c,N/A\n";
  const CsvTable table(file);
  EXPECT_EQ(table.rows(), 2);
  EXPECT_EQ(table.text(0, "pair"), "1,2");
  EXPECT_EQ(table.number(0, "x"), 3.5);
  EXPECT_FALSE(table.is_number(1, "x"));
  EXPECT_THAT([&] { (void)table.number(1, "x"); },
              ThrowsMessage<InputError>(HasSubstr(":3: 'N/A'")));
  EXPECT_THAT([&] { (void)table.text(0, "y"); },
              ThrowsMessage<InputError>(HasSubstr("column 'y'")));
  std::ofstream(file) << "a,b\n1\n";
  EXPECT_THAT([&] { CsvTable{file}; }, ThrowsMessage<InputError>(HasSubstr(":2: 1 fields")));
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace paceline
