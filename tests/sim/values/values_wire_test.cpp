// What the wire does to values, and what a job's values must agree on with it.
#include "kernels/quantize.hpp"
#include "tests/sim/values/regression.hpp"

namespace paceline {
namespace {

float rounded(float x) {
  std::uint16_t packed = 0;
  kernels::reference::pack_fp16(std::span(&x, 1), std::span(&packed, 1));
  float back = 0;
  kernels::reference::unpack_fp16(std::span(&packed, 1), std::span(&back, 1));
  return back;
}

// One worker: server weights go on in fp32 by the gradients as they arrive, and the worker computes
// on the weights as they arrive.
TEST(ValuesWire, PushesAndPullsInFp16ArriveRounded) {
  Training t;
  t.schedule = "asgd";
  t.workers = 1;
  t.servers = 1;
  t.payload_bits = 16;
  const Trained run = train(t);
  std::vector<float> server = run.computed.weights[0][0];
  std::size_t changed = 0;
  for (std::size_t step = 0; step + 1 < 12; ++step)
    for (std::size_t i = 0; i < server.size(); ++i) {
      server[i] -= static_cast<float>(t.rate(0)) * rounded(run.computed.gradient[0][step][i]);
      ASSERT_EQ(run.computed.weights[0][step + 1][i], rounded(server[i])) << step << " " << i;
      if (rounded(server[i]) != server[i]) ++changed;
    }
  EXPECT_GT(changed, 100U);
}

// Selected entries are 8 bytes each, an index and an fp32 value, whatever the payload's width.
TEST(ValuesWire, SparseValuesStayFp32) {
  Training t;
  t.schedule = "slgs-sgd";
  t.options = {{"density", 0.1}};
  const Trained wide = train(t);
  t.payload_bits = 16;
  const Trained narrow = train(t);
  EXPECT_EQ(narrow.bits(), wide.bits());
  EXPECT_EQ(narrow.job.sent_bytes, wide.job.sent_bytes);
}

TEST(ValuesWire, AccumulationAndMicroBatchesMustAgree) {
  Training t;
  t.micro_batches = 2;
  JobSpec job = job_of(t);
  job.accumulation = 3;
  SimulationSpec simulation;
  simulation.cluster = build(star_spec(t.workers, t.bandwidth, t.latency));
  simulation.jobs = {job};
  EXPECT_THROW(simulate(simulation), std::invalid_argument);
  simulation.jobs.front().accumulation = 2;
  EXPECT_NO_THROW(simulate(simulation));
}

}  // namespace
}  // namespace paceline
