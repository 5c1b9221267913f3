#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/measure/host.hpp"
#include "calibrate/measure/stopwatch.hpp"
#include "calibrate/measure/timer.hpp"

namespace paceline {
namespace {

constexpr double kCacheBytes = 64e6;

class CpuTimer final : public Timer {
 public:
  using Timer::Timer;

  [[nodiscard]] std::string device_name() const override { return "this machine"; }
  [[nodiscard]] double memory_bytes() const override { return host_memory_bytes(); }
  void use_precision(const std::string& precision) override {
    if (precision == "tf32")
      throw InputError("--precision: tf32 is a GPU's; a CPU computes in fp32");
  }

  void describe(Json& metadata, const std::string& /*precision*/) const override {
    metadata["device"]["cores_used"] = 1;
  }
  [[nodiscard]] std::string steps_method() const override {
    return "training steps, alternately timed layer by layer and whole; samples during which the "
           "core was taken away dropped; medians and quartiles";
  }
  [[nodiscard]] std::string kernels_method() const override {
    return "one run at a time; samples during which the core was taken away dropped; medians and "
           "quartiles";
  }
  std::optional<Ceilings> ceilings() override { return {}; }

  [[nodiscard]] int rotation(double touched, double /*held*/) const override {
    return static_cast<int>(std::clamp(std::floor(2 * kCacheBytes / touched) + 1, 1.0, 64.0));
  }

  Timed time(const TimeLimits& limits, int sets, const std::function<void(int)>& work) override {
    constexpr int kLeast = 5;  // taken even if the time is over
    const auto warming = std::chrono::steady_clock::now();
    do {
      for (int s = 0; s < sets; ++s) work(s);
    } while (seconds_since(warming) < limits.warm_up_seconds && !limits.stop());
    std::vector<Sample> samples;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < std::max(limits.samples, sets); ++i) {
      if (i >= kLeast && seconds_since(start) > limits.seconds) break;
      samples.push_back(take_sample(backend(), [&] { work(i % sets); }));
    }
    const SampleSummary summary = summarize(samples);
    return {summary.timing, {}, summary.dropped, true};
  }

  std::optional<MeasuredBatch> steps(const Model& model, std::int64_t batch,
                                     const MeasureOptions& options,
                                     const std::function<void(double)>& report) override {
    return measure_batch(model, backend(), batch, options, report);
  }

  std::optional<MeasuredOperations> operations_beside_steps(std::size_t elements,
                                                            double update_s) override {
    return measure_operations(backend(), elements, update_s);
  }
};

}  // namespace

std::unique_ptr<Timer> make_cpu_timer(kernels::Backend& backend) {
  return std::make_unique<CpuTimer>(backend);
}

}  // namespace paceline
