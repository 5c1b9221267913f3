// What a run says of overlap, layers, cost and energy, against hand calculations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "experiments/run.hpp"
#include "small.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using Interval = std::pair<double, double>;

// Length of what the intervals cover between two dates.
double covered_s(std::vector<Interval> intervals, double from, double until) {
  std::sort(intervals.begin(), intervals.end());
  double sum = 0, end = from;
  for (const auto& [begins, ends] : intervals) {
    const double first = std::max(begins, end), last = std::min(ends, until);
    if (last > first) sum += last - first;
    end = std::max(end, last);
  }
  return sum;
}

void expect_close(double value, double expected, double tolerance = 1e-9) {
  EXPECT_NEAR(value, expected, tolerance * std::abs(expected) + 1e-15);
}

const std::vector<std::string> kSchedules{R"({"name":"s-sgd","overlap":"none"})",
                                          R"({"name":"s-sgd","overlap":"wfbp"})",
                                          R"({"name":"s-sgd","overlap":"ddp"})",
                                          R"({"name":"cocod-sgd","period":4})",
                                          R"({"name":"lags-sgd"})",
                                          R"({"name":"pipe-sgd"})"};

struct Logged {
  RunResult result;
  LayerLog log;
};

Logged logged(const std::string& schedule, Json json = small()) {
  json["schedule"] = Json::parse(schedule);
  json["steps"] = 24;
  json["extrapolate"] = false;
  Recorder recorder;
  Logged logged;
  logged.result =
      run_alone(read_experiment(json, "test.json"), {.recorder = &recorder, .layers = true});
  logged.log = *recorder.layers;
  return logged;
}

// Compute, communication and either of both as the unions of the worker's own intervals.
TEST(Overlap, IsThatOfTheIntervals) {
  for (const std::string& schedule : kSchedules) {
    SCOPED_TRACE(schedule);
    const Logged run = logged(schedule);
    const auto& result = run.result;
    const auto& log = run.log;
    std::vector<Interval> computed, sent, either;
    for (const auto& o : log.operations) computed.emplace_back(o.started, o.ended);
    for (const auto& t : log.transfers) sent.emplace_back(t.started, t.ended);
    either = computed;
    either.insert(either.end(), sent.begin(), sent.end());
    const auto until = static_cast<std::size_t>(log.measured_until),
               from = static_cast<std::size_t>(result.job.measured_from);
    const double steps = static_cast<double>(until - from);
    const auto mean = [&](const std::vector<Interval>& intervals) {
      return covered_s(intervals, log.borders[from], log.borders[until]) / steps;
    };
    const Overlap& overlap = *result.job.overlap;
    expect_close(overlap.compute_s, mean(computed));
    expect_close(overlap.communication_s, mean(sent));
    expect_close(overlap.active_s, mean(either));
    expect_close(
        *overlap.efficiency,
        (overlap.compute_s + overlap.communication_s - overlap.active_s) / overlap.communication_s);
    expect_close(overlap.hidden_by_forward_s + overlap.hidden_by_backward_s +
                     overlap.hidden_by_rest_s + result.job.time.exposed_communication_s,
                 overlap.communication_s);
  }
}

TEST(Overlap, IsNoneWithoutOverlapAndAbsentWithoutCommunication) {
  EXPECT_EQ(*logged(kSchedules[0]).result.job.overlap->efficiency, 0);
  Json alone = small();
  alone["gpus"] = "0-0";
  EXPECT_FALSE(logged(kSchedules[0], alone).result.job.overlap->efficiency);
}

TEST(Layers, AddUpToTheIteration) {
  for (const std::string& schedule : kSchedules) {
    SCOPED_TRACE(schedule);
    const RunResult result = logged(schedule).result;
    const LayerTable& table = *result.layers;
    const auto steps = static_cast<double>(table.steps);
    double exposed = 0;
    std::int64_t elements = 0;
    for (const LayerRow& row : table.layers) {
      exposed += row.exposed_s;
      elements += row.elements;
    }
    expect_close(table.seconds, steps * result.job.iteration_time_s);
    EXPECT_NEAR(exposed / steps, result.job.time.exposed_communication_s,
                1e-9 * result.job.iteration_time_s);
    EXPECT_EQ(elements, 25557032);
  }
}

