#include "tests/cli/cli.hpp"

namespace paceline {
namespace {

const std::string kOptimize =
    "optimize -m resnet50 -b 32 -c 16x1-1080ti-10gbe --vary network.bandwidth=1Gbps..100Gbps:log ";

class OptimizeCli : public Cli {};

TEST_F(OptimizeCli, AnswersInEveryForm) {
  const std::string question = kOptimize + "--minimize bandwidth --subject-to 'time<=400ms' ";
  Outcome outcome = paceline(question);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("search-optimum: least network.bandwidth, time<=400ms ("));
  EXPECT_THAT(outcome.out, HasSubstr("no neighbour is better"));
  const Json json = Json::parse(paceline(question + "--json").out);
  EXPECT_EQ(json.at("format"), "paceline-optimum-1");
  EXPECT_EQ(json.at("simulations"), 0);  // all found
  const Json& best = json.at("optima").at(0);
  EXPECT_LE(best.at("constrained").at("iteration_time_s").get<double>(), 0.4);
  EXPECT_THAT(outcome.out,
              HasSubstr(best.at("setting").at("network.bandwidth").get<std::string>()));
  // What was looked at is a study like others.
  const Outcome rows =
      paceline("query search.db --csv --where 'number=" + best.at("number").dump() +
               "' --columns network.bandwidth");
  EXPECT_EQ(rows.out, "network.bandwidth\n" +
                          best.at("setting").at("network.bandwidth").get<std::string>() + "\n");
  EXPECT_EQ(paceline("report search.db -o search.html").code, 0);
}

TEST_F(OptimizeCli, GivesOneAnswerForEach) {
  const Outcome outcome =
      paceline("optimize cocod-period --minimize time --each bandwidth,schedule --json");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json.at("optima").size(), 12U);  // six networks, two schedules
  EXPECT_EQ(json.at("optima").at(0).at("all_settings"), true);
}

TEST_F(OptimizeCli, RefusesWhatIsWrongBeforeAnythingRuns) {
  refuses(kOptimize, "expected one of --minimize");
  refuses(kOptimize + "--minimize tiem", "did you mean 'time'?");
  refuses(kOptimize + "--minimize time --subject-to memory", "expected COLUMN<=VALUE");
  refuses(kOptimize + "--minimize time --vary bach=1..4", "unknown key 'bach'");
  refuses(kOptimize + "--minimize time --vary batch=8..4", "empty range");
  refuses(kOptimize + "--minimize time --vary nodes[0].cuont=1,2", "cuont");
  refuses(kOptimize + "--minimize time --each seed", "unknown column 'seed'");
  refuses(kOptimize + "--minimize time --evaluations 0", "--evaluations");
}

TEST_F(OptimizeCli, SaysWhatIsNearestWhereNothingIsAllowed) {
  const Outcome outcome = paceline(kOptimize + "--minimize time --subject-to 'time<=1us'");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("settings is allowed; nearest is network.bandwidth 100Gbps"));
  EXPECT_THAT(outcome.err, HasSubstr("time<=1us asked for"));
}

}  // namespace
}  // namespace paceline
