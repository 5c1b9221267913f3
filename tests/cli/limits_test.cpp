// What is beyond any machine or training, contradicts itself, or stands where another kind of thing
// should: one line, exit code 2, before any work.
#include "base/json.hpp"
#include "cli.hpp"

namespace paceline {
namespace {

using ::testing::AllOf;
using ::testing::Not;

class LimitsCli : public Cli {
 protected:
  const std::string lenet_ = "run -m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 2 ";

  // With so many bytes of address space, and an end that a hang would not have.
  Outcome limited(const std::string& kibibytes, const std::string& arguments) {
    return shell("(ulimit -v " + kibibytes + "; timeout 60 paceline " + arguments + ")");
  }
};

TEST_F(LimitsCli, TwoJobsOnOneGpu) {
  const std::string start =
      R"({"format": "paceline-experiment-1", "cluster": "4x4-1080ti-10gbe", "jobs": [)";
  const auto job = [](const std::string& name, const std::string& gpus) {
    return R"({"name": ")" + name + R"(", "model": "lenet5", "batch": 8, "steps": 4)" + gpus + "}";
  };
  write("same.json",
        start + job("a", R"(, "gpus": "0-3")") + "," + job("b", R"(, "gpus": [2, 4])") + "]}");
  refuses("run same.json", "same.json: $.jobs[1].gpus: GPU 2 is job 'a''s already");
  write("all.json", start + job("a", "") + "," + job("b", "") + "]}");
  refuses("run all.json", "a job without 'gpus' has all");
  write("apart.json",
        start + job("a", R"(, "gpus": "0-3")") + "," + job("b", R"(, "gpus": "4-7")") + "]}");
  EXPECT_EQ(paceline("run apart.json").code, 0);
}

TEST_F(LimitsCli, TimesOfAProfile) {
  const auto profile = [](const std::string& time) {
    return R"({"format": "paceline-profile-1", "source": "published", "uncertainty": 0.15,
      "device": "GTX 1080 Ti", "model": "lenet5", "batches": [{"batch": 8, "whole_net":
      {"forward": ")" +
           time + R"(", "backward": ")" + time + R"(", "spread": "analytic"}}]})";
  };
  for (const char* time : {"1e308s", "1e300s", "1e11s", "1e-320s"}) {
    write("p.json", profile(time));
    refuses(lenet_ + "-p p.json", "p.json: $.batches[0].whole_net.forward: must be between");
  }
  write("p.json", profile("1e307h"));
  refuses(lenet_ + "-p p.json", "too large");
  write("p.json", profile("0s"));
  EXPECT_THAT(paceline(lenet_ + "-p p.json").out, Not(HasSubstr("inf")));
}

TEST_F(LimitsCli, QuantitiesOfSchedulesAndClusters) {
  refuses(lenet_ + "-s s-sgd:overlap=ddp:bucket=1e200GB", "bucket: must be between");
  refuses(lenet_ + "-s slgs-sgd:density=1e300", "density");
  refuses(lenet_ + "--set network.latency=1e300s", "network.latency: must be between");
  refuses(lenet_ + "--set network.bandwidth=1e300Gbps", "network.bandwidth: must be between");
  for (const char* factor : {"1e300", "1e-300"})
    refuses(lenet_ + "--set 'link_events=[{\"links\": \"*\", \"at\": \"1s\", \"factor\": " +
                factor + "}]'",
            "$.link_events[0].factor: must be between");
}

TEST_F(LimitsCli, Counts) {
  refuses(lenet_ + "--accumulation 1000000000", "accumulation: must be between 1 and 65536");
  refuses(lenet_ + "--accumulation 1000000000 -s no-such-schedule", "accumulation");
  refuses("run -m lenet5 -b 9000000000000000000 -c 16x1-1080ti-10gbe", "batch: must be between");
  refuses("run -m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 9000000000000000000",
          "steps: must be between");
  const Outcome most = limited("3000000", lenet_ + "--accumulation 65536");
  EXPECT_EQ(most.code, 0) << most.err;
}

