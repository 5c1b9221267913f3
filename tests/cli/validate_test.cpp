#include "base/json.hpp"
#include "cli.hpp"

namespace paceline {
namespace {

class Validate : public Cli {
 protected:
  void write_set(const std::string& name, const std::string& bar) {
    write(name, R"({"format": "paceline-published-1", "title": "t", "source": "s", "licence": "l",
      "hardware": "h", "software": "w", "category": "driven", "why": "its single GPU", "bar": )" +
                    bar + R"(,
      "experiment": {"model": "resnet50", "batch": 32, "cluster": "16x1-1080ti-10gbe",
                     "schedule": {"name": "s-sgd", "overlap": "none"}},
      "series": [{"name": "a", "one_gpu": "200/s", "rows": [
        {"gpus": 4, "measured": "400ms", "training": true},
        {"gpus": 8, "measured": "440ms"}, {"gpus": 16, "measured": "460ms"}]}]})");
  }
};

TEST_F(Validate, ErrorsBeyondTheBarEndWithThree) {
  write_set("wide.json", R"({"mean": 0.9, "p90": 0.95})");
  write_set("narrow.json", R"({"mean": 0.001, "p90": 0.001})");
  const Outcome wide = paceline("validate --set wide.json --rows --plot plot.svg");
  EXPECT_EQ(wide.code, 0) << wide.err;
  EXPECT_THAT(wide.out, HasSubstr("wide/a/4 GPUs"));
  EXPECT_THAT(wide.out, HasSubstr("fitted on"));
  EXPECT_THAT(slurp(folder_ / "plot.svg"), HasSubstr("bands: 5 and 10 %"));
  const Outcome narrow = paceline("validate --set narrow.json --json");
  EXPECT_EQ(narrow.code, 3);
  EXPECT_THAT(narrow.err, HasSubstr("beyond the bar of: narrow"));
  const Json json = Json::parse(narrow.out);
  EXPECT_EQ(json.at("sets").at(0).at("judged").at("rows"), 2);
  EXPECT_EQ(json.at("sets").at(0).at("within_bar"), false);
}

TEST_F(Validate, RefusesAnUnknownSet) {
  refuses("validate --set gtop-p102", "did you mean 'gtopk-p102'");
}

TEST_F(Validate, OneGpuNeedsAUnit) {
  refuses(base_ + "--one-gpu 253", "--one-gpu '253'");
  refuses(base_ + "--one-gpu 253/s --step 163ms", "expected one of them");
}

// The rows were made with a constant of 5 ms a collective: it is found again.
TEST_F(Validate, AStackIsFittedOnRows) {
  const std::string flags =
      "-m resnet50 -b 32 -c 16x1-1080ti-10gbe --one-gpu 200/s -s s-sgd:overlap=none ";
  std::string csv = "gpus,measured\n";
  for (const char* gpus : {"0-3", "0-7"}) {
    const Outcome run = paceline("run " + flags + "--gpus " + gpus +
                                 " --set stack.compute_per_collective=5ms --json");
    ASSERT_EQ(run.code, 0) << run.err;
    const Json json = Json::parse(run.out);
    csv += std::to_string(std::string(gpus) == "0-3" ? 4 : 8) + "," +
           std::to_string(1e3 * json.at("iteration_time_s").get<double>()) + "ms\n";
  }
  write("rows.csv", csv);
  const Outcome fit = paceline("calibrate stack --rows rows.csv " + flags +
                               "--constant compute_per_collective --out found.json --json");
  ASSERT_EQ(fit.code, 0) << fit.err;
  const Json constant = Json::parse(fit.out).at("constants").at(0);
  EXPECT_NEAR(constant.at("value").get<double>(), 5e-3, 5e-5);
  EXPECT_EQ(constant.at("identified"), true);
  EXPECT_EQ(paceline("run " + flags + "--stack found.json").code, 0);
}

TEST_F(Validate, DiagnosisNamesTheWireAndWhatWouldHelp) {
  const Outcome outcome = paceline(
      "diagnose -m vgg16 -b 32 -c 16x1-1080ti-1gbe --one-gpu 120/s -s s-sgd:overlap=none "
      "--measured '16 GPUs: 8.9s' --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_THAT(json.at("points").at(0).at("shares").at(0).at("cause").get<std::string>(),
              HasSubstr("wire"));
  EXPECT_GT(json.at("remedies").size(), 1U);
  refuses("diagnose -m vgg16 -b 32 -c 16x1-1080ti-1gbe --measured '16 GPUs'", "--measured");
}

}  // namespace
}  // namespace paceline
