#include "tests/cli/cli.hpp"
#include "base/json.hpp"

#include <map>

namespace paceline {
namespace {

using ::testing::AnyOf;
using ::testing::Not;

TEST_F(Cli, Answers) {
  const Outcome table = paceline("run reference-wfbp");
  EXPECT_EQ(table.code, 0);
  EXPECT_EQ(table.err, "");
  EXPECT_THAT(table.out, HasSubstr("419.7 ms"));
  const Outcome json = paceline("run reference-wfbp --json");
  const Json result = parse_json(json.out, "stdout");
  EXPECT_NEAR(result.at("iteration_time_s").get<double>(), 0.419745045, 1e-9);
  EXPECT_EQ(paceline("--version").code, 0);
}

// Their loading takes longer than a closed-form answer: they are modules, opened when first needed.
TEST_F(Cli, OpensSimGridAndOneDnnOnlyWhenNeeded) {
  const auto opened = [this](const std::string& arguments) {
    std::string files;
    std::istringstream lines(shell("LD_DEBUG=files paceline " + arguments).err);
    for (std::string line; std::getline(lines, line);)
      if (line.find("calling init") != std::string::npos) files += line + '\n';
    return files;
  };
  const std::string closed = opened("run reference-wfbp");
  EXPECT_THAT(closed, HasSubstr("libstdc++"));
  EXPECT_THAT(closed, Not(HasSubstr("simgrid")));
  EXPECT_THAT(closed, Not(HasSubstr("dnnl")));
  const std::string flow = "run reference-wfbp --fidelity flow --steps 2";
  EXPECT_THAT(opened(flow), Not(HasSubstr("simgrid")));
  EXPECT_THAT(opened(flow + " --network simgrid"), HasSubstr("libsimgrid"));
}

TEST_F(Cli, EverySubCommandHasHelpWithExamples) {
  for (const char* command : {"run", "compare", "bounds", "list", "show", "fit"}) {
    const Outcome help = paceline(std::string(command) + " --help");
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr("Examples:")) << command;
    EXPECT_THAT(help.out, HasSubstr("--json")) << command;
  }
}

TEST_F(Cli, BadArguments) {
  refuses("rnu x", "did you mean 'run'");
  refuses(base_ + "--set network.bandwith=1Gbps", "did you mean 'bandwidth'");
  refuses(base_ + "--set network.bandwidth=50us", "is not a unit of a bandwidth");
  refuses(base_ + "--set network.bandwidth=10", "unit");
  refuses(base_ + "--set network.bandwidth=-1Gbps", "greater than zero");
  refuses(base_ + "--set network.bandwidth=0Gbps", "greater than zero");
  refuses(base_ + "--set nodes[0].count=0", "count");
  refuses(base_ + "-s s-sgd:overlapp=none", "did you mean 'overlap'");
  refuses(base_ + "-s s-sdg", "did you mean 's-sgd'");
  refuses(base_ + "-p lags-inception-v4", "the profile is of model");
  refuses(base_ + "--trace nowhere/trace.json", "there is no folder 'nowhere'");
  refuses(base_ + "--trace /proc/trace.json", "cannot be written");
  refuses(base_ + "-s cocod-sgd:period=0", "schedule.period: must be 1 or more");
  refuses(base_ + "-s lags-sgd:density=1.5", "schedule.density: must be between");
  refuses(base_ + "-s 'lags-sgd:ratios={\"layer1\":10}'", "unknown tensor 'layer1'");
  refuses(base_ + "-s asgd --servers 17", "17 servers were asked for, and 16 hosts may be one");
  refuses(base_ + "--gpus 0-99", "there is no GPU 99");
  refuses("run .", "is a folder, expected a JSON file");
  refuses("run -m resnet51 -b 32 -c 16x1-1080ti-10gbe", "did you mean 'resnet50'");
  refuses("run nothing.json", "cannot be read");
  refuses("compare reference-wfbp", "nothing varies");
  refuses("compare reference-wfbp --vary shedule=s-sgd", "did you mean 'schedule'");
  refuses("show resnet51", "did you mean 'resnet50'");
  refuses("list modles", "did you mean 'models'");
}

TEST_F(Cli, HintsSayWhatToWrite) {
  refuses("run -m resnet50 -b 32 -s cocod", "give --cluster");
  refuses("run", "give --model --cluster --batch");
  refuses(base_ + "-s cocod", "did you mean 'cocod-sgd'");
  refuses(base_ + "-s lags", "did you mean 'lags-sgd'");
  refuses(base_ + "--precision bf16", "a GTX 1080 Ti has no bf16 units");
  refuses(base_ + "--set nodes.count=64", "nodes is an array: nodes[0].count");
  refuses(base_ + "-s s-sgd:overlap=nothing", "experiment: schedule.overlap");
  write("partial.json", R"({"format": "paceline-experiment-1", "batch": 32})");
  refuses("run partial.json", "missing keys 'model', 'cluster'");
  EXPECT_EQ(paceline("show 16x1-1080ti-10gbe --set network.bandwidth=10Gbit/s").code, 0);
  EXPECT_THAT(paceline("show h100").out, HasSubstr("H100 SXM"));
  EXPECT_THAT(paceline("list gpus --csv").out,
              HasSubstr("\"V100, V100 SXM, V100 SXM2 16GB, V100 16GB\""));
}

TEST_F(Cli, AnAxisTakesWhatItsFlagTakes) {
  const std::string compare = "compare -m lenet5 -b 32 -c 16x1-1080ti-10gbe --steps 10 --csv ";
  for (const char* axis : {"jitter=none,lognormal:0.1", "gpus=0,0-1,0-3",
                           "all-reduce=ring,"
                           "double_binary_tree:chunks=16",
                           "precision=fp32,fp16", "seed=1,2"}) {
    const Outcome outcome = paceline(compare + "--vary " + axis);
    EXPECT_EQ(outcome.code, 0) << axis << outcome.err;
  }
}

TEST_F(Cli, DisturbancesAreShown) {
  const std::string set =
      "--set 'stragglers=[{\"worker\":3,\"slowdown\":2}]' --set "
      "'background=[{\"from\":\"gpu0\",\"to\":\"gpu1\",\"rate\":\"1Gbps\",\"until\":\"2s\"}]'";
  for (const std::string& command : {"show 16x1-1080ti-10gbe " + set, base_ + "--steps 2 " + set}) {
    const std::string out = paceline(command).out;
    EXPECT_THAT(out, HasSubstr("worker 3 slowed x2 from 0 s")) << command;
    EXPECT_THAT(out, HasSubstr("1 Gb/s from gpu0 to gpu1, from 0 s to 2 s")) << command;
  }
  EXPECT_THAT(paceline(base_ + "--jitter lognormal:0.1 --steps 5").out,
              HasSubstr("jitter lognormal, cv 0.1"));
}

TEST_F(Cli, APlatformFileIsShownWithoutNan) {
  const std::string out =
      paceline("show " PACELINE_SOURCE_DIR "/platforms/examples/two-sites.json").out;
  EXPECT_THAT(out, HasSubstr("two-sites"));
  EXPECT_THAT(out, Not(HasSubstr("nan")));
  EXPECT_THAT(out, Not(HasSubstr("infinite")));
}

TEST_F(Cli, BoundsSayWhatDoesNotBind) {
  const std::string out =
      paceline("bounds -m resnet50 -b 32 -c 16x1-1080ti-1gbe --gpus 0-7 -s lags-sgd").out;
  EXPECT_THAT(out, HasSubstr("reference: dense wire time"));
  EXPECT_THAT(out, HasSubstr("does not bind lags-sgd"));
  EXPECT_THAT(out, HasSubstr("floor: wire "));
}

// From an issue about two jobs on one network: the first begins two seconds after the other.
TEST_F(Cli, JobsBeginAtTheirDates) {
  write("jobs.json",
        R"({"format": "paceline-experiment-1", "cluster": "16x1-1080ti-10gbe", "jobs": [
    {"name": "A", "model": "vgg16", "batch": 32, "gpus": "0-7", "steps": 5, "start": "2s"},
    {"name": "B", "model": "resnet50", "batch": 32, "gpus": "8-15", "steps": 5}]})");
  const Json both = Json::parse(paceline("run jobs.json --json").out);
  EXPECT_EQ(both.at("experiment").at("jobs").at(0).at("start"), "2s");
  EXPECT_GT(both.at("other_jobs").at(0).at("iteration_time_s"), 0);
  const Json alone = Json::parse(
      paceline("run -m vgg16 -b 32 -c 16x1-1080ti-10gbe --gpus 0-7 --steps 5 --json").out);
  const double expected = alone.at("iteration_time_s");
  EXPECT_NEAR(both.at("iteration_time_s"), expected, 1e-9 * expected);
  const double whole = alone.at("total_time_s");  // from its own start
  EXPECT_NEAR(both.at("total_time_s"), whole, 1e-9 * whole);
  write("never.json",
        slurp(folder_ / "jobs.json").replace(slurp(folder_ / "jobs.json").find("2s"), 2, "-1s"));
  refuses("run never.json", "start");
}

