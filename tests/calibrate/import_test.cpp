#include "calibrate/import/import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

const ImportOptions kOptions{.batch = 4, .device = "T4"};

Model small_model() {
  GraphBuilder builder("small");
  std::size_t x = builder.input("x", {3, 8, 8});
  x = builder.conv2d("conv1", x, {.channels = 4, .kernel = 3, .padding = 1});
  x = builder.relu("relu1", x);
  x = builder.conv2d("conv2", x, {.channels = 4, .kernel = 3, .padding = 1});
  x = builder.dense("fc", builder.flatten("flat", x), {.features = 10});
  builder.softmax_loss("loss", x);
  return builder.build();
}

// A trace as Kineto writes it, of steps that launch one kernel per call.
class TraceWriter {
 public:
  void call(const std::string& name, double kernel_us, int thread) {
    if (name == skipped) return;
    events_.push_back(event("cpu_op", name, date_, 9, thread));
    // What it calls itself, of a kind that is known too.
    events_.push_back(event("cpu_op", "aten::addmm", date_ + 1, 5, thread));
    Json launch = event("cuda_runtime", "cudaLaunchKernel", date_ + 2, 1, thread);
    launch["args"] = {{"correlation", next_}};
    Json kernel = event("kernel", "some_kernel", date_ + 1000, kernel_us, 7);
    kernel["args"] = {{"correlation", next_++}};
    if (with_launches) events_.push_back(launch);
    if (with_gpu) events_.push_back(kernel);
    date_ += 10;
  }
  void step(double scale) {
    const double start = date_;
    if (!extra.empty()) call(extra, 100 * scale, 1);
    call("aten::conv2d", 10 * scale, 1);
    call("aten::relu", 1 * scale, 1);
    call("aten::conv2d", 20 * scale, 1);
    call("aten::linear", 5 * scale, 1);
    call("aten::cross_entropy_loss", 2 * scale, 1);
    const std::string node = "autograd::engine::evaluate_function: ";
    call(node + "NllLossBackward0", 1 * scale, 2);
    call(node + "LogSoftmaxBackward0", 1 * scale, 2);
    call(node + "AddmmBackward0", 9 * scale, 2);
    call(node + "ConvolutionBackward0", 40 * scale, 2);
    call(node + "ReluBackward0", 2 * scale, 2);
    call(node + "ConvolutionBackward0", 18 * scale, 2);
    call("Optimizer.step#SGD.step", 3 * scale, 1);
    events_.push_back(event("user_annotation", "ProfilerStep#" + std::to_string(step_++), start,
                            date_ - start, 1));
    date_ += 5;
  }
  [[nodiscard]] Json json() const { return {{"traceEvents", events_}}; }
  [[nodiscard]] std::string text() const { return json().dump(); }
  bool with_gpu = true, with_launches = true;
  std::string extra, skipped;  // a call more at the start of each step, and one less

 private:
  static Json event(const char* cat, const std::string& name, double start, double duration,
                    int thread) {
    return {{"ph", "X"},       {"cat", cat}, {"name", name},  {"ts", start},
            {"dur", duration}, {"pid", 1},   {"tid", thread}, {"args", Json::object()}};
  }
  Json events_ = Json::array();
  double date_ = 1000;
  int next_ = 1, step_ = 0;
};

TEST(ImportTrace, KernelsFindTheirOperationByKindAndOrder) {
  TraceWriter trace;
  for (const double scale : {1.0, 2.0, 3.0, 4.0, 5.0}) trace.step(scale);
  const Model model = small_model();
  const Profile profile = parse_trace(trace.text(), "trace.json", model, kOptions);
  ASSERT_EQ(profile.batches.size(), 1);
  const std::vector<LayerTimes>& layers = profile.batches[0].layers;
  const auto layer = [&](const char* name) {
    return *std::find_if(layers.begin(), layers.end(),
                         [&](const LayerTimes& l) { return l.name == name; });
  };
  EXPECT_NEAR(layer("conv1").forward.median_s, 30e-6, 1e-12);
  EXPECT_NEAR(*layer("conv1").forward.p25_s, 20e-6, 1e-12);
  EXPECT_NEAR(layer("conv1").backward_data.median_s, 54e-6, 1e-12);
  EXPECT_NEAR(layer("conv2").forward.median_s, 60e-6, 1e-12);
  EXPECT_NEAR(layer("conv2").backward_data.median_s, 120e-6, 1e-12);
  EXPECT_NEAR(layer("fc").backward_data.median_s, 27e-6, 1e-12);
  EXPECT_NEAR(layer("loss").backward_data.median_s, 6e-6, 1e-12);
  const StepCosts costs = step_costs(model, profile, 4);
  EXPECT_NEAR(costs.forward_s(), 3 * 38e-6, 1e-11);
  EXPECT_NEAR(costs.backward_s(), 3 * 71e-6, 1e-11);
  EXPECT_NEAR(profile.metadata->at("unmatched_share").get<double>(), 3.0 / 112, 1e-9);  // optimizer
  EXPECT_EQ(read_profile(profile_json(profile), "file"), profile);
}

