// Speed of the simulator: one iteration of the reference case (ResNet-50, 161 all-reduces). Nothing
// is left out: every worker runs its own program through the public Worker interface, bytes and
// messages are counted, no steady state is extrapolated. Each run has a process of its own, because
// SimGrid has one engine per process; the time is the
// processor time of simulate(), cluster and job given: it is single-threaded, and wall time would
// measure the neighbours too.
#include <benchmark/benchmark.h>

#include <chrono>
#include <ctime>

#include "tests/sim/in_child.hpp"
#include "tests/sim/reference_case.hpp"

namespace paceline {
namespace {

void reference_case(benchmark::State& state, Fidelity fidelity, std::int64_t steps) {
  const auto workers = static_cast<std::size_t>(state.range(0));
  const auto cluster = reference_cluster(workers);
  const JobSpec job = reference_job(workers, steps);
  double seconds = 0, wall_seconds = 0, events = 0, iteration = 0, runs = 0;
  for ([[maybe_unused]] auto _ : state) {
    const std::vector<double> run_once = in_child([&] {
      const auto start = std::chrono::steady_clock::now();
      const std::clock_t busy_since = std::clock();
      const SimulationResult result = run(cluster, {job}, fidelity);
      const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
      const double busy = static_cast<double>(std::clock() - busy_since) / CLOCKS_PER_SEC;
      return std::vector<double>{busy,
                                 static_cast<double>(result.events),
                                 result.jobs[0].iteration_time_s,
                                 static_cast<double>(result.jobs[0].simulated_steps),
                                 result.jobs[0].sent_bytes,
                                 wall.count()};
    });
    if (run_once[3] != static_cast<double>(steps) || run_once[4] <= 0) {
      state.SkipWithError("steps were skipped or bytes not counted");
      break;
    }
    state.SetIterationTime(run_once[0]);
    seconds += run_once[0];
    wall_seconds += run_once[5];
    events += run_once[1];
    iteration = run_once[2];
    ++runs;
  }
  if (runs == 0) return;
  state.counters["ms_per_iteration"] = seconds / runs / static_cast<double>(steps) * 1e3;
  state.counters["wall_ms_per_iteration"] = wall_seconds / runs / static_cast<double>(steps) * 1e3;
  state.counters["events_per_s"] = events / seconds;
  state.counters["simulated_ms"] = iteration * 1e3;
}

BENCHMARK_CAPTURE(reference_case, closed, Fidelity::closed, 100)
    ->Arg(16)
    ->Arg(256)
    ->Arg(1024)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(reference_case, flow, Fidelity::flow, 20)
    ->Arg(16)
    ->Arg(256)
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
// 1.3 million messages per iteration: a minute for twenty.
BENCHMARK_CAPTURE(reference_case, step, Fidelity::step, 20)
    ->Arg(64)
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace paceline

BENCHMARK_MAIN();
