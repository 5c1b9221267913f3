#include "studies/search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace paceline {
namespace {

using Function = std::function<Evaluation(const Setting&)>;

// Looks at every setting once only, and at no more than it may.
SearchResult best_of(const std::vector<SearchAxis>& axes, std::size_t constraints,
                     std::size_t evaluations, const Function& function,
                     std::vector<Setting>* order = nullptr) {
  std::set<Setting> seen;
  const SearchResult result =
      search(axes, constraints, evaluations, [&](const std::vector<Setting>& settings) {
        std::vector<Evaluation> evaluations_of;
        for (const Setting& setting : settings) {
          EXPECT_TRUE(seen.insert(setting).second);
          if (order != nullptr) order->push_back(setting);
          evaluations_of.push_back(function(setting));
        }
        return evaluations_of;
      });
  EXPECT_LE(seen.size(), evaluations);
  EXPECT_EQ(seen.size(), result.evaluated);
  return result;
}

SearchResult exhaustively(const std::vector<SearchAxis>& axes, std::size_t constraints,
                          const Function& function) {
  const SearchResult result = best_of(axes, constraints, 10'000'000, function);
  EXPECT_TRUE(result.all);
  return result;
}

double share(const Setting& setting, std::size_t axis, std::size_t values) {
  return static_cast<double>(setting[axis]) / static_cast<double>(values - 1);
}

TEST(Search, LooksAtAllWhereThatIsEnough) {
  const SearchResult result = best_of({{4}, {5, false}}, 0, 20, [](const Setting& s) -> Evaluation {
    return {static_cast<double>(s[0] * s[0]) - 3.0 * static_cast<double>(s[0] * s[1]), {}};
  });
  EXPECT_TRUE(result.all);
  EXPECT_EQ(result.evaluated, 20U);
  EXPECT_THAT(result.best, ::testing::ElementsAre(3, 4));
}

TEST(Search, FindsTheBottomOfAValley) {
  constexpr std::size_t kValues = 10'001;
  const SearchResult result =
      best_of({{kValues}, {kValues}}, 0, 200, [](const Setting& s) -> Evaluation {
        const double x = share(s, 0, kValues) - 0.3217, y = share(s, 1, kValues) - 0.8123;
        return {x * x + 4 * y * y + x * y, {}};
      });
  EXPECT_THAT(result.best, ::testing::ElementsAre(3217, 8123));
  EXPECT_TRUE(result.no_neighbour);
}

// Names, whole numbers and a share; every name has its own valley, and there are steps and holes.
TEST(Search, AgreesWithAllSettingsOfAMixedGrid) {
  const std::vector<SearchAxis> axes{{4, false}, {64}, {41}};
  for (int shape = 0; shape < 6; ++shape) {
    const Function function = [shape](const Setting& s) -> Evaluation {
      const double period = static_cast<double>(s[1]) + 1, part = share(s, 2, 41);
      if (s[0] == 2 && s[1] % 7 == 3) return {};  // cannot be run
      const double best = 3 + 5 * static_cast<double>((s[0] + static_cast<std::size_t>(shape)) % 4);
      return {std::max(1.0, best / period) + 0.01 * period +
                  0.3 * std::abs(part - 0.1 * static_cast<double>(shape % 10)) +
                  0.05 * static_cast<double>((s[0] * 7 + static_cast<std::size_t>(shape)) % 4),
              {}};
    };
    const SearchResult all = exhaustively(axes, 0, function),
                       some = best_of(axes, 0, 300, function);
    EXPECT_DOUBLE_EQ(*some.evaluation.value, *all.evaluation.value) << shape;
    EXPECT_FALSE(some.all);
  }
}

// The least x with a + b / x below a limit is b / (limit - a).
TEST(Search, GoesToTheBorderOfWhatIsAllowed) {
  constexpr std::size_t kValues = 10'001;
  for (const double limit : {0.2, 0.5, 0.9}) {
    const Function function = [limit](const Setting& s) -> Evaluation {
      const double x = std::pow(100, share(s, 0, kValues));
      return {x, {(0.1 + 1 / x - limit) / limit}};
    };
    const SearchResult result = best_of({{kValues}}, 1, 100, function);
    const double exact = 1 / (limit - 0.1), step = std::pow(100, 1.0 / (kValues - 1));
    EXPECT_TRUE(result.evaluation.allowed()) << limit;
    EXPECT_GE(*result.evaluation.value, exact * (1 - 1e-12));
    EXPECT_LE(*result.evaluation.value, exact * step * (1 + 1e-9)) << limit;
  }
}

TEST(Search, SaysThatNothingIsAllowedAndWhatIsNearest) {
  const SearchResult result = best_of({{1000}}, 1, 60, [](const Setting& s) -> Evaluation {
    return {1, {0.5 + std::abs(share(s, 0, 1000) - 0.25)}};
  });
  EXPECT_FALSE(result.evaluation.allowed());
  EXPECT_NEAR(static_cast<double>(result.best[0]), 250, 1);
}

TEST(Search, TakesTheFirstOfEquallyGoodOnes) {
  const SearchResult result = best_of({{300}, {3, false}}, 0, 120, [](const Setting& s) {
    return Evaluation{s[0] >= 100 ? 1.0 : 2.0, {}};
  });
  EXPECT_DOUBLE_EQ(*result.evaluation.value, 1);
  EXPECT_EQ(result.best[1], 0U);
}

TEST(Search, IsTheSameEveryTime) {
  const std::vector<SearchAxis> axes{{3, false}, {500}, {10'001}};
  const Function function = [](const Setting& s) -> Evaluation {
    return {std::cos(static_cast<double>(s[0] * 31 + s[1])) + share(s, 2, 10'001), {}};
  };
  std::vector<Setting> first, second;
  (void)best_of(axes, 0, 150, function, &first);
  (void)best_of(axes, 0, 150, function, &second);
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace paceline