TEST(ImportTrace, OneStepNeedsNoAnnotationAndGivesNoQuartiles) {
  TraceWriter trace;
  trace.step(1);
  Json json = trace.json();
  json["traceEvents"].erase(json["traceEvents"].size() - 1);
  const Profile profile = parse_trace(json.dump(), "trace.json", small_model(), kOptions);
  EXPECT_NEAR(profile.batches[0].layers[0].forward.median_s, 10e-6, 1e-12);
  EXPECT_FALSE(profile.batches[0].layers[0].forward.p25_s);
}

// Of five steps, with dates and categories changed.
Profile changed(const std::function<void(Json&)>& change) {
  TraceWriter trace;
  for (const double scale : {1.0, 2.0, 3.0, 4.0, 5.0}) trace.step(scale);
  Json json = trace.json();
  for (Json& event : json["traceEvents"]) change(event);
  return parse_trace(json.dump(), "trace.json", small_model(), kOptions);
}

TEST(ImportTrace, DatesMayCountFrom1970) {
  const Profile from_boot = changed([](Json&) {});
  EXPECT_EQ(
      changed([](Json& event) { event["ts"] = event["ts"].get<double>() + 1712195495000000.0; }),
      from_boot);
  EXPECT_THAT([] { changed([](Json& event) { event["ts"] = 1e17; }); },
              ThrowsMessage<InputError>(HasSubstr("$.traceEvents[0].ts: expected microseconds")));
}

TEST(ImportTrace, CategoriesOf2021AreKnown) {
  EXPECT_EQ(changed([](Json& event) {
              const std::map<std::string, std::string> old{{"kernel", "Kernel"},
                                                           {"cuda_runtime", "Runtime"},
                                                           {"cpu_op", "Operator"},
                                                           {"user_annotation", "Operator"}};
              event["cat"] = old.at(event["cat"]);
            }),
            changed([](Json&) {}));
}

TEST(ImportTrace, RefusesATraceWithoutGpuEvents) {
  TraceWriter trace;
  trace.with_gpu = false;
  trace.step(1);
  EXPECT_THAT([&] { parse_trace(trace.text(), "trace.json", small_model(), kOptions); },
              ThrowsMessage<InputError>(HasSubstr("trace.json: there are no GPU events")));
}

TEST(ImportTrace, RefusesAnotherModel) {
  TraceWriter trace;
  trace.step(1);
  EXPECT_THAT([&] { parse_trace(trace.text(), "trace.json", make_model("resnet20"), kOptions); },
              ThrowsMessage<InputError>(HasSubstr("2 forward calls of conv2d per step")));
}

TEST(ImportTrace, ManyStepsTakeLinearTime) {
  TraceWriter trace;
  for (int i = 0; i < 1500; ++i) trace.step(1);
  const Profile profile = parse_trace(trace.text(), "trace.json", small_model(), kOptions);
  EXPECT_EQ(profile.metadata->at("steps"), 1500);
}

void expect_refused(const Json& trace, const std::string& message,
                    const ImportOptions& options = kOptions) {
  EXPECT_THAT([&] { parse_trace(trace.dump(), "trace.json", small_model(), options); },
              ThrowsMessage<InputError>(HasSubstr(message)));
}