TEST_F(Cli, ListsShortenNothing) {
  for (const char* kind : {"models", "clusters", "stacks", "profiles", "schedules", "experiments",
                           "gpus", "measurements"}) {
    const std::string list = std::string("list ") + kind;
    const std::string piped = paceline(list).out;
    const Json rows = Json::parse(paceline(list + " --json").out);
    for (const Json& row : rows)
      for (const auto& [key, cell] : row.items())
        EXPECT_THAT(piped, HasSubstr(cell.get<std::string>())) << kind;
    // Wrapped on a narrow terminal, with every name whole.
    const std::string narrow =
        shell("script -qec 'stty cols 60; paceline " + list + "' /dev/null").out;
    for (const Json& row : rows)
      EXPECT_THAT(narrow, HasSubstr(row.begin().value().get<std::string>())) << kind;
    std::istringstream lines(narrow);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 61U) << line;
  }
  EXPECT_EQ(paceline("list algorithms").out, paceline("list schedules").out);
}

TEST_F(Cli, WarningsNameTheirRows) {
  const std::string out =
      paceline("compare -m resnet50 -c 16x1-1080ti-10gbe --steps 5 --vary batch=32,512").out;
  EXPECT_THAT(out, HasSubstr("512 !"));
  EXPECT_THAT(out, HasSubstr("WARNING (!) 512: "));
}

