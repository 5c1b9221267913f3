// A study as a Slurm job array: with an sbatch that runs the scripts at once, and with a real one where there is one.
#include "tests/cli/interrupted.hpp"

namespace paceline {
namespace {

const std::string kStudy =
    "sweep -m resnet50 -b 32 -c 16x1-1080ti-10gbe --name net --vary "
    "network.bandwidth=1Gbps..100Gbps:log20 --vary "
    "schedule=s-sgd:overlap=ddp,lags-sgd,cocod-sgd:period=5 --set 'nodes[0].count=8' ";

class Slurm : public Interrupted {
 protected:
  // Runs every task of an array but number 2, which is lost with its node, and the job after it.
  void fake_sbatch() {
    write("sbatch", R"(#!/bin/sh
for script; do :; done
echo "$*" >> calls
case "$*" in
  *--dependency=*) sh "$script" > collect.out 2>&1 ;;
  *) for i in 0 1 3; do SLURM_ARRAY_TASK_ID=$i sh "$script" > task.out 2>&1 || exit 1; done ;;
esac
wc -l < calls
)");
    fs::permissions(folder_ / "sbatch", fs::perms::owner_all);
  }
  Outcome with_fake(const std::string& arguments) {
    return shell("PATH=\"$PWD:$PATH\" paceline " + arguments);
  }
  void expect_same_exports(const std::string& one, const std::string& other) {
    for (const std::string form : {"--csv", "--json", "--full"}) {
      const std::string expected = paceline("query " + other + " " + form).out;
      EXPECT_GT(expected.size(), 10'000U);
      EXPECT_EQ(paceline("query " + one + " " + form).out, expected) << form;
    }
  }
};

TEST_F(Slurm, SharesAndTheJobAfterThemMakeTheWholeStudy) {
  fake_sbatch();
  const Outcome outcome =
      with_fake(kStudy + "-o net.db --slurm 4 --sbatch '--partition=main --time=10' -j2");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("job 1 runs them as an array of 4 tasks, job 2 then"));
  EXPECT_EQ(slurp(folder_ / "calls"),
            "--parsable --partition=main --time=10 net.db.slurm/array.sh\n"
            "--parsable --partition=main --time=10 --dependency=afterany:1 "
            "net.db.slurm/collect.sh\n");
  EXPECT_THAT(slurp(folder_ / "net.db.slurm/array.sh"),
              ::testing::AllOf(HasSubstr("#SBATCH --array=0-3\n#SBATCH --requeue\n"),
                               HasSubstr("--set 'nodes[0].count=8'"),
                               ::testing::Not(HasSubstr("--slurm 4"))));
  EXPECT_FALSE(fs::exists(folder_ / "net.db.slurm/part-2.db"));
  // Three shares of 15 points were found; the last one's were made by the second job.
  EXPECT_THAT(slurp(folder_ / "collect.out"),
              HasSubstr("net: 60 points, 15 simulations made, 45 found"));
  ASSERT_EQ(paceline(kStudy + "-o whole.db").code, 0);
  expect_same_exports("net.db", "whole.db");
  // What is there already is not made again.
  EXPECT_THAT(paceline("query net.db --studies").out, HasSubstr("net        60    60"));
}

TEST_F(Slurm, AShareThatHadNotBegunIsNothingToCollect) {
  write("empty.db", "");
  const Outcome outcome = paceline(kStudy + "-o net.db --collect empty.db");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("60 simulations made"));
}

TEST_F(Slurm, SaysWhatIsWrong) {
  write("sbatch", "#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1\n");
  fs::permissions(folder_ / "sbatch", fs::perms::owner_all);
  const Outcome outcome = with_fake(kStudy + "-o net.db --slurm 4 --sbatch --partition=x");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, "paceline: --slurm: sbatch: error: invalid partition specified: x\n");
  refuses(kStudy + "--slurm 4 --part 1/2", "no --part");
  refuses(kStudy + "--slurm 0", "--slurm");
}

// A task that is killed is lost, and nothing with it.
TEST_F(Slurm, OnARealClusterAKilledTaskCostsNothing) {
  if (shell("sbatch --version && timeout 5 sinfo -h | grep -Eq 'idle|mix'").code != 0)
    GTEST_SKIP() << "no Slurm here";
  const Outcome outcome = paceline(kStudy + "-o net.db --vary seed=1..20 --slurm 3 --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json slurm = Json::parse(outcome.out).at("slurm");
  const std::string array = slurm.at("array"), collect = slurm.at("collect");
  wait_until([&] { return fs::exists(folder_ / "net.db.slurm/part-1.db"); }, "a share");
  shell("scancel --signal=KILL " + array + "_1");
  for (int second = 0; second < 240; ++second) {
    if (shell("squeue -h -j " + collect + " 2>/dev/null | grep -q .").code != 0) break;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  ASSERT_EQ(paceline(kStudy + "-o whole.db --vary seed=1..20").code, 0);
  expect_same_exports("net.db", "whole.db");
}

}  // namespace
}  // namespace paceline
