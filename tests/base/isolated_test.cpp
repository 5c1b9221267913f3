#include "base/isolated.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::function<Json()> returns(int value) {
  return [value] { return Json(value); };
}

TEST(RunIsolated, AnswersInTheOrderOfTheTasks) {
  std::size_t ended = 0;
  const std::vector<Json> answers = run_isolated({returns(1), returns(2), returns(3)}, 2,
                                                 [&](std::size_t count) { ended = count; });
  EXPECT_EQ(answers, (std::vector<Json>{1, 2, 3}));
  EXPECT_EQ(ended, 3U);
}

TEST(RunIsolated, KeepsTheTypeOfAnError) {
  const auto throws = [](auto error) { return [error]() -> Json { throw error; }; };
  EXPECT_THAT(
      [&] {
        run_isolated({returns(1), throws(InputError("bad"))}, 1);
      },
      ThrowsMessage<InputError>("bad"));
  EXPECT_THAT([&] { run_isolated({throws(CheckFailed("low"))}, 1); },
              ThrowsMessage<CheckFailed>("low"));
  // The name of a file need not be UTF-8.
  EXPECT_THAT([&] { run_isolated({throws(InputError("\xff: bad"))}, 1); },
              ThrowsMessage<InputError>(HasSubstr(": bad")));
}

TEST(RunIsolated, SaysHowATaskDied) {
  const auto dies = []() -> Json { std::abort(); };
  EXPECT_THAT([&] { run_isolated({dies}, 1); },
              ThrowsMessage<std::runtime_error>(HasSubstr("signal 6")));
}

}  // namespace
}  // namespace paceline