TEST(ImportTrace, CallsThatDoNotFitAreLeftAtZeroLoudly) {
  TraceWriter trace;
  trace.extra = "aten::relu";
  trace.step(1);
  const Profile profile = parse_trace(trace.text(), "trace.json", small_model(), kOptions);
  EXPECT_EQ(profile.batches[0].layers[1].forward.median_s, 0);
  ASSERT_EQ(profile.metadata->at("left_at_0_s").size(), 1);
  EXPECT_EQ(profile.metadata->at("left_at_0_s")[0].at("calls"), 2);
  EXPECT_THAT(profile.metadata->at("warnings").dump(),
              HasSubstr("relu forward left at 0 s: the trace has 2 calls per step, model 'small' "
                        "has 1 (relu1)"));
  EXPECT_THAT(profile.metadata->at("warnings").dump(), HasSubstr("49 % of the GPU time"));
  EXPECT_THAT(profile.description, HasSubstr("1 passes of layers left at 0 s"));
  EXPECT_NEAR(profile.metadata->at("unmatched_share").get<double>(), (101.0 + 3) / 212, 1e-9);

  TraceWriter missing;
  missing.skipped = "autograd::engine::evaluate_function: ReluBackward0";
  missing.step(1);
  EXPECT_THAT(parse_trace(missing.text(), "trace.json", small_model(), kOptions)
                  .metadata->at("warnings")
                  .dump(),
              HasSubstr("relu backward left at 0 s: the trace has 0 calls per step"));
}

TEST(ImportTrace, OnlyWholeStepsCount) {
  TraceWriter trace;
  trace.skipped = "aten::linear";
  trace.step(9);
  trace.skipped = "";
  for (int i = 0; i < 4; ++i) trace.step(2);
  const Profile profile = parse_trace(trace.text(), "trace.json", small_model(), kOptions);
  EXPECT_EQ(profile.metadata->at("steps"), 4);
  EXPECT_EQ(profile.metadata->at("steps_in_trace"), 5);
  EXPECT_THAT(profile.description, HasSubstr("4 of its 5 steps"));
  EXPECT_NEAR(profile.batches[0].layers[0].forward.median_s, 20e-6, 1e-12);
}

TEST(ImportTrace, TimesOfNothingAreRefused) {
  TraceWriter unlaunched;
  unlaunched.with_launches = false;
  unlaunched.step(1);
  expect_refused(unlaunched.json(), "trace.json: there are kernels, but no cuda_runtime events");
  TraceWriter zero;
  zero.step(0);
  expect_refused(zero.json(), "trace.json: the forward pass takes 0 s");
}

TEST(ImportTrace, TwoTracesInOneAreRefused) {
  TraceWriter trace;
  trace.step(1);
  const Json one = trace.json();
  const auto with_second = [&](const char* key, const Json& value) {
    Json both = one;
    for (Json event : one.at("traceEvents")) {
      if (key != nullptr) event[key] = value;
      both["traceEvents"].push_back(event);
    }
    return both;
  };
  expect_refused(with_second(nullptr, {}), "expected each kernel once");
  expect_refused(with_second("pid", 2), "trace.json: holds events of 2 processes (pid 1, 2)");
  Json devices = one;
  for (std::size_t i = 0, kernels = 0; i < devices["traceEvents"].size(); ++i)
    if (devices["traceEvents"][i]["cat"] == "kernel")
      devices["traceEvents"][i]["args"]["device"] = kernels++ % 2;
  expect_refused(devices, "holds kernels of 2 GPUs (0, 1)");
}

TEST(ImportTrace, TheGpuMustBeTheOneRecorded) {
  TraceWriter trace;
  trace.step(1);
  Json json = trace.json();
  json["deviceProperties"] = {{{"id", 0}, {"name", "Tesla T4"}}};
  json["cuda_runtime_version"] = 12010;
  const Profile profile = parse_trace(json.dump(), "trace.json", small_model(), kOptions);
  EXPECT_EQ(profile.metadata->at("trace").at("gpus").at(0), "Tesla T4");
  EXPECT_EQ(profile.metadata->at("trace").at("cuda_runtime_version"), 12010);
  expect_refused(json, "was recorded on 'Tesla T4', not on ", {.batch = 4, .device = "V100"});
  const Profile own =
      parse_trace(json.dump(), "trace.json", small_model(), {.batch = 4, .device = "my own card"});
  EXPECT_THAT(own.metadata->at("warnings").dump(),
              ::testing::HasSubstr("was recorded on 'Tesla T4', and is taken for 'my own card'"));
  json["deviceProperties"] = {{{"id", 0}, {"name", "NVIDIA GeForce RTX 3090"}}};
  expect_refused(json, "was recorded on 'NVIDIA GeForce RTX 3090', not on ",
                 {.batch = 4, .device = "V100"});
  const Profile same =
      parse_trace(json.dump(), "trace.json", small_model(), {.batch = 4, .device = "RTX 3090"});
  EXPECT_TRUE(same.metadata->at("warnings").empty());
}