TEST_F(LimitsCli, ThreadsThatCannotBeMade) {
  const Outcome outcome =
      limited("4000000",
              "run -m mlp -b 4 -c 4x4-1080ti-10gbe --gpus 0-2 --steps 3 --numerics --threads 1000");
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("1000 threads for the values: the system makes "));
}

TEST_F(LimitsCli, MemoryThatThereIsNot) {
  const Outcome outcome =
      limited("300000",
              "run -m vgg16 -b 32 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 3 --numerics "
              "--data textures --threads 1");
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("bad_alloc")));
}

TEST_F(LimitsCli, ADataFileThatIsMostlyHole) {
  const std::string header =
      "{'descr': '|u1', 'fortran_order': False, 'shape': (8000000, 3, 16, 16), }";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() + 1);
  file += '\0';
  file += header + "\n";
  fs::create_directory(folder_ / "data");
  for (const char* name :
       {"train_images.npy", "test_images.npy", "train_labels.npy", "test_labels.npy"}) {
    write(std::string("data/") + name, file);
    fs::resize_file(folder_ / "data" / name, file.size() + std::uintmax_t{8000000} * 768);
  }
  const Outcome outcome =
      limited("3000000",
              "run -m resnet20-cifar -b 8 -c 16x1-1080ti-1gbe --gpus 0-1 --steps 2 "
              "--numerics --data npy --data-folder data");
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("data/train_images.npy: is larger than"));
}

TEST_F(LimitsCli, TheLastEvaluationDiverges) {
  const Outcome outcome = paceline(
      "run -m mlp -b 4 -c 4x4-1080ti-10gbe --gpus 0-4 --steps 2 --evaluate-every 1 "
      "-s s-sgd:overlap=ddp --numerics --lr 1e6 --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json training = Json::parse(outcome.out).at("training");
  EXPECT_EQ(training.at("diverged_step"), 2) << training.dump();
  EXPECT_FALSE(training.contains("final_loss")) << training.dump();
  EXPECT_FALSE(training.contains("final_accuracy"));
}

TEST_F(LimitsCli, ArgumentsThatAreNotUtf8) {
  refuses("run -m lenet5 -b 8 -c 16x1-1080ti-10gbe --set \"$(printf 'name=\\377')\"",
          "is not UTF-8");
  refuses("show \"$(printf 'a\\377.json')\"", "is not UTF-8");
}

TEST_F(LimitsCli, WhereNothingCanBeWritten) {
  for (const char* arguments :
       {"run -m lenet5 -b 8 -c 16x1-1080ti-10gbe", "list models", "--help", "run --help"}) {
    const Outcome outcome = shell(std::string("paceline ") + arguments + " >/dev/full");
    EXPECT_EQ(outcome.code, 2) << arguments << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("cannot be written"));
  }
}

TEST_F(LimitsCli, AFailingTraceDoesNotLoseTheResult) {
  const Outcome outcome = shell(
      "paceline run -m lenet5 -b 8 -c 16x1-1080ti-10gbe --steps 2 --numerics --json "
      "--trace /dev/full --metrics m.csv");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("/dev/full: cannot be written: No space left"));
  EXPECT_TRUE(Json::accept(outcome.out)) << outcome.out;
  EXPECT_THAT(slurp(folder_ / "m.csv"), HasSubstr("loss"));
}

TEST_F(LimitsCli, AnotherKindOfFile) {
  ASSERT_EQ(shell("paceline show cluster 16x1-1080ti-1gbe --json > lab.json; "
                  "paceline show model lenet5 --json > net.json")
                .code,
            0);
  refuses("run -m lab.json -b 8 -c 16x1-1080ti-1gbe",
          "this is a cluster (paceline-cluster-1), expected a model; give it with --cluster");
  refuses("run -m lenet5 -b 8 -c net.json",
          "this is a model (paceline-model-1), expected a "
          "cluster; give it with --model");
  refuses("run -m lenet5 -b 8 -c 16x1-1080ti-1gbe -p lab.json", "expected a profile of step times");
  refuses("run lab.json", "this is a cluster");
  refuses(
      "run -m lenet5 -b 8 -c 16x1-1080ti-1gbe --stack lab.json",
      "this is a cluster (paceline-cluster-1), expected a software stack; give it with --cluster");
}

