#include "tests/cli/interrupted.hpp"

#include <random>

namespace paceline {
namespace {

const std::string kSweep =
    "sweep -m resnet50 -b 32 -c 16x1-1080ti-10gbe --vary network.bandwidth=1Gbps..100Gbps:log20 "
    "--vary "
    "schedule=s-sgd:overlap=ddp,lags-sgd,cocod-sgd:period=5 ";

class SweepCli : public Interrupted {};

TEST_F(SweepCli, AnswersInEveryForm) {
  Outcome outcome = paceline(kSweep + "--name net -o net.db");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out,
              HasSubstr("net: 60 points, 60 simulations made, 0 found, 0 impossible, in net.db"));
  EXPECT_THAT(paceline(kSweep + "--name net -o net.db --json").out,
              HasSubstr("\"simulations\": 0"));
  EXPECT_THAT(paceline("query net.db --studies").out, HasSubstr("net        60    60"));
  outcome = paceline("query net.db --csv");
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 61);
  EXPECT_THAT(outcome.out, ::testing::StartsWith("number,network.bandwidth,schedule,error,model,"));
  EXPECT_THAT(paceline("query net.db --where 'network.bandwidth=50Gbps..1000Gbps;schedule=lags*' "
                       "--columns number,schedule "
                       "--json --limit 1")
                  .out,
              ::testing::MatchesRegex("\\{\"number\":[0-9]+,\"schedule\":\"lags-sgd\"\\}\n"));
  EXPECT_EQ(paceline("query net.db --csv --sql 'SELECT count(*) AS n FROM points WHERE "
                     "quantity(\"network.bandwidth\") > 1e9'")
                .out,
            "n\n33\n");
  const Json whole = Json::parse(paceline("query net.db --full --where number=7").out);
  EXPECT_EQ(whole.at("result").at("format"), "paceline-result-1");
  EXPECT_EQ(whole.at("labels").at("schedule"), "lags-sgd");
  outcome = paceline("report net.db -o net.html");
  EXPECT_THAT(outcome.out, HasSubstr(" of 20 settings"));
  const std::string page = slurp(folder_ / "net.html");
  EXPECT_THAT(page, ::testing::StartsWith("<!doctype html>"));
  for (const char* part : {"Who is fastest where", "Speedup over one GPU",
                           "Where the time of an iteration goes", "Use of the busiest link",
                           "What is not known exactly", "Every point", "Where this comes from"})
    EXPECT_THAT(page, HasSubstr(part));
  EXPECT_THAT(page, ::testing::Not(HasSubstr("http")));  // needs nothing from anywhere
  EXPECT_LT(page.size(), 5'000'000U);
}

TEST_F(SweepCli, RefusesBadStudiesWithTheirCount) {
  const std::string base = "sweep -m resnet50 -b 32 -c 16x1-1080ti-10gbe ";
  refuses(base, "nothing varies");
  refuses(base + "--vary seed=1..1000000000", "has 1000000000 values; at most 1000000 are run");
  refuses(base + "--vary seed=1..1000 --vary batch=1..1000 --vary steps=1..1000",
          "make 1000000000 points");
  refuses(base + "--vary network.bandwith=1Gbps,2Gbps", "none of 2 points was run");
  refuses(base + "--vary bandwith=1", "unknown key 'bandwith'");
  refuses(base + "--vary batch=64..8", "empty range, 0 values");
  refuses(base + "--vary seed=1,2 --skip seed=3", "unknown value of 'seed' '3'");
  refuses(base + "--vary seed=1,2 --sample 2000000", "at most 1000000");
  refuses("sweep network-1-to-40g", "did you mean 'network-1-to-400g'");
  refuses("query absent.db", "no such store");
  refuses("report absent.db", "no such store");
  write("text.db",
        "no database at all, but some bytes to look at, more than there are in a header of one "
        "such file\n");
  refuses("query text.db", "no store");
  refuses(base + "--vary seed=1,2 -o text.db", "no store");
  refuses(base + "--vary seed=1,2 -o absent/a.db", "cannot be opened");
}

TEST_F(SweepCli, CountsWithoutRunning) {
  const Outcome outcome =
      paceline(kSweep + "--count --name many --vary seed=1..1000 --skip seed=1..10");
  EXPECT_EQ(outcome.out, "many: 59400 points (60000 combinations, 600 left out)\n");
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(SweepCli, CtrlCIsOneLineAndTheSameCommandGoesOn) {
  const std::string many = kSweep + "--vary seed=1..300 -o store.db";
  const Run run = start(many);
  wait_until(
      [&] {
        return fs::exists(folder_ / "store.db-wal") &&
               fs::file_size(folder_ / "store.db-wal") > 1'000'000;
      },
      "points");
  ::kill(run.pid, SIGINT);
  expect_the_line(end_of(run), SIGINT,
                  "([0-9]+ of 18000 points are|what is in store.db is) kept( in store.db)?; the "
                  "same command goes on");
  const Outcome some = paceline("query store.db --csv --sql 'SELECT count(*) FROM points'");
  EXPECT_GT(std::stoi(some.out.substr(some.out.find('\n') + 1)), 0);
}

// Wherever it is killed: nothing is lost that was kept, nothing doubled, and the end is that of a run that nobody disturbed.
TEST_F(SweepCli, KilledAtAnyMomentItGoesOn) {
  const std::string study = kSweep + "--vary seed=1..30 --name kill ";
  ASSERT_EQ(whole(study + "-o whole.db").code, 0);
  std::mt19937 random(1);
  int kept = 0;
  for (int i = 0; i < 36; ++i) {
    const auto size = [this] {
      std::uintmax_t all = 0;
      for (const auto& entry : fs::directory_iterator(folder_))
        if (const std::string name = entry.path().filename().string();
            name == "killed.db" || name == "killed.db-wal")
          all += entry.file_size();
      return all;
    };
    const std::uintmax_t before = size();
    const Run run = start(study + "-o killed.db");
    const auto ended = [&run] {
      siginfo_t info{};
      return ::waitid(P_PID, static_cast<id_t>(run.pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
             info.si_pid != 0;
    };
    // At any moment, and every other time when results have been kept.
    if (i % 2 == 1) wait_until([&] { return size() > before + 100'000 || ended(); }, "more");
    std::this_thread::sleep_for(Ms(random() % 200));
    ::kill(run.pid, SIGKILL);
    (void)end_of(run);
    if (!fs::exists(folder_ / "killed.db")) continue;
    const Outcome check = paceline("query killed.db --csv --sql 'PRAGMA integrity_check'");
    if (check.code != 0) continue;  // killed before there was a table
    EXPECT_EQ(check.out, "integrity_check\nok\n");
    const Outcome count = paceline("query killed.db --csv --sql 'SELECT count(*) FROM result'");
    const int now = std::stoi(count.out.substr(count.out.find('\n') + 1));
    EXPECT_GE(now, kept);
    kept = now;
  }
  EXPECT_GT(kept, 0);
  ASSERT_EQ(whole(study + "-o killed.db").code, 0);
  const std::string results =
      "query --csv --sql 'SELECT count(*), count(DISTINCT key) FROM result JOIN key USING(id)' ";
  EXPECT_EQ(paceline(results + "killed.db").out, paceline(results + "whole.db").out);
  for (const std::string form : {"--csv", "--json", "--full"}) {
    const std::string undisturbed = paceline("query whole.db " + form).out;
    EXPECT_GT(undisturbed.size(), 10'000U);
    EXPECT_EQ(paceline("query killed.db " + form).out, undisturbed) << form;
  }
}

}  // namespace
}  // namespace paceline