TEST(ImportTrace, OptionsThatNobodyCouldReadAreRefused) {
  TraceWriter trace;
  trace.step(1);
  for (const double uncertainty : {-1.0, 11.0, std::nan(""), HUGE_VAL})
    expect_refused(trace.json(), "the uncertainty must be 0 to 10",
                   {.batch = 4, .device = "T4", .uncertainty = uncertainty});
  expect_refused(trace.json(), "unknown precision 'fp99'",
                 {.batch = 4, .device = "T4", .precision = "fp99"});
  expect_refused(trace.json(), "the device must have a name", {.batch = 4, .device = " "});
}

TEST(ImportTrace, OneCallMayBeSeveralLstmLayers) {
  GraphBuilder builder("lstms");
  std::size_t x = builder.input("tokens", {5}, 20);
  x = builder.add_operation("encoder", {x}, EmbeddingOp{20, 8});
  x = builder.add_operation("rnn.l0", {x}, LstmOp{16, 2});
  x = builder.dropout("drop", x, 0.5);
  x = builder.add_operation("rnn.l1", {x}, LstmOp{16, 2});
  builder.softmax_loss("loss", builder.dense("decoder", x, {.features = 20}));
  const Model model = builder.build();
  TraceWriter trace;
  const std::string node = "autograd::engine::evaluate_function: ";
  trace.call("aten::embedding", 1, 1);
  trace.call("aten::lstm", 100, 1);
  trace.call("aten::linear", 1, 1);
  trace.call("aten::cross_entropy_loss", 1, 1);
  trace.call(node + "NllLossBackward0", 1, 2);
  trace.call(node + "LogSoftmaxBackward0", 1, 2);
  trace.call(node + "AddmmBackward0", 1, 2);
  trace.call(node + "CudnnRnnBackward0", 200, 2);
  trace.call(node + "EmbeddingBackward0", 1, 2);
  const Profile profile = parse_trace(trace.text(), "trace.json", model, kOptions);
  const auto time = [&](const char* name) {
    for (const LayerTimes& layer : profile.batches[0].layers)
      if (layer.name == name) return layer;
    throw std::out_of_range(name);
  };
  const double first = model.operations()[model.operation_index("rnn.l0")].forward_flops;
  const double second = model.operations()[model.operation_index("rnn.l1")].forward_flops;
  ASSERT_NE(first, second);
  EXPECT_NEAR(time("rnn.l0").forward.median_s, 100e-6 * first / (first + second), 1e-12);
  EXPECT_NEAR(time("rnn.l1").backward_data.median_s, 200e-6 * second / (first + second), 1e-12);
  EXPECT_EQ(time("drop").forward.median_s, 0);
  EXPECT_EQ(profile.metadata->at("warnings").size(), 0);
  EXPECT_THAT(profile.description, HasSubstr("is 2 layers of the model"));
}

TEST(ImportTrace, TheCountOfBatchesOfBatchNormIsNoAddition) {
  GraphBuilder builder("residual");
  const std::size_t x = builder.input("x", {3, 8, 8});
  const std::size_t a = builder.conv2d("conv", x, {.channels = 3, .kernel = 3, .padding = 1});
  const std::size_t b = builder.add("sum", {builder.batch_norm("bn", a), a});
  builder.softmax_loss("loss", builder.dense("fc", builder.flatten("flat", b), {.features = 10}));
  const Model model = builder.build();
  TraceWriter trace;
  const std::string node = "autograd::engine::evaluate_function: ";
  trace.call("aten::conv2d", 1, 1);
  trace.call("aten::add_", 50, 1);  // num_batches_tracked += 1
  trace.call("aten::batch_norm", 1, 1);
  trace.call("aten::add_", 7, 1);
  trace.call("aten::linear", 1, 1);
  trace.call("aten::cross_entropy_loss", 1, 1);
  for (const char* name : {"NllLossBackward0", "LogSoftmaxBackward0", "AddmmBackward0",
                           "AddBackward0", "CudnnBatchNormBackward0", "ConvolutionBackward0"})
    trace.call(node + name, 1, 2);
  const Profile profile = parse_trace(trace.text(), "trace.json", model, kOptions);
  EXPECT_EQ(profile.metadata->at("left_at_0_s").size(), 0);
  EXPECT_NEAR(profile.batches[0].layers[2].forward.median_s, 7e-6, 1e-12);
}