// The later of the two won, and the other was ignored without a word.
TEST_F(LimitsCli, WhatIsSaidTwice) {
  refuses(lenet_ + "-s s-sgd:overlap=wfbp:overlap=none", "'overlap' is given twice");
  refuses(lenet_ + "-s s-sgd:name=asgd", "'name' is given twice");
  refuses(lenet_ + "--all-reduce double_binary_tree:chunks=4:chunks=8", "'chunks' is given twice");
  refuses(lenet_ + "--set network.bandwidth=1Gbps --set network.bandwidth=2Gbps",
          "--set network.bandwidth=2Gbps: 'network.bandwidth' is given twice");
  refuses(lenet_ + "--gpu-spec V100 --set 'nodes[0].gpu=P100'",
          "is the GPU of every node, and so is 'nodes[0].gpu=P100'");
  refuses(
      "compare -m lenet5 -b 8 -c 16x1-1080ti-10gbe --gpu-spec V100 --vary 'nodes[0].gpu=P100,T4'",
      "is the GPU of every node");
}

TEST_F(LimitsCli, MisspeltOptionsAndHelp) {
  refuses("run --modle lenet5", "unknown option '--modle'; did you mean '--model'?");
  refuses("run -m lenet5 -b 8 -c 16x1-1080ti-1gbe --fidelty=flow", "did you mean '--fidelity'?");
  const Outcome help = paceline("help run"), flag = paceline("run --help");
  EXPECT_EQ(help.code, 0) << help.err;
  EXPECT_EQ(help.out, flag.out);
  EXPECT_EQ(paceline("help").out, paceline("--help").out);
  EXPECT_EQ(paceline("help calibrate").out, paceline("calibrate --help").out);
}

TEST_F(LimitsCli, SymbolsOfThePapersAreOptions) {
  for (const auto& [symbol, name] :
       {std::pair("diloco:H=20", "diloco:period=20"), {"cocod-sgd:k=5", "cocod-sgd:period=5"}})
    EXPECT_EQ(paceline(lenet_ + "--json -s " + symbol).out,
              paceline(lenet_ + "--json -s " + name).out);
  const Outcome varied = paceline(
      "compare -m lenet5 -b 8 -c 16x1-1080ti-10gbe -s cocod-sgd --vary schedule.period=1,2,5 "
      "--csv");
  EXPECT_EQ(varied.code, 0) << varied.err;
  EXPECT_EQ(std::count(varied.out.begin(), varied.out.end(), '\n'), 4) << varied.out;
  refuses(base_ + "-s s-sgd:k=5", "unknown key 'k'");
  const auto time = [&](const std::string& schedule) {
    const Outcome outcome = paceline(lenet_ + "--gpus 0-3 --json -s " + schedule);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out).at("iteration_time_s").get<double>();
  };
  EXPECT_GT(time("s-sgd:overlap=wfbp:negotiation=1ms"), time("s-sgd:overlap=wfbp"));
  EXPECT_GT(time("ps-s-sgd:overlap=none"), time("ps-s-sgd"));
}

TEST_F(LimitsCli, SavedAnswersAreReadBack) {
  const std::string compare = "compare -m lenet5 -b 8 -c 16x1-1080ti-10gbe --vary steps=20,40";
  ASSERT_EQ(
      shell("paceline " + compare + " --json > c.json && paceline " + lenet_ + "--json > r.json")
          .code,
      0);
  for (const char* form : {"", " --csv", " --json"}) {
    const std::string made = paceline(compare + form).out;
    EXPECT_EQ(paceline(std::string("show c.json") + form).out, made);
    EXPECT_EQ(paceline(std::string("compare c.json") + form).out, made);
  }
  EXPECT_EQ(paceline("show r.json").out, paceline(lenet_).out);
  refuses("show r.json --csv", "--csv");
  refuses("compare c.json -b 4", "change nothing");
  refuses("compare c.json --vary steps=1,2", "that was made");
  write("broken.json", R"({"format": "paceline-result-1", "name": 7})");
  refuses("show broken.json", "broken.json: not a result: type must be string");
}

}  // namespace
}  // namespace paceline