// One all-reduce a tensor: it leaves when backward has yielded it, and brings four bytes an element.
TEST(Layers, FollowAGradient) {
  const RunResult result = logged(kSchedules[1]).result;
  const LayerTable& table = *result.layers;
  double forward = result.job.one_gpu_time_s, backward = 0;
  for (const LayerRow& row : table.layers) {
    SCOPED_TRACE(row.layer);
    expect_close(row.sent_bytes, 4.0 * static_cast<double>(row.elements));
    ASSERT_TRUE(row.backward_until_s);
    EXPECT_GE(*row.sent_from_s, *row.backward_from_s);
    EXPECT_GT(*row.sent_until_s, *row.sent_from_s);
    forward = std::min(forward, *row.forward_from_s);
    backward = std::max(backward, *row.backward_until_s);
  }
  expect_close(table.layers.front().forward_from_s.value(), forward);
  expect_close(table.layers.front().backward_until_s.value(), backward);
  expect_close(backward, result.job.time.compute_s(), 1e-6);  // nothing waits between the passes
  EXPECT_EQ(table.layers.front().layer, "conv1");
  EXPECT_EQ(to_json(result_from_json(to_json(result), "test")).dump(), to_json(result).dump());
}

Json priced() {
  Json json = small();
  json["set"] = {R"(nodes[0].price={"gpu":"1.2USD/h","node":"0.3$/h"})",
                 R"(network.price={"port":"0.05USD/h","link":"0.5USD/h"})",
                 R"(nodes[0].power={"gpu":{"idle":"50W"},"node":"0.1kW"})",
                 R"(network.power={"port":{"idle":"2W","busy":"6W"}})"};
  return json;
}

TEST(Cost, IsThePriceOfTheClusterForAsLongAsItTakes) {
  Json json = priced();
  const RunResult star = run_alone(read_experiment(json, "test.json"));
  const double hour = 16 * (1.2 + 0.3 + 0.05), iteration = hour / 3600 * star.job.iteration_time_s;
  expect_close(star.cost->dollars_per_hour, hour);
  expect_close(star.cost->dollars_per_iteration, iteration);
  expect_close(*star.cost->samples_per_dollar, 16 * 32 / iteration);
  EXPECT_FALSE(star.cost->dollars_to_target);
  // 4 leaves of 4 nodes, one cable up from each.
  json["set"].push_back(
      R"(network.topology={"kind":"fat_tree","nodes_per_leaf":4,"oversubscription":[4]})");
  expect_close(run_alone(read_experiment(json, "test.json")).cost->dollars_per_hour,
               hour + 4 * 0.5);
  EXPECT_FALSE(run_alone(read_experiment(small(), "test.json")).cost);
}

TEST(Energy, IsIdleAlwaysAndBusyInProportion) {
  Json json = priced();
  for (const char* gpus : {"0-15", "0-7"}) {
    SCOPED_TRACE(gpus);
    json["gpus"] = gpus;
    const RunResult result = run_alone(read_experiment(json, "test.json"));
    const double t = result.job.iteration_time_s, workers = gpus == std::string("0-7") ? 8 : 16;
    // The GTX 1080 Ti's 250 W while it computes; each port sends and gets what a worker sends.
    const double use = result.job.sent_bytes / (result.links.front().bandwidth * t);
    const double gpus_w = 16 * 50 + workers * (250 - 50) * result.job.overlap->compute_s / t,
                 nodes_w = 16 * 100, network_w = 16 * 2 + workers * 4 * use;
    expect_close(result.energy->gpus_j, gpus_w * t);
    expect_close(result.energy->nodes_j, nodes_w * t);
    expect_close(result.energy->network_j, network_w * t);
    expect_close(result.energy->watts, gpus_w + nodes_w + network_w);
    expect_close(*result.energy->samples_per_joule,
                 workers * 32 / (t * (gpus_w + nodes_w + network_w)));
  }
  EXPECT_FALSE(run_alone(read_experiment(small(), "test.json")).energy);
}

TEST(Upkeep, TravelsInTheResultAndIsRefusedWhereItIsWrong) {
  const Json first = to_json(run_alone(read_experiment(priced(), "test.json")));
  EXPECT_EQ(to_json(run_alone(read_experiment(first.at("experiment"), "again"))).dump(),
            first.dump());
  const auto with = [](const std::string& set) {
    Json json = small();
    json["set"] = {set};
    return [json] { (void)read_experiment(json, "test.json"); };
  };
  EXPECT_THAT(with("nodes[0].price.gpu=2"), ThrowsMessage<InputError>(HasSubstr("2.48USD/h")));
  EXPECT_THAT(with("nodes[0].price.gpu=2EUR/h"), ThrowsMessage<InputError>(HasSubstr("EUR/h")));
  EXPECT_THAT(with("nodes[0].price.gpus=2USD/h"),
              ThrowsMessage<InputError>(HasSubstr("did you mean 'gpu'")));
  EXPECT_THAT(with(R"(nodes[0].power.gpu={"idle":"300W"})"),
              ThrowsMessage<InputError>(HasSubstr("nodes[0].power.gpu.busy")));
  EXPECT_THAT(with(R"(nodes[0].power.node={"idle":"30W","busy":"40W"})"),
              ThrowsMessage<InputError>(HasSubstr("one figure")));
}

}  // namespace
}  // namespace paceline
