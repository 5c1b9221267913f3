// Pictures, lists and numbers that were asked for or once answered wrongly, by the commands that give them.
#include <fmt/format.h>

#include <map>

#include "base/json.hpp"
#include "tests/cli/cli.hpp"

namespace paceline {
namespace {

TEST_F(Cli, PlotsAnyFigureOverAnyAxis) {
  const std::string axes =
      "-m resnet50 -b 32 -c 16x1-1080ti-10gbe --vary 'nodes[0].count=2,4,16' --vary "
      "network.bandwidth=1Gbps,10Gbps";
  ASSERT_EQ(shell("paceline compare " + axes + " --json > c.json").code, 0);
  const std::string plot = "plot c.json --x nodes --y efficiency --out c.svg ";
  const Outcome drawn = paceline(plot + "--lines network --target 0.9");
  EXPECT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_THAT(drawn.out, HasSubstr("1Gbps: 0.9 is not reached at 2 ("));
  EXPECT_THAT(drawn.out, HasSubstr("10Gbps: 0.9 is held up to "));
  const std::string svg = slurp(folder_ / "c.svg");
  for (const char* what :
       {"nodes[0].count", "scaling_efficiency", "10Gbps", "stroke-dasharray=\"3 3\""})
    EXPECT_THAT(svg, HasSubstr(what));
  // A store of the same points says the same.
  ASSERT_EQ(paceline("sweep " + axes + " -o s.db").code, 0);
  const std::string said = paceline(plot + "--target 0.9").out;
  EXPECT_EQ(paceline("plot s.db --x nodes --y efficiency --out c.svg --target 0.9").out, said);
  refuses(plot + "--lines schedule_name", "the rows differ in 'network.bandwidth' too");
  refuses("plot c.json --x nodes --y efficency --out c.svg", "did you mean");
  refuses("plot c.json --x model --y efficiency --lines nodes,network --out c.svg",
          "--x model: 'resnet50' is no number");
  refuses("plot c.json --x nodes --out c.svg", "--x nodes: expected time or iterations");
}

// What a schedule computes for itself stood in no column: 1.7 of 60.7 ms of PowerSGD. Nor, at first, what the
// software does on the host.
TEST_F(Cli, ColumnsOfAComparisonAddUp) {
  for (const char* stack : {"ideal", "horovod-mgwfbp-2021"}) {
    const Outcome outcome =
        paceline(fmt::format("compare -m resnet18 -b 32 -c 16x1-1080ti-10gbe --stack {} "
                             "--vary schedule=s-sgd,power-sgd,lags-sgd,local-sgd",
                             stack));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("iteration ms  compute  other  exposed  waiting"));
    std::istringstream lines(outcome.out);
    int rows = 0;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string schedule;
      double iteration = 0, compute = 0, other = 0, exposed = 0, waiting = 0;
      if (!(words >> schedule >> iteration >> compute >> other >> exposed >> waiting)) continue;
      ++rows;
      EXPECT_GT(other, 0) << line;
      EXPECT_NEAR(compute + other + exposed + waiting, iteration, 0.25) << line;
    }
    EXPECT_EQ(rows, 4) << outcome.out;
  }
}

// A picture of every row of a large comparison would be a hundred times as high as a page.
TEST_F(Cli, BarsOfManyRowsStayAPicture) {
  std::string batches = "1";
  for (int batch = 2; batch <= 120; ++batch) batches += fmt::format(",{}", batch);
  ASSERT_EQ(shell("paceline compare -m lenet5 -c 16x1-1080ti-10gbe --steps 3 --json --vary batch=" +
                  batches + " > c.json")
                .code,
            0);
  ASSERT_EQ(paceline("plot c.json --out c.svg").code, 0);
  const std::string svg = slurp(folder_ / "c.svg");
  EXPECT_THAT(svg, HasSubstr("the 100 fastest of 120"));
  const std::string height = svg.substr(svg.find("height=\"") + 8);
  EXPECT_LT(std::stod(height), 3000);
}

TEST_F(Cli, ListsWhatMovesResultsAndNobodyGave) {
  const Outcome listed = paceline("list defaults --json");
  ASSERT_EQ(listed.code, 0) << listed.err;
  std::map<std::string, double> values;
  for (const Json& row : Json::parse(listed.out)) {
    EXPECT_NE(row.at("meaning"), "");
    EXPECT_TRUE(
        values.emplace(row.at("name"), std::stod(row.at("value").get<std::string>())).second)
        << row.at("name");
  }
  for (const auto& [name, value] :
       std::map<std::string, double>{{"analytic.framework_factor", 1.24},
                                     {"profile.interpolation_sigma", 0.05},
                                     {"top_k.dgc_sample", 0.01},
                                     {"top_k.gaussian_corrections", 3},
                                     {"network.left_by_background", 0.01},
                                     {"host.memory_bandwidth", 10e9}}) {
    ASSERT_TRUE(values.contains(name)) << name;
    EXPECT_EQ(values[name], value) << name;
  }
}

