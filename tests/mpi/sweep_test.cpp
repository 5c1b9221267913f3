// Studies by MPI ranks on this machine: the answers are those of one process, whoever makes them and whoever is killed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <random>
#include <sstream>

#include "tests/base/temporary_folder.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

class RankSweeps : public ::testing::Test {
 protected:
  int shell(const std::string& command) {
    const std::string line =
        "cd '" + folder_.path().string() + "' && { " + command + "; } >out 2>err </dev/null";
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string read(const char* name) const { return contents(folder_ / name); }
  static std::string ranks(int count, const std::string& study) {
    return "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout --foreground "
           "120 " MPIRUN " -n " +
           std::to_string(count) +
           " --oversubscribe --bind-to none --mca btl self,vader --mca "
           "btl_vader_single_copy_mechanism none --mca mpi_yield_when_idle 1 " PACELINE_MPI_BINARY
           " sweep " +
           study;
  }
  // Rows with every column, and whole results.
  std::string exported(const std::string& store) {
    EXPECT_EQ(shell(PACELINE_BINARY " query --csv " + store +
                    " && " PACELINE_BINARY " query --full " + store),
              0)
        << read("err");
    return read("out");
  }

  const std::string base_ = " -m lenet5 -b 8 -c 16x1-1080ti-10gbe --name study ";
  const std::string closed_ =
      base_ +
      "--vary seed=1..40 --vary network.bandwidth=1Gbps,10Gbps --vary schedule=s-sgd,cocod-sgd ";
  const std::string long_ = base_ + "--vary seed=1..4000 ";
  TemporaryFolder folder_;
};

TEST_F(RankSweeps, ExportTheSameBytesWhateverTheNumberOfRanks) {
  ASSERT_EQ(shell(PACELINE_BINARY " sweep" + closed_ + "-o one.db"), 0) << read("err");
  const std::string whole = exported("one.db");
  EXPECT_GT(whole.size(), 100'000U);
  for (const int count : {1, 2, 4}) {
    const std::string store = "ranks" + std::to_string(count) + ".db";
    ASSERT_EQ(shell(ranks(count, closed_ + "-o " + store)), 0) << read("err");
    EXPECT_THAT(read("out"), HasSubstr("study: 160 points, 160 simulations made, 0 found"));
    EXPECT_EQ(exported(store), whole) << count;
    ASSERT_EQ(shell(ranks(2, closed_ + "-o " + store)), 0) << read("err");
    EXPECT_THAT(read("out"), HasSubstr("0 simulations made, 160 found"));
  }
}

// Each in a process of its own, of the rank that makes it; points that are one another, and one that cannot be run.
TEST_F(RankSweeps, SimGridTrainingsAndWhatCannotBeRunAreAsInOneProcess) {
  const std::string study = base_ +
                            "--steps 3 --fidelity flow --network simgrid --vary seed=1,1,2,3 "
                            "--vary servers=1,2000 -s ps-s-sgd ";
  EXPECT_EQ(shell(PACELINE_BINARY " sweep" + study + "-o one.db"), 2);
  const std::string said = read("err").substr(read("err").find("3 of 8 points"));
  EXPECT_NE(shell(ranks(3, study + "-o three.db")), 0);
  EXPECT_THAT(read("err"), HasSubstr(said.substr(0, said.find(';'))));
  EXPECT_EQ(exported("three.db"), exported("one.db"));
}

TEST_F(RankSweeps, KilledAtAnyMomentTheSameCommandGoesOn) {
  ASSERT_EQ(shell(PACELINE_BINARY " sweep" + long_ + "-o whole.db"), 0) << read("err");
  std::mt19937 random(1);
  int killed = 0;
  for (int i = 0; i < 4; ++i) {
    // One rank, a child of mpirun, which is one of timeout, some tenths of a second after they are all there.
    const double after_s = static_cast<double>(random() % 1500) / 1000;
    const int nth = static_cast<int>(random() % 3);
    const int code =
        shell(fmt::format("{0} & started=$!; "
                          "of() {{ grep -l \"^PPid:[[:space:]]*$1\\$\" /proc/[0-9]*/status "
                          "2>/dev/null | cut -d/ -f3; }}; "
                          "ranks() {{ of $(of $started) | sed -n {1}p; }}; "
                          "while [ -z \"$(ranks)\" ] && kill -0 $started; do sleep 0.1; done; "
                          "sleep {2}; kill -9 $(ranks); wait $started",
                          ranks(3, long_ + "-o killed.db"), nth + 1, after_s));
    if (code == 0) continue;  // it had ended, or not begun
    ++killed;
    std::string line;
    int ours = 0;
    for (std::istringstream lines(read("err")); std::getline(lines, line);)
      if (line.find("paceline-mpi: ") == 0) ++ours;
    EXPECT_LE(ours, 1) << read("err");
  }
  EXPECT_GT(killed, 0);
  ASSERT_EQ(shell(ranks(3, long_ + "-o killed.db")), 0) << read("err");
  EXPECT_EQ(exported("killed.db"), exported("whole.db"));
}

TEST_F(RankSweeps, AStoreThatCannotBeWrittenIsOneMessage) {
  EXPECT_EQ(shell(ranks(3, closed_ + "-o absent/store.db")), 2);
  EXPECT_THAT(read("err"), HasSubstr("paceline-mpi: absent/store.db: cannot be opened as a store"));
  EXPECT_EQ(shell(ranks(3, closed_ + "--vary sead=1,2")), 2);
  EXPECT_THAT(read("err"), HasSubstr("did you mean"));
}

}  // namespace
}  // namespace paceline
