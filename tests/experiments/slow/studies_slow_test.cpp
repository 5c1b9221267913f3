// The figures of docs/studies.md that take longest.

#include <gtest/gtest.h>

#include "../studies.hpp"
#include "experiments/complexity.hpp"

namespace paceline {
namespace {

constexpr double kEqual = 0.005;  // "equal": within half a percent

// The last column of the table, from the three times.
std::string verdict(double s_sgd, double asgd, double od_sgd) {
  const auto same = [](double a, double b) { return std::abs(a - b) < kEqual * std::min(a, b); };
  if (same(s_sgd, asgd) && same(asgd, od_sgd) && same(s_sgd, od_sgd)) return "all within 0.5 %";
  if (od_sgd < asgd && asgd < s_sgd && !same(od_sgd, asgd) && !same(asgd, s_sgd)) return "yes";
  const std::string fastest = od_sgd < asgd ? "no: fastest is OD-SGD" : "no: fastest is ASGD";
  return same(s_sgd, asgd) ? fastest + ", S-SGD and ASGD equal" : fastest;
}

class OdSgdStudy : public ::testing::TestWithParam<const char*> {};

TEST_P(OdSgdStudy, Table) {
  const std::string cluster = GetParam();
  const std::map<Cells, double> times = study_times("odsgd-ps", cluster);
  std::size_t rows = 0;
  for (const Cells& row :
       study_table({"cluster", "model", "S-SGD", "ASGD", "OD-SGD", "OD > ASGD > S-SGD"})) {
    if (row[0] != cluster) continue;
    const std::string what = cluster + ", " + row[1];
    double ms[3];
    const char* names[] = {"S-SGD", "ASGD", "OD-SGD"};
    for (std::size_t i = 0; i < 3; ++i) {
      ms[i] = 1e3 * times.at({cluster, row[1], names[i]});
      expect_printed(row[2 + i], ms[i], what);
    }
    EXPECT_EQ(row[5], verdict(ms[0], ms[1], ms[2])) << what;
    EXPECT_LE(ms[2], ms[0]) << what << ": OD-SGD is never slower than S-SGD";
    ++rows;
  }
  EXPECT_EQ(rows, 5U);
}

INSTANTIATE_TEST_SUITE_P(Clusters, OdSgdStudy,
                         ::testing::Values("8 servers, 10 GbE, even", "8 servers, 10 GbE, jitter",
                                           "8 servers, 25 GbE, jitter",
                                           "8 servers, 25 GbE, one at 0.9",
                                           "8 servers, 25 GbE, half at 0.5",
                                           "1 server, 10 GbE, jitter"));

TEST(AllSchedules, SideBySide) {
  const std::map<Cells, double> times = study_times("all-schedules");
  EXPECT_EQ(times.size(), 36U);  // none below a floor: that would have thrown
  const auto time = [&](const char* schedule) { return times.at({schedule}); };
  EXPECT_LT(time("CoCoD-SGD"), time("Local-SGD"));
  EXPECT_LT(time("Local-SGD"), time("S-SGD, WFBP"));
  EXPECT_LT(time("OD-SGD"), time("S-SGD, servers"));
  EXPECT_LT(time("LAGS-SGD"), time("S-SGD, MG-WFBP"));
  EXPECT_LT(time("DeAR"), time("ZeRO-2"));
  EXPECT_LT(time("ZeRO-2"), time("FSDP"));
  EXPECT_LT(time("SGP, overlapped"), time("SGP"));
  EXPECT_LT(time("Eager DiLoCo"), time("DiLoCo"));
  EXPECT_LT(time("signSGD"), time("S-SGD, WFBP"));
}

TEST(ComplexityStudy, SlopesAreTheTheorys) {
  const Complexity complexity =
      measure_complexity(ComplexityOptions{}, std::thread::hardware_concurrency());
  ASSERT_EQ(complexity.slopes.size(), 8U);
  for (const ComplexitySlope& s : complexity.slopes) {
    // Over N the integer below the rule's k bends the line.
    const double tolerance = s.over == "T" ? 1e-3 : 0.01;
    EXPECT_NEAR(s.rounds, s.exponent, tolerance) << s.schedule << " over " << s.over;
    EXPECT_NEAR(s.rounds, s.theory_rounds, tolerance) << s.schedule << " over " << s.over;
    EXPECT_NEAR(s.messages, s.theory_messages, tolerance) << s.schedule << " over " << s.over;
    EXPECT_NEAR(s.bytes, s.theory_bytes, tolerance) << s.schedule << " over " << s.over;
  }
  const std::vector<Cells> rows = study_table({"", "over T, N = 16, T = 65 536 to 5 308 416"});
  ASSERT_EQ(rows.size(), 2U);
  const auto slope = [&](const char* schedule, const char* over) {
    for (const ComplexitySlope& s : complexity.slopes)
      if (s.schedule == schedule && s.over == over) return s.rounds;
    return -1.0;
  };
  for (std::size_t i = 0; i < 2; ++i)
    for (const char* schedule :
         i == 0 ? std::vector{"s-sgd", "pipe-sgd"} : std::vector{"local-sgd", "cocod-sgd"}) {
      expect_printed(rows[i][1], slope(schedule, "T"), schedule);
      expect_printed(rows[i][3], slope(schedule, "N"), schedule);
    }
  EXPECT_NEAR(complexity.paper_period_from, 2.56e6, 1);
  std::size_t clipped = 0;
  for (const ComplexityPoint& p : complexity.over_iterations) {
    clipped += p.clipped;
    if (p.clipped) {
      EXPECT_LT(p.iterations, 4096) << p.schedule;
      EXPECT_EQ(p.rounds, p.iterations) << p.schedule;
    }
  }
  EXPECT_EQ(clipped, 4U);  // two T, two schedules with a period
}

}  // namespace
}  // namespace paceline
