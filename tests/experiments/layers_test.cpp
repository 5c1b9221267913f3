// A table by layer holds what the result says of the whole.
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "experiments/experiment.hpp"
#include "experiments/run.hpp"

namespace paceline {
namespace {

RunResult with_layers(const Json& schedule, const char* servers = nullptr) {
  Json json = Json::parse(R"({
    "format": "paceline-experiment-1", "name": "layers", "model": "lenet5", "batch": 32, "steps": 8,
    "cluster": {"format": "paceline-cluster-1", "name": "four",
      "nodes": [{"count": 4, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"}],
      "network": {"bandwidth": "1Gbps", "latency": "50us"}}})");
  json["schedule"] = schedule;
  if (servers != nullptr) json["servers"] = Json::parse(servers);
  RunAlongside alongside;
  alongside.uncertainty = false;
  alongside.layers = true;
  return run_alone(read_experiment(json, "layers.json"), alongside);
}

constexpr double kParameterBytes = 4 * 61706.0;  // of lenet5

TEST(Layers, CollectivesCarryEachGradientOnce) {
  for (const char* overlap : {"none", "wfbp"}) {
    const RunResult result = with_layers({{"name", "s-sgd"}, {"overlap", overlap}});
    ASSERT_TRUE(result.layers);
    double bytes = 0, exposed = 0;
    for (const LayerRow& row : result.layers->layers) {
      EXPECT_NEAR(row.sent_bytes, 4.0 * static_cast<double>(row.elements), 1e-6) << row.layer;
      bytes += row.sent_bytes;
      exposed += row.exposed_s;
    }
    EXPECT_NEAR(bytes, kParameterBytes, 1e-3) << overlap;
    EXPECT_NEAR(exposed / result.job.time.exposed_communication_s, 1, 1e-9) << overlap;
  }
}

TEST(Layers, ServersAreSentAndSendEachParameter) {
  const RunResult result = with_layers({{"name", "ps-s-sgd"}, {"overlap", "none"}}, "1");
  ASSERT_TRUE(result.layers);
  double bytes = 0;
  for (const LayerRow& row : result.layers->layers) {
    EXPECT_NEAR(row.sent_bytes, 8.0 * static_cast<double>(row.elements), 1e-6) << row.layer;
    EXPECT_TRUE(row.sent_from_s && row.sent_until_s && *row.sent_from_s <= *row.sent_until_s)
        << row.layer;
    bytes += row.sent_bytes;
  }
  EXPECT_NEAR(bytes, 2 * kParameterBytes, 1e-3);
}

}  // namespace
}  // namespace paceline