TEST_F(Cli, PlotsTimesOfAnyNumberOfAxes) {
  const std::string compare = "compare -m lenet5 -b 32 -c 16x1-1080ti-10gbe --steps 10 --json ";
  const std::string axes[] = {"--vary schedule=s-sgd,local-sgd", "--vary precision=fp32,fp16",
                              "--vary all_reduce=ring,halving_doubling"};
  std::string given;
  for (const std::string& axis : axes) {
    given += axis + " ";
    const Outcome outcome =
        shell("paceline " + compare + given + "> c.json && paceline plot c.json --out c.svg");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("written c.svg"));
    EXPECT_THAT(slurp(folder_ / "c.svg"), HasSubstr("time of an iteration (ms)"));
  }
  refuses("plot c.json --out c.jpg", ".svg or .png");
}

TEST_F(Cli, BadFiles) {
  write("truncated.json", "{\n  \"format\": \"paceline-experiment-1\",\n  \"model\": ");
  refuses("run truncated.json", "line 3, column");
  write("key.json", R"({"format": "paceline-experiment-1", "model": "resnet50", "clutser": "x"})");
  refuses("run key.json", "clutser");
  write("bare.json", R"({"format": "paceline-experiment-1", "model": "resnet50", "batch": "32",
                          "cluster": "16x1-1080ti-10gbe"})");
  refuses("run bare.json", "$.batch: expected a whole number");
}

