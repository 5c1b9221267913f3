// DeepBench's kernels, timed on this machine.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "base/date.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/statistics.hpp"
#include "calibrate/measure/host.hpp"
#include "calibrate/measure/rotated_layer.hpp"
#include "calibrate/measure/timer.hpp"
#include "calibrate/transfer/anchors.hpp"

namespace paceline {
namespace {

bool stopped(const AnchorOptions& options) {
  return options.stop != nullptr && options.stop->load();
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

class KernelTimer {
 public:
  KernelTimer(Timer& timer, const AnchorOptions& options)
      : timer_(timer),
        limits_{.warm_up_seconds = options.warm_up_seconds,
                .seconds = options.seconds,
                .stop = [&options] { return stopped(options); }} {}

  MeasuredAnchor operator()(const DeepBenchKernel& kernel) const {
    const double touched = RotatedLayer::touched_bytes(*kernel.shape);
    RotatedLayer layer(timer_.backend(), *kernel.shape, timer_.rotation(touched, 2 * touched));
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
    return timer_.time(limits_, sets, work);
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

  Timer& timer_;
  TimeLimits limits_;
};

AnchorSet new_set(Timer& timer, const AnchorOptions& options) {
  const kernels::Backend& backend = timer.backend();
  AnchorSet set;
  set.device = options.device.empty() ? cpu_name() : options.device;
  set.software = options.software;
  set.software["backend"] = backend.description();
  set.software["tool"] = options.tool;
  set.metadata = {
      {"date", utc_now()},
      {"method", timer.kernels_method()},
      {"warm_up", fmt::format("at most {} s for each kernel", options.warm_up_seconds)},
      {"caches", "hot: the same buffers; cold: sets of more than twice the L2 in turn"},
      {"data", "standard normal, resident"},
      {"arithmetic", "fp32, no TF32; NCHW"},
      {"lstm_backward", "forward and backward less forward; weight: with it less without it"},
      {"device", options.device_record},
      {"host", host_record()},
      {"failed", Json::array()}};
  if (const std::optional<Ceilings> ceilings = timer.ceilings())
    set.metadata["ceilings"] = {{"sgemm_flops", *ceilings->sgemm_flops},
                                {"memory_bandwidth", *ceilings->memory_bandwidth},
                                {"l2_bandwidth", *ceilings->l2_bandwidth}};
  return set;
}

void check_known(const AnchorSet& known, const kernels::Backend& backend,
                 const AnchorOptions& options) {
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

AnchorSet measure_anchors(kernels::Backend& backend, const AnchorOptions& options,
                          const std::optional<AnchorSet>& known) {
  if (known) check_known(*known, backend, options);
  const std::unique_ptr<Timer> timer = make_timer(backend);
  AnchorSet set = known ? *known : new_set(*timer, options);
  set.metadata["failed"] = Json::array();
  std::vector<DeepBenchKernel> kernels = deepbench_kernels();
  kernels.resize(std::min(kernels.size(), options.most_kernels));
  std::erase_if(kernels, [&](const DeepBenchKernel& kernel) {
    return std::any_of(set.kernels.begin(), set.kernels.end(), [&](const MeasuredAnchor& anchor) {
      return anchor.law == kernel.point.law && anchor.key == kernel.point.key;
    });
  });
  const KernelTimer time(*timer, options);
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < kernels.size() && !stopped(options); ++i) {
    if (options.progress)
      options.progress({i, kernels.size(),
                        i == 0 ? 0
                               : seconds_since(start) / static_cast<double>(i) *
                                     static_cast<double>(kernels.size() - i)});
    const DeepBenchPoint& point = kernels[i].point;
    try {
      set.kernels.push_back(time(kernels[i]));
    } catch (const std::runtime_error& error) {  // no memory, say
      set.metadata["failed"].push_back(
          {{"law", point.law}, {"key", point.key}, {"error", error.what()}});
    }
    if (options.measured) options.measured(set);
  }
  return set;
}

}  // namespace paceline
