// DeepBench's kernels, timed on this machine.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <stdexcept>

#include "base/error.hpp"
#include "calibrate/transfer/anchors.hpp"
#include "calibrate/measure/measure.hpp"
#include "calibrate/measure/gpu.hpp"
#include "calibrate/measure/rotated_layer.hpp"
#include "base/statistics.hpp"
#include "calibrate/measure/stopwatch.hpp"
#include "kernels/cuda_module.hpp"

namespace paceline {
namespace {

using Clock = std::chrono::steady_clock;
using kernels::Backend;
using kernels::CudaBackend;

constexpr int kSamples = 15;
constexpr double kCpuCacheBytes = 64e6;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool stopped(const AnchorOptions& options) {
  return options.stop != nullptr && options.stop->load();
}

int sets_of(Backend& backend, const kernels::LayerShape& shape) {
  const double touched = RotatedLayer::touched_bytes(shape);
  if (const auto* gpu = dynamic_cast<const CudaBackend*>(&backend))
    return rotation(*gpu, touched, 2 * touched);
  return static_cast<int>(std::clamp(std::floor(2 * kCpuCacheBytes / touched) + 1, 1.0, 64.0));
}

struct Timed {
  Timing timing;
  std::vector<int> sm_mhz;
  int dropped = 0;
  bool warm = true;
};

Timed time_on_gpu(CudaBackend& gpu, const AnchorOptions& options, int sets,
                  const std::function<void(int)>& work) {
  kernels::ReplaySamples samples = gpu.time_replays({.buffers = sets,
                                                     .sample_seconds = 1e-3,
                                                     .samples = kSamples,
                                                     .warm_up_seconds = options.warm_up_seconds,
                                                     .limit_seconds = options.seconds},
                                                    work);
  const Quartiles q = quartiles(samples.seconds);
  return {{q.median, q.p25, q.p75}, std::move(samples.sm_mhz), samples.dropped, samples.warm};
}

Timed time_on_cpu(Backend& backend, const AnchorOptions& options, int sets,
                  const std::function<void(int)>& work) {
  const auto warming = Clock::now();
  do {
    for (int s = 0; s < sets; ++s) work(s);
  } while (seconds_since(warming) < options.warm_up_seconds && !stopped(options));
  std::vector<Sample> samples;
  const auto start = Clock::now();
  for (int i = 0; i < std::max(kSamples, sets); ++i) {
    if (i >= 5 && seconds_since(start) > options.seconds) break;
    samples.push_back(take_sample(backend, [&] { work(i % sets); }));
  }
  const SampleSummary summary = summarize(samples);
  return {summary.timing, {}, summary.dropped, true};
}

// What `more` takes on top of `less`.
Timed less(Timed more, const Timed& less) {
  const double taken = less.timing.median_s;
  Timing& timing = more.timing;
  timing = {timing.median_s - taken, std::max(0.0, *timing.p25_s - taken), *timing.p75_s - taken};
  if (!(timing.median_s > 0)) throw std::runtime_error("takes no longer than what goes before it");
  more.dropped += less.dropped;
  more.warm = more.warm && less.warm;
  return more;
}

class Timer {
 public:
  Timer(Backend& backend, const AnchorOptions& options)
      : backend_(backend), gpu_(dynamic_cast<CudaBackend*>(&backend)), options_(options) {}

  MeasuredAnchor operator()(const DeepBenchKernel& kernel) const {
    RotatedLayer layer(backend_, *kernel.shape, sets_of(backend_, *kernel.shape));
    MeasuredAnchor anchor{kernel.point.law, kernel.point.key, {}, {}, layer.sets(), 0, 0, true};
    const Timed hot = pass(layer, 1, kernel);
    const Timed cold = layer.sets() == 1 ? hot : pass(layer, layer.sets(), kernel);
    anchor.hot = hot.timing;
    anchor.cold = cold.timing;
    anchor.dropped = hot.dropped + (layer.sets() == 1 ? 0 : cold.dropped);
    anchor.warm = hot.warm && cold.warm;
    if (!hot.sm_mhz.empty()) {
      const std::vector<double> mhz(hot.sm_mhz.begin(), hot.sm_mhz.end());
      anchor.sm_mhz = static_cast<int>(median(mhz));
    }
    return anchor;
  }

 private:
  [[nodiscard]] Timed time(int sets, const std::function<void(int)>& work) const {
    return gpu_ != nullptr ? time_on_gpu(*gpu_, options_, sets, work)
                           : time_on_cpu(backend_, options_, sets, work);
  }

