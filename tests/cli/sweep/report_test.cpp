#include "tests/cli/cli.hpp"

namespace paceline {
namespace {

class ReportCli : public Cli {
 protected:
  void SetUp() override {
    Cli::SetUp();
    const Outcome outcome = paceline(
        "sweep -m resnet50 -b 32 -c 16x1-1080ti-10gbe --jitter lognormal:0.2 --steps 10 "
        "--vary network.bandwidth=1Gbps,10Gbps --vary "
        "'schedule=s-sgd:overlap=ddp,cocod-sgd:period=5' "
        "--seeds 3 --name net -o net.db");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
};

TEST_F(ReportCli, PrintsMarkdownWithDrawingsBesideIt) {
  fs::create_directory(folder_ / "out");
  const Outcome outcome = paceline("report net.db -o out/net.md");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("not known exactly and of 3 seeds: "));
  const std::string text = slurp(folder_ / "out/net.md");
  EXPECT_THAT(text, ::testing::StartsWith("# net\n"));
  EXPECT_THAT(text, HasSubstr("**" + outcome.out.substr(0, outcome.out.size() - 1) + "**"));
  EXPECT_THAT(text, HasSubstr("| network.bandwidth | schedule | seed | iteration ms | ± ms |"));
  EXPECT_THAT(text, HasSubstr("mean of 3"));
  std::size_t drawings = 0;
  for (auto at = text.find("]("); at != std::string::npos; at = text.find("](", at + 1)) {
    const std::string name = text.substr(at + 2, text.find(')', at) - at - 2);
    EXPECT_THAT(slurp(folder_ / "out" / name), HasSubstr("<svg xmlns")) << name;
    ++drawings;
  }
  EXPECT_GE(drawings, 6U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "out"), {}),
            static_cast<std::ptrdiff_t>(drawings + 1));
}

TEST_F(ReportCli, DrawsOneFigure) {
  ASSERT_EQ(paceline("report net.db -o map.svg --figure map").code, 0);
  const std::string map = slurp(folder_ / "map.svg");
  EXPECT_THAT(map, HasSubstr("Who is fastest where"));
  EXPECT_THAT(map, ::testing::Not(HasSubstr("var(")));  // librsvg knows no variables
  ASSERT_EQ(paceline("report net.db --format svg -o speedup --figure speedup").code, 0);
  EXPECT_THAT(slurp(folder_ / "speedup"), HasSubstr("95 % interval of the mean over 3 seeds"));
  if (std::system("command -v rsvg-convert >/dev/null") == 0) {
    ASSERT_EQ(paceline("report net.db -o gantt.png --figure gantt").code, 0);
    EXPECT_EQ(slurp(folder_ / "gantt.png").substr(1, 3), "PNG");
  }
}

TEST_F(ReportCli, RefusesWhatItCannotPrint) {
  refuses("report net.db -o a.svg", "--figure: which of map, speedup, times,");
  refuses("report net.db -o a.svg --figure mpa", "did you mean 'map'?");
  refuses("report net.db -o a.svg --figure loss", "unknown figure of this study 'loss'");
  refuses("report net.db -o a.html --figure map", "--figure");
  refuses("report net.db --format pdf -o a.pdf", "--format");
  refuses("report net.db --format md", "--out");
}

TEST_F(ReportCli, SaysHowSureItIsOverSeeds) {
  const Outcome table = paceline("query net.db --over-seeds");
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("iteration_time_s_ci95"));
  EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n'), 5) << table.out;
  refuses("query net.db --over-seeds --full", "--full");
  const Outcome drawn =
      paceline("plot net.db --x bandwidth --y throughput --log --out throughput.svg");
  EXPECT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_THAT(slurp(folder_ / "throughput.svg"), HasSubstr("95 % interval over seeds"));
}

}  // namespace
}  // namespace paceline
