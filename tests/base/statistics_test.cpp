#include "base/statistics.hpp"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <vector>

namespace paceline {
namespace {

TEST(Statistics, QuartilesOfKnownSamples) {
  // R: quantile(c(7, 1, 3, 10), c(.25, .5, .75)) -> 2.5 5.0 7.75
  const Quartiles q = quartiles(std::array{7.0, 1.0, 3.0, 10.0});
  EXPECT_DOUBLE_EQ(q.p25, 2.5);
  EXPECT_DOUBLE_EQ(q.median, 5.0);
  EXPECT_DOUBLE_EQ(q.p75, 7.75);
}

TEST(Statistics, MedianOfOddCountIsASample) {
  EXPECT_EQ(median(std::array{9.0, 1.0, 4.0}), 4.0);
}

TEST(Statistics, OneValueIsAllItsQuantiles) {
  const Quartiles q = quartiles(std::array{3.5});
  EXPECT_EQ(q.p25, 3.5);
  EXPECT_EQ(q.median, 3.5);
  EXPECT_EQ(q.p75, 3.5);
}

TEST(Statistics, ExtremesAreTheEnds) {
  const std::vector<double> values{5, 2, 8};
  EXPECT_EQ(quantile(values, 0), 2);
  EXPECT_EQ(quantile(values, 1), 8);
}

TEST(Statistics, RefusesNoValuesAndBadShares) {
  EXPECT_THROW(median({}), std::invalid_argument);
  EXPECT_THROW(quantile(std::array{1.0}, 1.01), std::invalid_argument);
  EXPECT_THROW(quantile(std::array{1.0}, -0.01), std::invalid_argument);
}

}  // namespace
}  // namespace paceline