  [[nodiscard]] Timed pass(RotatedLayer& layer, int sets, const DeepBenchKernel& kernel) const {
    const auto forward = [&](int s) { layer.forward(static_cast<std::size_t>(s)); };
    if (kernel.pass == LayerPass::forward) return time(sets, forward);
    const bool weight = kernel.pass == LayerPass::backward_weight;
    if (std::holds_alternative<kernels::LstmShape>(*kernel.shape)) {
      const auto with_backward = [&](bool also_weight) {
        return time(sets, [&layer, also_weight](int s) {
          layer.forward(static_cast<std::size_t>(s));
          layer.backward(static_cast<std::size_t>(s), true, also_weight);
        });
      };
      return weight ? less(with_backward(true), with_backward(false))
                    : less(with_backward(false), time(sets, forward));
    }
    for (int s = 0; s < sets; ++s) layer.forward(static_cast<std::size_t>(s));
    return time(sets, [&layer, weight](int s) {
      layer.backward(static_cast<std::size_t>(s), !weight, weight);
    });
  }

  Backend& backend_;
  CudaBackend* gpu_;
  const AnchorOptions& options_;
};

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

AnchorSet new_set(Backend& backend, const AnchorOptions& options) {
  AnchorSet set;
  set.device = options.device.empty() ? cpu_name() : options.device;
  set.software = options.software;
  set.software["backend"] = backend.description();
  set.software["tool"] = options.tool;
  auto* const gpu = dynamic_cast<CudaBackend*>(&backend);
  set.metadata = {
      {"date", utc_now()},
      {"method", gpu != nullptr ? "CUDA graphs: replays of at least 1 ms; samples at less than "
                                  "0.95 of the median SM clock dropped; medians and quartiles"
                                : "one run at a time; samples during which the core was taken away "
                                  "dropped; medians and quartiles"},
      {"warm_up", fmt::format("at most {} s for each kernel", options.warm_up_seconds)},
      {"caches", "hot: the same buffers; cold: sets of more than twice the L2 in turn"},
      {"data", "standard normal, resident"},
      {"arithmetic", "fp32, no TF32; NCHW"},
      {"lstm_backward", "forward and backward less forward; weight: with it less without it"},
      {"device", options.device_record},
      {"host", host_record()},
      {"failed", Json::array()}};
  if (gpu != nullptr) {
    const kernels::CudaCeilings ceilings = gpu->measure_ceilings();
    set.metadata["ceilings"] = {{"sgemm_flops", ceilings.sgemm_flops},
                                {"memory_bandwidth", ceilings.copy_bandwidth},
                                {"l2_bandwidth", ceilings.l2_bandwidth}};
  }
  return set;
}

void check_known(const AnchorSet& known, Backend& backend, const AnchorOptions& options) {
  const std::string device = options.device.empty() ? cpu_name() : options.device;
  const auto found = known.software.find("backend");
  const std::string had = found == known.software.end() ? "unknown" : found->second;
  for (const auto& [what, was, is] : {std::tuple{"device", known.device, device},
                                      std::tuple{"software", had, backend.description()}})
    if (was != is)
      throw InputError(fmt::format(
          "the anchors to go on with are of {} '{}', not '{}': give another output file", what, was,
          is));
}

}  // namespace

AnchorSet measure_anchors(Backend& backend, const AnchorOptions& options,
                          const std::optional<AnchorSet>& known) {
  if (known) check_known(*known, backend, options);
  AnchorSet set = known ? *known : new_set(backend, options);
  set.metadata["failed"] = Json::array();
  std::vector<DeepBenchKernel> kernels = deepbench_kernels();
  kernels.resize(std::min(kernels.size(), options.most_kernels));
  std::erase_if(kernels, [&](const DeepBenchKernel& kernel) {
    return std::any_of(set.kernels.begin(), set.kernels.end(), [&](const MeasuredAnchor& anchor) {
      return anchor.law == kernel.point.law && anchor.key == kernel.point.key;
    });
  });
  const Timer timer(backend, options);
  const auto start = Clock::now();
  for (std::size_t i = 0; i < kernels.size() && !stopped(options); ++i) {
    if (options.progress)
      options.progress({i, kernels.size(),
                        i == 0 ? 0
                               : seconds_since(start) / static_cast<double>(i) *
                                     static_cast<double>(kernels.size() - i)});
    const DeepBenchPoint& point = kernels[i].point;
    try {
      set.kernels.push_back(timer(kernels[i]));
    } catch (const std::runtime_error& error) {  // no memory, say
      set.metadata["failed"].push_back(
          {{"law", point.law}, {"key", point.key}, {"error", error.what()}});
    }
    if (options.measured) options.measured(set);
  }
  return set;
}

}  // namespace paceline
