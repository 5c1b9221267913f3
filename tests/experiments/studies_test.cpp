// Every figure of docs/studies.md that takes seconds to compute; the others are in slow/.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "algorithms/lags_model.hpp"
#include "base/json.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "experiments/run.hpp"
#include "studies.hpp"

namespace paceline {
namespace {

using ::testing::UnorderedElementsAre;

// ---- CoCoD-SGD

const Cells kCocodHeader{"model",     "network", "S-SGD ms", "WFBP ms", "Pipe-SGD", "Local k=5",
                         "CoCoD k=1", "k=2",     "k=5",      "k=10",    "k=20"};

TEST(Studies, CocodTable) {
  const std::map<Cells, double> times = study_times("cocod-16x1080ti");
  const std::vector<Cells> rows = study_table(kCocodHeader);
  ASSERT_EQ(rows.size(), 24U);
  ASSERT_EQ(times.size(), 24U * 9);
  for (const Cells& row : rows) {
    const auto time = [&](const char* schedule) { return times.at({row[0], row[1], schedule}); };
    const std::string what = row[0] + ", " + row[1];
    const double s_sgd = time("S-SGD, no overlap"), wfbp = time("S-SGD, WFBP");
    ASSERT_EQ(row.size(), 12U) << what;
    expect_printed(row[2], 1e3 * s_sgd, what);
    expect_printed(row[3], 1e3 * wfbp, what);
    const char* others[] = {"Pipe-SGD",      "Local-SGD k=5",  "CoCoD-SGD k=1", "CoCoD-SGD k=2",
                            "CoCoD-SGD k=5", "CoCoD-SGD k=10", "CoCoD-SGD k=20"};
    for (std::size_t i = 0; i < std::size(others); ++i)
      expect_printed(row[4 + i], s_sgd / time(others[i]), what + ", " + others[i]);
    expect_printed(row[11], std::min(s_sgd, wfbp) / time("CoCoD-SGD k=5"), what);
  }
}

// The sentences below the table, and the README's, as the table has it.
TEST(Studies, CocodGainsTwoToThreeOnTheNetworksThatAreNamed) {
  std::vector<std::string> two_to_three;
  for (const Cells& row : study_table(kCocodHeader)) {
    const double gain = std::stod(row[8]);
    if (gain >= 2 && gain <= 3) two_to_three.push_back(row[0] + ", " + row[1]);
    if (row[1] == "1 GbE") {
      EXPECT_NEAR(gain, 5, 0.35) << row[0];
    }
    if (row[1] == "100 GbE") {
      EXPECT_LE(gain, 1.93) << row[0];
    }
  }
  // The README names them with these gains.
  std::ifstream stream(std::string(PACELINE_SOURCE_DIR) + "/README.md");
  std::string readme{std::istreambuf_iterator<char>(stream), {}};
  std::replace(readme.begin(), readme.end(), '\n', ' ');
  for (const char* claim :
       {"ResNet-18 (CIFAR) on 25 GbE (2.56)", "ResNet-18 (ImageNet) on 10 GbE (2.38)",
        "VGG-16 (ImageNet) on 25 GbE (2.47)", "(3.19 on 40 GbE)", "less on 100 GbE (1.93)"})
    EXPECT_THAT(readme, ::testing::HasSubstr(claim));
  EXPECT_THAT(two_to_three,
              UnorderedElementsAre("ResNet-18 CIFAR, 25 GbE", "ResNet-18 ImageNet, 10 GbE",
                                   "VGG-16 ImageNet, 25 GbE"));
}

// ---- LAGS-SGD

Json published_rows() {
  return load_json(std::string(PACELINE_SOURCE_DIR) + "/calibrate/data/published/lags-2020.json")
      .at("rows");
}

// The authors' fit of an all-gather of k entries: 2 (a + 4 P k b).
double fitted_exchange(double a, double k) {
  return 2 * (a + 4 * 16 * k * 17e-9);
}

TEST(Studies, LagsSMaxOfThePublishedRows) {
  const std::vector<Cells> rows = study_table({"", "published S_max"});
  const Json published = published_rows();
  ASSERT_EQ(rows.size(), published.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Json& row = published[i];
    const double f = row.at("forward"), b = row.at("backward");
    EXPECT_EQ(rows[i][0], row.at("model"));
    expect_printed(rows[i][1], row.at("S_max"), rows[i][0]);
    expect_printed(rows[i][2], lags_s_max(f, b, row.at("slgs").at("sparsify")), rows[i][0]);
    expect_printed(rows[i][3], lags_s_max(f, b, row.at("slgs").at("exposed_comm")), rows[i][0]);
    expect_printed(rows[i][4], row.at("S2"), rows[i][0]);
    expect_printed(
        rows[i][5],
        row.at("slgs").at("total").get<double>() / row.at("lags").at("total").get<double>(),
        rows[i][0]);
    EXPECT_NEAR(std::stod(rows[i][2]), row.at("S_max"), 0.0101) << rows[i][0];
  }
}

// "1.10 (-16 %)": a speedup, and its error against the published one.
void expect_speedup(const std::string& cell, double speedup, double published,
                    const std::string& what) {
  expect_printed(cell, speedup, what);
  expect_printed(cell.substr(cell.find('(') + 1), 100 * (speedup / published - 1), what);
}

TEST(Studies, LagsOverSlgsWithNothingFitted) {
  const std::map<Cells, double> times = study_times("lags-16xp102");
  const std::vector<Cells> rows = study_table({"", "published SLGS, LAGS ms"});
  const Json published = published_rows();
  ASSERT_EQ(rows.size(), published.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Cells& row = rows[i];
    const std::string& model = row[0];
    const double s2 = published[i].at("S2");
    EXPECT_EQ(row[1],
              fmt::format("{:.0f}, {:.0f}", 1e3 * published[i]["slgs"]["total"].get<double>(),
                          1e3 * published[i]["lags"]["total"].get<double>()));
    expect_printed(row[2], s2, model);
    const auto time = [&](const char* network, const char* schedule) {
      return times.at({model, network, schedule});
    };
    const char *first = "authors' all-gather fit", *later = "their later fit";
    const char *slgs = "SLGS-SGD", *lags = "LAGS-SGD, 8192 groups";
    EXPECT_EQ(row[3],
              fmt::format("{:.1f}, {:.1f}", 1e3 * time(first, slgs), 1e3 * time(first, lags)));
    expect_printed(row[4], time(first, slgs) / time(first, lags), model);
    EXPECT_EQ(row[5],
              fmt::format("{:.1f}, {:.1f}", 1e3 * time(later, slgs), 1e3 * time(later, lags)));
    expect_speedup(row[6], time(later, slgs) / time(later, lags), s2, model);
    expect_speedup(row[7], time(first, slgs) / time(first, "LAGS-SGD, OMGS"), s2, model);
    // The star that stands for the fit has its times: the two fits differ in the start-up only.
    EXPECT_NEAR(time(first, slgs) - time(later, slgs), 2 * (0.011 - 0.0017), 1e-5) << model;
  }
}

TEST(Studies, LagsMissingCostIsInCommunication) {
  const double explained[] = {0.078, 0.115, 0.166}, measured[] = {0.319, 0.536, 0.437};
  const Json published = published_rows();
  for (std::size_t i = 0; i < 3; ++i) {
    const Json& row = published[i];
    const double exchange = fitted_exchange(0.011, 1e-3 * row.at("parameters").get<double>());
    const double exposed = row.at("slgs").at("exposed_comm");
    EXPECT_NEAR(exchange, explained[i], 1e-3) << row.at("model");
    EXPECT_NEAR(exposed, measured[i], 1e-3) << row.at("model");
    EXPECT_GT(exposed - exchange, 0.235);
    EXPECT_LT(exposed - exchange, 0.425);
  }
}

TEST(Studies, LagsDenseResNet50IsBelowTheFloorOfItsNetwork) {
  const ExperimentText text = load_experiment("lags-16xp102");
  Json json = points(text.json, read_axes(text.json, text.file)).front().json;
  json["set"] = {"network.efficiency=1", "network.latency=0s", "network.switch_latency=0s",
                 "network.overhead=0s"};
  const JobOutcome job = run_alone(read_experiment(json, text.file)).job;
  const auto wire = std::find_if(job.floors.begin(), job.floors.end(),
                                 [](const Floor& floor) { return floor.name == "wire"; });
  ASSERT_NE(wire, job.floors.end());
  EXPECT_NEAR(wire->iteration_s, 2.0 * 15 / 16 * 4 * 25557032 / 125e6, 1e-3);
  EXPECT_NEAR(wire->iteration_s, 1.53, 0.005);
  EXPECT_LT(published_rows()[0].at("dense_total_recalled").get<double>(), wire->iteration_s);
}

TEST(Studies, LagsDenseResNet50Simulated) {
  const std::map<Cells, double> times = study_times("lags-16xp102", "ResNet-50");
  EXPECT_NEAR(times.at({"ResNet-50", "1 GbE, point-to-point fit", "S-SGD, dense"}), 1.95, 0.005);
}

}  // namespace
}  // namespace paceline