TEST_F(Cli, MissingRoute) {
  write("apart.json", R"({"format": "paceline-cluster-1", "name": "apart",
    "nodes": [{"count": 2, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"}],
    "network": {"topology": {"kind": "xml", "file": "apart.xml"}}})");
  write("apart.xml",
        "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
        "<platform version=\"4.1\"><zone id=\"z\" routing=\"Full\"><host id=\"a\" speed=\"1Gf\"/>"
        "<host id=\"b\" speed=\"1Gf\"/></zone></platform>\n");
  refuses("run -m resnet50 -b 32 -c apart.json", "apart");
}

TEST_F(Cli, BadPlatformFiles) {
  const auto cluster = [&](const std::string& name, const std::string& nodes,
                           const std::string& network) {
    write(name, R"({"format": "paceline-cluster-1", "name": "x", "nodes": [)" + nodes +
                    R"(], "network": {"topology": {"kind": "xml", "file": )" + network + "}}");
  };
  const std::string node = R"({"count": 2, "gpus": 1, "gpu": "T4", "pcie": "inf"})";
  const std::string run = "run -m resnet18 -b 32 -c ";
  write("one.xml",
        "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
        "<platform version=\"4.1\"><zone id=\"z\" routing=\"Full\"><host id=\"a\" "
        "speed=\"1Gf\"/></zone></platform>\n");
  write("broken.xml", "<?xml version='1.0'?>\n<platform version=\"4.1\"><zone");
  cluster("missing.json", node, R"("nothing.xml"})");
  refuses(run + "missing.json", "there is no file 'nothing.xml'");
  cluster("folder.json", node, R"("."})");
  refuses(run + "folder.json", "$.network.topology.file: there is no file '");
  cluster("broken.json", node, R"("broken.xml"})");
  refuses(run + "broken.json", "broken.xml");
  cluster("hosts.json", node, R"("one.xml"})");
  refuses(run + "hosts.json",
          "one.xml has 1 hosts, one GPU each, but the cluster file describes 2");
  cluster("gpus.json", R"({"count": 1, "gpus": 0})", R"("one.xml"})");
  refuses(run + "gpus.json", "needs at least one GPU");
  cluster("own.json", node, R"("one.xml"}, "bandwidth": "1Gbps")");
  refuses(run + "own.json", "$.network.bandwidth: the SimGrid platform file brings its own");
}

std::int64_t picoseconds(const Json& microseconds) {
  return std::llround(microseconds.get<double>() * 1e6);
}

TEST_F(Cli, TraceKeepsTheFormat) {
  ASSERT_EQ(paceline(base_ + "--steps 2 --trace trace.json").code, 0);
  const Json trace = load_json(folder_ / "trace.json");
  std::map<std::pair<int, int>, std::vector<std::pair<std::int64_t, std::int64_t>>> tracks;
  std::map<std::pair<int, int>, bool> named;
  ASSERT_TRUE(trace.at("traceEvents").is_array());
  for (const Json& event : trace.at("traceEvents")) {
    const auto phase = event.at("ph").get<std::string>();
    ASSERT_THAT(phase, AnyOf("X", "M", "C"));
    ASSERT_TRUE(event.at("pid").is_number_integer() && event.at("tid").is_number_integer());
    const std::pair track{event["pid"].get<int>(), event["tid"].get<int>()};
    if (phase == "M") {
      ASSERT_THAT(event.at("name").get<std::string>(), AnyOf("process_name", "thread_name"));
      ASSERT_TRUE(event.at("args").at("name").is_string());
      if (event["name"] == "thread_name") named[track] = true;
      continue;
    }
    if (phase == "C") {  // of a link
      ASSERT_GE(event.at("args").at("Gbit/s").get<double>(), 0);
      ASSERT_LE(event["args"]["Gbit/s"].get<double>(), 10);
      continue;
    }
    ASSERT_TRUE(event.at("name").is_string() && event.at("cat").is_string());
    ASSERT_GE(event.at("dur").get<double>(), 0);
    ASSERT_GE(event.at("ts").get<double>(), 0);
    tracks[track].emplace_back(picoseconds(event["ts"]), picoseconds(event["dur"]));
  }
  EXPECT_EQ(tracks.size(), 48U);  // 16 workers: steps, compute and communication
  for (auto& [track, spans] : tracks) {
    EXPECT_TRUE(named[track]);
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 1; i < spans.size(); ++i)
      ASSERT_LE(spans[i - 1].first + spans[i - 1].second, spans[i].first);
  }
}

