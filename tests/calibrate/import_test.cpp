#include "calibrate/import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/analytic.hpp"
#include "calibrate/step_costs.hpp"
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
    events_.push_back(event("cpu_op", name, date_, 9, thread));
    // What it calls itself, of a kind that is known too.
    events_.push_back(event("cpu_op", "aten::addmm", date_ + 1, 5, thread));
    Json launch = event("cuda_runtime", "cudaLaunchKernel", date_ + 2, 1, thread);
    launch["args"] = {{"correlation", next_}};
    Json kernel = event("kernel", "some_kernel", date_ + 1000, kernel_us, 7);
    kernel["args"] = {{"correlation", next_++}};
    events_.push_back(launch);
    if (with_gpu) events_.push_back(kernel);
    date_ += 10;
  }
  void step(double scale) {
    const double start = date_;
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
  bool with_gpu = true;

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
  EXPECT_NEAR(profile.metadata.at("unmatched_share").get<double>(), 3.0 / 112, 1e-9);  // optimizer
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

TEST(ImportTrace, RefusesWhatIsNoTrace) {
  const auto refused = [](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { parse_trace(text, "trace.json", small_model(), kOptions); },
                ThrowsMessage<InputError>(HasSubstr(message)));
  };
  refused("{}", "expected 'traceEvents'");
  refused("{\"traceEvents\": [", "trace.json");
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
  EXPECT_THAT([&] { parse_import_csv(good, "t.csv", model, {.batch = 0, .device = "T4"}); },
              ThrowsMessage<InputError>(HasSubstr("batch")));
}

}  // namespace
}  // namespace paceline
