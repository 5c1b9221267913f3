#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "experiments/axis_values.hpp"

namespace paceline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::string> values(const std::string& text) {
  return values_of_text(text, "here");
}

TEST(Values, RangesStepMultiplyAndSpread) {
  EXPECT_THAT(values("1..4"), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(values("8..40:16"), ElementsAre("8", "24", "40"));
  EXPECT_THAT(values("8..100:x2"), ElementsAre("8", "16", "32", "64"));
  EXPECT_THAT(values("0.1..0.3:0.1"), ElementsAre("0.1", "0.2", "0.3"));
  EXPECT_THAT(values("0..1:lin5"), ElementsAre("0", "0.25", "0.5", "0.75", "1"));
  EXPECT_THAT(values("1Gbps..100Gbps:log3"), ElementsAre("1Gbps", "10Gbps", "100Gbps"));
  EXPECT_THAT(values("10us..30us:10us"), ElementsAre("10us", "20us", "30us"));
}

TEST(Values, AreAsTheyWereWhereTheyAreNoRange) {
  EXPECT_THAT(values("s-sgd:overlap=ddp,../mine.json,2..3"),
              ElementsAre("s-sgd:overlap=ddp", "../mine.json", "2", "3"));
  EXPECT_THAT(values(R"({"kind":"torus","dimensions":[4,4]},star)"),
              ElementsAre(R"({"kind":"torus","dimensions":[4,4]})", "star"));
  EXPECT_THAT(values("a..b"), ElementsAre("a..b"));
}

TEST(Values, ThatAreWrongSayWhy) {
  const auto refused = [](const std::string& text, const char* why) {
    EXPECT_THAT([&] { values(text); }, ThrowsMessage<InputError>(HasSubstr(why))) << text;
  };
  refused("64..8", "empty range, 0 values");
  refused("1..1000000000", "has 1000000000 values; at most 1000000 are run");
  refused("1Gbps..40Mbps:log9", "two units");
  refused("0..8:x2", "begins at 0");
  refused("1..8:x1", "does not lead up");
  refused("1..8:0", "does not lead up");
  refused("1..8:log1", "2 or more");
  refused("1..8:log", "how many values");
  refused("0.5..0.9", "does not say how it steps");
  refused("1..8:often", "is no step");
  refused("1,,2", "an empty value");
}

TEST(Values, OfLabelsAreInBaseUnits) {
  EXPECT_DOUBLE_EQ(*number_of_label("10Gbps"), 1.25e9);
  EXPECT_DOUBLE_EQ(*number_of_label("50us"), 50e-6);
  EXPECT_DOUBLE_EQ(*number_of_label("1e3"), 1000);
  EXPECT_DOUBLE_EQ(*number_of_label("32MiB"), 32.0 * 1024 * 1024);
  EXPECT_FALSE(number_of_label("16x1-1080ti-10gbe"));
  EXPECT_FALSE(number_of_label("DDP buckets"));
}

}  // namespace
}  // namespace paceline
