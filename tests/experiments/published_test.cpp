#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/json.hpp"
#include "experiments/run.hpp"
#include "experiments/validate.hpp"
#include "small.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

JobOutcome outcome(const Json& json) {
  return run_alone(read_experiment(json, "test.json")).job;
}

std::string refusal(const Json& json) {
  try {
    (void)outcome(json);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(OneGpuTime, IsTheWholeStepOfOneGpu) {
  Json json = small();
  json["gpus"] = "0";
  for (const auto& [text, step] : {std::pair("200/s", 0.16), std::pair("163ms", 0.163)}) {
    json["profile"] = text;
    const JobOutcome job = outcome(json);
    EXPECT_NEAR(job.iteration_time_s, step, 1e-12) << text;
    EXPECT_NEAR(job.one_gpu_time_s, step, 1e-12) << text;
    EXPECT_GT(job.time.update_s, 0);
    EXPECT_EQ(job.profiles.front().source, "given");
    EXPECT_THAT(job.profiles.front().description, HasSubstr("update included"));
  }
}

TEST(OneGpuTime, CountsTheSamplesOfEveryMicroBatch) {
  Json json = small();
  json["gpus"] = "0";
  json["accumulation"] = 4;
  json["profile"] = "200/s";
  EXPECT_NEAR(outcome(json).iteration_time_s, 4 * 32 / 200.0, 1e-12);
}

// The shares of the layers are those of the analytic profile.
TEST(OneGpuTime, ScalesTheAnalyticLayers) {
  Json json = small();
  const JobOutcome analytic = outcome(json);
  json["profile"] = fmt::format("{}s", analytic.one_gpu_time_s);
  const JobOutcome given = outcome(json);
  EXPECT_NEAR(given.iteration_time_s, analytic.iteration_time_s, 1e-9 * analytic.iteration_time_s);
  EXPECT_NEAR(given.time.forward_s, analytic.time.forward_s, 1e-9 * analytic.iteration_time_s);
}

TEST(OneGpuTime, ServesAGpuThatNobodyKnows) {
  Json json = small();
  json["cluster"] = {{"format", "paceline-cluster-1"},
                     {"name", "next year's"},
                     {"nodes",
                      {{{"name", "node"},
                        {"count", 4},
                        {"gpus", 1},
                        {"gpu", {{"name", "X9000"}, {"memory", "64GiB"}}},
                        {"pcie", {{"bandwidth", "50GB/s"}}}}}},
                     {"network", {{"bandwidth", "100Gbps"}, {"latency", "5us"}}}};
  json["profile"] = "5000/s";
  const JobOutcome job = outcome(json);
  EXPECT_NEAR(job.one_gpu_time_s, 32 / 5000.0, 1e-12);
  EXPECT_THAT(job.profiles.front().description, HasSubstr("X9000"));
  EXPECT_THAT(job.profiles.front().description, HasSubstr("V100 SXM2"));
}

TEST(OneGpuTime, RefusesWhatIsNone) {
  Json json = small();
  json["profile"] = "-3/s";
  EXPECT_THAT(refusal(json), HasSubstr("$.profile"));
  json["profile"] = "1us";
  EXPECT_THAT(refusal(json), HasSubstr("the update of 25.56 M parameters alone takes"));
  json["profile"] = "253/s";
  json.erase("batch");
  EXPECT_THAT(refusal(json), HasSubstr("batch"));
}

Json tiny_set() {
  return Json::parse(R"({
    "format": "paceline-published-1", "title": "t", "source": "s", "licence": "l",
    "hardware": "h", "software": "w", "category": "driven", "why": "its single GPU",
    "bar": {"mean": 0.5, "p90": 0.6},
    "experiment": {"model": "resnet50", "batch": 32, "cluster": "16x1-1080ti-10gbe"},
    "series": [{"name": "a", "one_gpu": "200/s", "experiment": {"all_reduce": "ring"}, "rows": [
      {"gpus": 1, "measured": "160ms"},
      {"gpus": 4, "measured": "200ms", "training": true},
      {"gpus": 16, "measured": "2000/s"},
      {"gpus": 2, "measured": "1ms", "category": "reported", "why": "impossible"}]}]})");
}

TEST(Published, ARowIsItsSeriesAndSetWithItsOwn) {
  const PublishedSet set = read_published(tiny_set(), "tiny", "tiny.json");
  ASSERT_EQ(set.rows.size(), 4U);
  const PublishedRow& row = set.rows[2];
  EXPECT_EQ(row.id(), "tiny/a/16 GPUs");
  EXPECT_NEAR(row.measured_s, 16 * 32 / 2000.0, 1e-15);
  EXPECT_NEAR(*row.one_gpu_measured_s, 0.16, 1e-15);
  EXPECT_EQ(row.experiment.at("profile"), "200/s");
  EXPECT_EQ(row.experiment.at("gpus"), "0-15");
  EXPECT_EQ(row.experiment.at("all_reduce"), "ring");
}

// A rate of one GPU, and the row's own accumulation: half of the micro-batches, half of the time.
TEST(Published, TheSingleGpuIsOfTheRowsOwnBatch) {
  Json json = tiny_set();
  json["series"][0]["experiment"]["accumulation"] = 4;
  json["series"][0]["rows"][2]["experiment"] = {{"accumulation", 2}};
  const PublishedSet set = read_published(json, "tiny", "tiny.json");
  EXPECT_NEAR(*set.rows[1].one_gpu_measured_s, 4 * 0.16, 1e-15);
  EXPECT_NEAR(*set.rows[2].one_gpu_measured_s, 2 * 0.16, 1e-15);
}

TEST(Published, SummariesAreOfTheJudgedRows) {
  const ReplayedSet set = replay({read_published(tiny_set(), "tiny", "tiny.json")}, {}).front();
  ASSERT_EQ(set.rows.size(), 4U);
  EXPECT_EQ(set.judged().rows, 2U);
  EXPECT_EQ(set.training().rows, 1U);
  EXPECT_EQ(set.scaling().rows, 1U);
  Json json = small();
  json["profile"] = "200/s";
  const double predicted = outcome(json).iteration_time_s;
  const double error = predicted / 0.256 - 1;
  EXPECT_NEAR(set.rows[0].error(), 0, 1e-9);
  EXPECT_NEAR(set.rows[2].error(), error, 1e-12);
  EXPECT_NEAR(set.judged().mean, std::abs(error) / 2, 1e-9);
  // Driven by the same single GPU: the ratio T_N / T_1 is off by as much.
  EXPECT_NEAR(*set.rows[2].scaling_error(), error, 1e-9);
  EXPECT_NEAR(set.bias(), error / 2, 1e-9);
}

TEST(Published, AnAllReduceAloneIsWhatTheCollectiveTakes) {
  Json json = tiny_set();
  json["measures"] = "all_reduce";
  json["series"][0] = {{"name", "a"},
                       {"experiment", {{"cluster", "16x1-1080ti-10gbe"}}},
                       {"rows", {{{"gpus", 8}, {"elements", "1000000"}, {"measured", "10ms"}}}}};
  const ReplayedSet set = replay({read_published(json, "tiny", "tiny.json")}, {}).front();
  // 14 steps of 43 us and an eighth of 4 MB at 0.927 of 10 Gb/s.
  const double expected = 14 * (43e-6 + 0.5e6 / (0.927 * 1.25e9));
  EXPECT_NEAR(set.rows[0].predicted_s, expected, 1e-9 * expected);
}

TEST(Published, RefusesWhatTheFormatDoesNotAllow) {
  const auto message = [](const Json& json) -> std::string {
    try {
      (void)read_published(json, "tiny", "tiny.json");
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  Json json = tiny_set();
  json["series"][0]["rows"][2]["measured"] = "2000";
  EXPECT_THAT(message(json), HasSubstr("tiny.json: $.series[0].rows[2].measured: '2000'"));
  json = tiny_set();
  json["series"][0]["rows"][3].erase("why");
  json.erase("why");
  EXPECT_THAT(message(json), HasSubstr("needs a \"why\""));
  json = tiny_set();
  json["series"][0]["rows"][3]["training"] = true;
  EXPECT_THAT(message(json), HasSubstr("cannot be one that constants are fitted on"));
  json = tiny_set();
  json["serie"] = 1;
  EXPECT_THAT(message(json), HasSubstr("serie"));
}

// Constants of stacks and clusters may be fitted on these rows and no others; no row of them is
// judged. Whoever adds one says so here.
TEST(Published, TrainingRowsAreTheseAndNotJudged) {
  std::vector<std::string> training;
  for (const PublishedSet& set : shipped_published())
    for (const PublishedRow& row : set.rows)
      if (row.training) training.push_back(row.id());
  EXPECT_THAT(
      training,
      ::testing::ElementsAreArray(std::vector<std::string>{
          "ddl-2080ti-all-reduce/BSP-A2A, 10 GbE/4 GPUs",
          "ddl-2080ti-all-reduce/MG-WFBP, 10 GbE/8 GPUs",
          "ddl-2080ti-all-reduce/BSP-A2A, 100 Gb/s RDMA/4 GPUs",
          "ddl-2080ti-all-reduce/WFBP-A2A, 100 Gb/s RDMA/4 GPUs",
          "ddl-2080ti-all-reduce/BSP-A2A, 100 Gb/s TCP/4 GPUs",
          "ddl-2080ti-all-reduce/BSP-A2A, 100 Gb/s TCP/8 GPUs",
          "ddl-2080ti-bytescheduler/ByteScheduler-A2A, 100 Gb/s RDMA/4 GPUs",
          "ddl-2080ti-servers/BSP-PS, 10 GbE/8 GPUs",
          "ddl-2080ti-servers/BSP-PS, 100 Gb/s RDMA/4 GPUs",
          "ddl-2080ti-servers/BSP-PS, 100 Gb/s RDMA/8 GPUs",
          "deepbench-1080ti/2 GPUs/2 GPUs, 100000",
          "deepbench-1080ti/2 GPUs/2 GPUs, 64500000",
          "deepbench-1080ti/4 GPUs/4 GPUs, 100000",
          "deepbench-1080ti/8 GPUs/8 GPUs, 100000",
          "deepbench-1080ti/8 GPUs/8 GPUs, 64500000",
          "deepbench-1080ti/16 GPUs/16 GPUs, 64500000",
          "dlperf-v100/NGC TF 1.15 20.03 + Horovod, fp32, batch 128/8 GPUs",
          "dlperf-v100/NGC TF 1.15 20.03 + Horovod, fp32, batch 128/32 GPUs",
          "dlperf-v100/PyTorch 1.6 DDP, fp32, batch 128, run 2/8 GPUs",
          "dlperf-v100/PyTorch 1.6 DDP, fp32, batch 128, run 2/32 GPUs",
          "gtopk-p102/ResNet-50, Dense/4 GPUs",
          "gtopk-p102/ResNet-50, Top-k/4 GPUs",
          "gtopk-p102/ResNet-50, Top-k/32 GPUs",
          "gtopk-p102/ResNet-50, gTop-k/4 GPUs",
          "horovod-2017/Horovod TCP, MPI allreduce on CPU, ResNet-101/16 GPUs",
          "horovod-2017/Horovod TCP, NCCL, ResNet-101/16 GPUs",
          "lags-p102/ResNet-50/slgs",
          "mgwfbp-v100/ResNet-152, fp32, 10GbE/wfbp",
          "mgwfbp-v100/ResNet-152, fp32, 10GbE/single",
          "mgwfbp-v100/ResNet-152, fp32, 10GbE/mgwfbp",
          "mxnet-servers-2017/EC2 p2.16xlarge, Inception-v3/16 GPUs",
          "mxnet-titanx-memory/SqueezeNet/batch 10",
          "mxnet-titanx-memory/ResNet-18/batch 10",
          "mxnet-titanx-memory/ResNet-18/batch 40",
          "pytorch-ddp-2019/resnet50/2 GPUs",
          "single-gpu/Lambda TF 2.2, GTX 1080 Ti/ResNet-50",
          "single-gpu/Lambda TF 2.2, GTX 1080 Ti/VGG-16",
          "single-gpu/Lambda TF 2.2, GTX 1080 Ti/AlexNet",
          "single-gpu/Lambda PyTorch 2020, GTX 1080 Ti/ResNet-50",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/ResNet-18 forward",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/ResNet-18 backward",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/ResNet-50 forward",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/ResNet-50 backward",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/VGG-16 forward",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/VGG-16 backward",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/GoogLeNet forward",
          "single-gpu/cnn-benchmarks, GTX 1080 Ti/GoogLeNet backward",
          "single-gpu/TensorFlow 1.1, GK210/ResNet-50, batch 64",
          "single-gpu-mixed/Lambda PyTorch 2020-2025, A100 SXM 80GB/resnet50, amp-fp16, batch 1280",
          "single-gpu-mixed/Lambda PyTorch 2020-2025, A100 SXM 80GB/resnet50, tf32, batch 640",
          "single-gpu-mixed/Lambda PyTorch 2020-2025, RTX 3090/resnet50, amp-fp16, batch 448",
          "single-gpu-mixed/Lambda PyTorch 2020-2025, RTX 3090/resnet50, tf32, batch 224",
          "single-gpu-mixed/Lambda PyTorch 2020-2025, V100 SXM2/resnet50, amp-fp16, batch 256",
          "single-gpu-mixed/Lambda PyTorch 2020-2025, V100 SXM2 32GB/bert-large-encoder:seq=384, "
          "amp-fp16, batch 24",
          "single-gpu-mixed/NVIDIA DeepLearningExamples PyTorch, SQuAD, A100 SXM "
          "80GB/bert-large-encoder:seq=384, amp-fp16, batch 32",
          "single-gpu-mixed/NVIDIA DeepLearningExamples PyTorch, SQuAD, A100 SXM "
          "80GB/bert-large-encoder:seq=384, tf32, batch 32",
          "tensorflow-one-node-2017/GCE n1-standard-32 8xK80(GK210), VGG-16, batch 32/8 GPUs",
          "tensorflow-servers-2017/Distributed TF (PS), ResNet-101/16 GPUs",
          "tensorflow-servers-2017/EC2 p2.8xlarge, ResNet-50/32 GPUs",
          "torchtitan-memory/8 GPUs, selective/compile",
          "torchtitan-memory/8 GPUs, full, compile, float8/FSDP 8, CP 1"}));
}

TEST(Published, EveryShippedRowCanBeSaid) {
  std::size_t rows = 0;
  for (const PublishedSet& set : shipped_published()) {
    EXPECT_NE(set.source, "") << set.name;
    EXPECT_NE(set.licence, "") << set.name;
    for (const PublishedRow& row : set.rows) {
      EXPECT_NO_THROW((void)read_experiment(row.experiment, row.id())) << row.id();
      ++rows;
    }
  }
  EXPECT_GT(rows, 200U);
}

}  // namespace
}  // namespace paceline