TEST_F(Cli, CsvHasARowForEveryPoint) {
  const Outcome outcome = paceline(
      "compare -m resnet50 -b 32 -c 16x1-1080ti-10gbe --vary network.bandwidth=1Gbps,10Gbps --csv");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 3);
}

TEST_F(Cli, HeadingOfAComparisonSaysWhatIsCommon) {
  const auto first_line = [&](const std::string& arguments) {
    const std::string out = paceline("compare -b 32 " + arguments).out;
    return out.substr(0, out.find('\n'));
  };
  EXPECT_EQ(first_line("-c 16x1-1080ti-10gbe --vary model=resnet18,resnet50"),
            "batch 32 per GPU, 16 workers on 16x1-1080ti-10gbe");
  EXPECT_EQ(first_line("-m resnet18 --vary cluster=16x1-1080ti-10gbe,4x4-1080ti-10gbe"),
            "resnet18, batch 32 per GPU, 16 workers");
  EXPECT_THAT(paceline("compare -m resnet18 -b 32 -c 16x1-1080ti-10gbe --vary "
                       "schedule=s-sgd:overlap=none,cocod-sgd:period=5")
                  .out,
              HasSubstr("rounds/iteration"));
  // What is small keeps digits that say something.
  EXPECT_THAT(paceline("compare -m lenet5 -b 1 -c 16x1-1080ti-1gbe --set network.latency=200ms "
                       "--vary batch=1")
                  .out,
              testing::ContainsRegex(" 4[.]8e-05 +0[.]0003 "));
  const std::string described = paceline("compare cocod-16x1080ti").out;
  EXPECT_THAT(described, HasSubstr("\n\nbatch 32 per GPU, 16 workers\n\n"));
}

// Every ```sh block of the guide, from the project's folder. What builds is the scripts' own test.
void blocks_of(const fs::path& page, std::vector<std::string>& blocks) {
  std::ifstream stream(page);
  std::string line, block;
  bool inside = false;
  while (std::getline(stream, line)) {
    if (line == "```sh") {
      inside = true;
      block.clear();
    } else if (inside && line == "```") {
      inside = false;
      blocks.push_back(block);
    } else if (inside) {
      block += line + "\n";
    }
  }
}

TEST_F(Cli, EveryCommandOfTheGuideRuns) {
  const fs::path project = PACELINE_SOURCE_DIR;
  fs::create_directory(folder_ / "work");
  for (const char* part : {"experiments", "calibrate", "platforms"})
    fs::create_directory_symlink(project / part, folder_ / "work" / part);
  std::size_t commands = 0;
  for (const char* page : {"README.md", "docs/experiment.md", "docs/cluster.md", "docs/model.md",
                           "docs/profile.md", "docs/result.md", "docs/sweep.md"}) {
    ASSERT_TRUE(fs::exists(project / page)) << page;
    std::vector<std::string> blocks;
    blocks_of(project / page, blocks);
    for (const std::string& block : blocks) {
      if (block.starts_with("scripts/")) continue;
      const Outcome outcome = shell("set -e\n" + block, folder_ / "work");
      EXPECT_EQ(outcome.code, 0) << page << ":\n" << block << outcome.err;
      ++commands;
    }
  }
  EXPECT_GE(commands, 8U);
}

}  // namespace
}  // namespace paceline