// The most steps that are over within the time, whatever the schedule does at its ends.
TEST_F(Cli, StepsOfATimeOfTheCluster) {
  for (const std::string schedule :
       {"s-sgd", "cocod-sgd:period=7", "asgd --servers 1 --gpus 0-1"}) {
    const std::string run = "run -m resnet50 -b 32 -c 16x1-1080ti-10gbe --json -s " + schedule;
    const Outcome timed = paceline(run + " --for 12s");
    ASSERT_EQ(timed.code, 0) << timed.err;
    const Json result = Json::parse(timed.out);
    const auto steps = result.at("steps").get<std::int64_t>();
    EXPECT_LE(result.at("total_time_s").get<double>(), 12) << schedule;
    const Outcome more = paceline(run + fmt::format(" --steps {}", steps + 1));
    EXPECT_GT(Json::parse(more.out).at("total_time_s").get<double>(), 12) << schedule;
    EXPECT_EQ(paceline(run + fmt::format(" --steps {}", steps)).out, timed.out) << schedule;
  }
  const std::string run = "run -m resnet50 -b 32 -c 16x1-1080ti-10gbe ";
  refuses(run + "--for 1ms", "in 1 ms not one step is done");
  refuses(run + "--for 2", "--for: ");
  refuses(run + "--for 2s --steps 3", "--for: the run has a number of steps already");
}

// The numbers of reports that were wrong, by the commands that gave them.
TEST_F(Cli, RoundsAreThoseThatTheProgramRuns) {
  const auto counted = [&](int steps) {
    const Outcome run = paceline(
        fmt::format("run -m lenet5 -b 8 -c 16x1-1080ti-1gbe --gpus 0-3 -s local-sgd:period=5 "
                    "--steps {} --json",
                    steps));
    const Json result = Json::parse(run.out);
    return std::pair<double, double>(result.at("rounds"), result.at("total_messages"));
  };
  EXPECT_EQ(counted(65535), std::pair(13107.0, 13107.0 * 6));
  EXPECT_EQ(counted(65536), std::pair(13108.0, 13108.0 * 6));  // the last one of one step
}

TEST_F(Cli, PartsOfARoundChangeNoFigure) {
  for (const auto& [schedule, ms] : {std::pair("cocod-sgd", 90.638), std::pair("local-sgd", 108.2)})
    for (const int steps : {27, 28, 100}) {
      const Json result =
          Json::parse(paceline(fmt::format("run -m resnet18 -b 8 -c 16x1-1080ti-1gbe --gpus 0-3 -s "
                                           "{}:period=7 --steps {} --json",
                                           schedule, steps))
                          .out);
      EXPECT_NEAR(result.at("iteration_time_s").get<double>(), ms / 1e3, 6e-5) << schedule << steps;
    }
}

TEST_F(Cli, ASharedLinkCarriesBothDirections) {
  write("net.xml", R"(<platform version="4.1"><zone id="z" routing="Full">
    <host id="h1" speed="1Gf"/><host id="h2" speed="1Gf"/>
    <link id="wire" bandwidth="125MBps" latency="50us" sharing_policy="SHARED"/>
    <route src="h1" dst="h2"><link_ctn id="wire"/></route></zone></platform>)");
  write("net.json", R"({"format": "paceline-cluster-1", "name": "shared",
    "nodes": [{"count": 2, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"}],
    "network": {"topology": {"kind": "xml", "file": "net.xml"}}})");
  const Json result = Json::parse(
      paceline("run -m resnet18 -b 32 -c net.json -s s-sgd:overlap=none --steps 3 --json").out);
  EXPECT_NEAR(result.at("iteration_time_s").get<double>(), 0.8035, 1e-4);
  EXPECT_NEAR(result.at("floors").at(1).at("iteration_s").get<double>(), 0.7481, 1e-4);
  for (const Json& bound : result.at("bounds"))
    if (bound.at("name") == "no overlap") {
      EXPECT_NEAR(bound.at("iteration_s").get<double>(), 0.8035, 1e-4);
    }
}

// Worker 0 has the server on its own host and is over long before the others: with 20 steps the mean
// was 33 % from that of a long run, with 40 10 %.
TEST_F(Cli, ThePaceOfAsynchronousWorkersDoesNotDependOnTheirSteps) {
  const std::string run =
      "run -m lenet5 -b 8 -c 16x1-1080ti-10gbe --gpus 0-7 --servers 1 -s asgd --json --steps ";
  const auto result = [&](int steps, const std::string& more = "") {
    return Json::parse(paceline(run + std::to_string(steps) + more).out);
  };
  const Json many = result(3200);
  for (const int steps : {20, 40, 100, 800}) {
    const Json few = result(steps);
    EXPECT_NEAR(
        few.at("iteration_time_s").get<double>() / many.at("iteration_time_s").get<double>(), 1,
        0.03)
        << steps;
    EXPECT_NEAR(few.at("samples_per_s").get<double>() / many.at("samples_per_s").get<double>(), 1,
                0.03)
        << steps;
    EXPECT_TRUE(few.at("warnings").empty()) << few.at("warnings");
    // What the steps come to is of those that were asked for.
    EXPECT_EQ(few.at("steps"), steps);
    EXPECT_EQ(few.at("rounds"), steps);
  }
  EXPECT_THAT(paceline(run.substr(0, run.find("--json")) + " --steps 20").out,
              HasSubstr("figures per iteration are of"));
  // Another cluster later: more steps would not be more of the same.
  const Json changing =
      result(20, R"( --set 'stragglers=[{"worker": 3, "slowdown": 2, "until": "1h"}]')");
  ASSERT_EQ(changing.at("warnings").size(), 1U);
  EXPECT_THAT(changing.at("warnings").at(0).get<std::string>(), HasSubstr("give it "));
}

}  // namespace
}  // namespace paceline
