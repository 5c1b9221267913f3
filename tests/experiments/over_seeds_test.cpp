#include "experiments/over_seeds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/plot/svg_plot.hpp"

namespace paceline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ComparedRow row(const std::string& schedule, const std::string& seed, std::optional<double> time,
                double accuracy) {
  ComparedRow r{{schedule, seed}, {}};
  TrainingOutcome training;
  training.target = 0.9;
  training.time_to_target_s = time;
  training.final_accuracy = accuracy;
  r.result.job.training = training;
  return r;
}

Comparison example() {
  Comparison c;
  c.axes = {"schedule", "seed"};
  c.rows = {row("a", "1", 1.0, 0.95), row("a", "2", 1.2, 0.93), row("b", "1", 1.1, 0.91),
            row("b", "2", 2.0, 0.90), row("c", "1", 3.0, 0.90), row("c", "2", {}, 0.85)};
  return c;
}

TEST(OverSeeds, GroupsAndSpreads) {
  const Comparison comparison = example();
  const OverSeeds all = over_seeds(comparison);
  EXPECT_THAT(all.axes, ElementsAre("schedule"));
  ASSERT_EQ(all.groups.size(), 3U);
  EXPECT_EQ(all.seeds, 2U);
  const SeedSpread a = *all.groups[0].time_to_target(), b = *all.groups[1].time_to_target(),
                   c = *all.groups[2].time_to_target();
  EXPECT_DOUBLE_EQ(a.mean, 1.1);
  EXPECT_EQ(a.least, 1.0);
  EXPECT_EQ(a.most, 1.2);
  EXPECT_FALSE(a.apart_from(b));  // 1.1 lies between 1.0 and 1.2
  EXPECT_TRUE(a.apart_from(c));
  EXPECT_EQ(c.count, 1U);
  EXPECT_DOUBLE_EQ(all.groups[2].accuracy()->mean, 0.875);
}

TEST(OverSeeds, WithoutThatAxisEveryRowIsItsOwnGroup) {
  Comparison comparison = example();
  comparison.axes = {"schedule", "data"};
  EXPECT_EQ(over_seeds(comparison).groups.size(), 6U);
  EXPECT_EQ(over_seeds(comparison).seeds, 1U);
}

TEST(OverSeeds, CurvesOverTheStepsThatAllHave) {
  const SpreadCurve curve =
      spread_curve({{{10, 1.0, 5}, {20, 2.0, 3}, {30, 3.0, 1}}, {{10, 1.2, 7}, {20, 2.2, 2}}});
  EXPECT_THAT(curve.x, ElementsAre(1.1, 2.1));
  EXPECT_THAT(curve.mean, ElementsAre(6, 2.5));
  EXPECT_THAT(curve.least, ElementsAre(5, 2));
  EXPECT_THAT(curve.most, ElementsAre(7, 3));
}

std::vector<double> label_heights(const std::string& svg) {
  std::vector<double> heights;
  for (std::size_t at = svg.find(">run "); at != std::string::npos;
       at = svg.find(">run ", at + 1)) {
    const std::size_t y = svg.rfind(" y=\"", at);
    heights.push_back(std::stod(svg.substr(y + 4)));
  }
  return heights;
}

TEST(SvgPlot, TwentyNamesDoNotCoverOneAnother) {
  std::vector<PlotSeries> series;
  for (int i = 0; i < 20; ++i)
    series.push_back({"run " + std::to_string(i), {0.5, 1}, {1, 0.001 * i}, {0.9, 0}, {1.1, 0.1}});
  const std::string svg = svg_line_chart(series, {"title", "x", "y", true, true});
  std::vector<double> heights = label_heights(svg);
  ASSERT_EQ(heights.size(), 20U);
  std::sort(heights.begin(), heights.end());
  for (std::size_t i = 1; i < heights.size(); ++i) EXPECT_GT(heights[i] - heights[i - 1], 13);
  EXPECT_THAT(svg, HasSubstr("fill-opacity"));  // the bands
}

TEST(SvgPlot, LogarithmicAxisLeavesOutZero) {
  const std::string svg =
      svg_line_chart({{"run", {0, 0.1, 10}, {5, 4, 3}}}, {"title", "x", "y", false, true});
  EXPECT_THAT(svg, HasSubstr(">0.1<"));
  EXPECT_THAT(svg, HasSubstr(">10<"));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace paceline