TEST(ImportTrace, WrongTypesAreRefusedWithTheirPath) {
  TraceWriter trace;
  trace.step(1);
  const auto refused = [&](const char* cat, auto change, const std::string& message) {
    Json json = trace.json();
    for (std::size_t i = 0; i < json["traceEvents"].size(); ++i)
      if (json["traceEvents"][i]["cat"] == cat) {
        change(json["traceEvents"][i]);
        expect_refused(json, "trace.json: $.traceEvents[" + std::to_string(i) + "]" + message);
        return;
      }
    FAIL() << cat;
  };
  refused(
      "kernel", [](Json& e) { e["cat"] = 5; }, ".cat: expected a string, found 5");
  refused(
      "kernel", [](Json& e) { e["ph"] = 1; }, ".ph: expected a string, found 1");
  refused(
      "kernel", [](Json& e) { e["name"] = 3; }, ".name: expected a string, found 3");
  refused(
      "kernel", [](Json& e) { e["ts"] = "1"; }, ".ts: expected microseconds, found \"1\"");
  refused(
      "kernel", [](Json& e) { e["args"] = 4; }, ".args: expected an object, found 4");
  for (const Json& bad : {Json("x"), Json(nullptr), Json(1.5)})
    refused(
        "cuda_runtime", [&](Json& e) { e["args"]["correlation"] = bad; },
        ".args.correlation: expected a whole number, found " + bad.dump());
  Json json = trace.json();
  json["traceEvents"].push_back(5);
  expect_refused(json, ": expected an event, found 5");
}

TEST(ImportTrace, RefusesWhatIsNoTrace) {
  const auto refused = [](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { parse_trace(text, "trace.json", small_model(), kOptions); },
                ThrowsMessage<InputError>(HasSubstr(message)));
  };
  refused("{}", "expected 'traceEvents'");
  refused("{\"traceEvents\": [", "trace.json: line 1, byte 18: not JSON; is the trace cut off?");
  refused(R"({"traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "ts": 1, "dur": null}]})",
          "$.traceEvents[0].dur: expected microseconds, found null");
  refused(R"({"traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "ts": 1, "dur": -1}]})",
          "$.traceEvents[0].dur");
}

std::string table_of(const Model& model) {
  std::string text = "operation,forward_s,backward_s\n";
  for (const std::size_t i : timed_operations(model))
    text += model.operations()[i].name + ",1e-3,2e-3\n";
  return text;
}

TEST(ImportCsv, EveryOperationOnce) {
  const Model model = make_model("lenet5");
  const Profile profile = parse_import_csv(table_of(model), "t.csv", model, kOptions);
  const auto count = static_cast<double>(timed_operations(model).size());
  EXPECT_NEAR(step_costs(model, profile, 4).forward_s(), 1e-3 * count, 1e-12);
  EXPECT_EQ(profile.device, "T4");
}

TEST(ImportCsv, RefusalsNameTheLine) {
  const Model model = make_model("lenet5");
  const std::string good = table_of(model);
  const auto refused = [&](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { parse_import_csv(text, "t.csv", model, kOptions); },
                ThrowsMessage<InputError>(HasSubstr(message)))
        << text;
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  refused(with("1e-3", "nan"), "t.csv:2: 'nan' of column 'forward_s' is not a number");
  refused(with("2e-3", "-2e-3"), "t.csv:2: expected a time of 0 s or more");
  refused(with("conv1", "conv7"), "did you mean 'conv");
  refused(with("forward_s", "fwd"), "'forward_s' is missing");
  refused(good.substr(0, good.rfind("\n", good.size() - 2) + 1), "is missing");
  refused(good + "conv1,1,1\n", "'conv1' appears twice");
  refused(with("1e-3", "1e308"), "t.csv:2: expected a time of 0 s or more, at most a day");
  std::string idle = good;
  for (const char* time : {"1e-3", "2e-3"})
    for (std::size_t at; (at = idle.find(time)) != std::string::npos;) idle.replace(at, 4, "0");
  refused(idle, "t.csv: all times are 0 s");
  EXPECT_THAT([&] { parse_import_csv(good, "t.csv", model, {.batch = 0, .device = "T4"}); },
              ThrowsMessage<InputError>(HasSubstr("batch")));
}

}  // namespace
}  // namespace paceline
