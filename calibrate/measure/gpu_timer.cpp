#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/statistics.hpp"
#include "calibrate/measure/gpu.hpp"
#include "calibrate/measure/host.hpp"
#include "calibrate/measure/timer.hpp"

namespace paceline {
namespace {

class GpuTimer final : public Timer, public ApartTimer {
 public:
  explicit GpuTimer(kernels::CudaBackend& gpu) : Timer(gpu), gpu_(gpu) {}

  [[nodiscard]] std::string device_name() const override { return gpu_.device().name; }
  [[nodiscard]] double memory_bytes() const override {
    return static_cast<double>(gpu_.device().memory_bytes);
  }
  void use_precision(const std::string& precision) override {
    const kernels::CudaDeviceInfo& device = gpu_.device();
    if (precision == "tf32" && device.compute_major < 8)
      throw InputError(fmt::format("--precision: tf32 needs compute capability 8.0; {} has {}.{}",
                                   device.name, device.compute_major, device.compute_minor));
    gpu_.allow_tf32(precision == "tf32");
  }

  void describe(Json& metadata, const std::string& precision) const override {
    metadata["host"] = host_record();
    metadata["caches"] =
        "layers in the network as the one before left them; operators cold over buffers of more "
        "than twice the L2 in turn, or hot";
    metadata["arithmetic"] =
        precision == "tf32"
            ? "fp32, but products and convolutions may round their inputs to TF32; NCHW"
            : "fp32 by fused multiply-adds, no TF32; NCHW";
  }
  [[nodiscard]] std::string steps_method() const override {
    return "forward and backward as one CUDA graph: replays timed whole, and with events between "
           "the layers; samples at less than 0.95 of the median SM clock dropped; medians and "
           "quartiles";
  }
  [[nodiscard]] std::string kernels_method() const override {
    return "CUDA graphs: replays of at least 1 ms; samples at less than 0.95 of the median SM "
           "clock "
           "dropped; medians and quartiles";
  }
  std::optional<Ceilings> ceilings() override {
    const kernels::CudaCeilings measured = gpu_.measure_ceilings();
    return Ceilings{measured.sgemm_flops, measured.copy_bandwidth, measured.l2_bandwidth};
  }

  [[nodiscard]] int rotation(double touched, double held) const override {
    return paceline::rotation(gpu_, touched, held);
  }

  Timed time(const TimeLimits& limits, int sets, const std::function<void(int)>& work) override {
    kernels::ReplaySamples samples = gpu_.time_replays({.buffers = sets,
                                                        .sample_seconds = 1e-3,
                                                        .samples = limits.samples,
                                                        .warm_up_seconds = limits.warm_up_seconds,
                                                        .limit_seconds = limits.seconds},
                                                       work);
    return {timing_of(samples.seconds), std::move(samples.sm_mhz), samples.dropped, samples.warm};
  }

  std::optional<MeasuredBatch> steps(const Model& model, std::int64_t batch,
                                     const MeasureOptions& options,
                                     const std::function<void(double)>& report) override {
    return measure_batch_on_gpu(model, gpu_, batch, options, report);
  }

  std::optional<MeasuredOperations> operations_beside_steps(std::size_t, double) override {
    return {};
  }
  [[nodiscard]] ApartTimer* apart() override { return this; }

  bool layers(const Model& model, std::int64_t batch, const MeasureOptions& options, Json& rows,
              const std::function<void(double)>& report,
              const std::function<void()>& save) override {
    return measure_operators(model, gpu_, batch, options, rows, report, save);
  }

  std::optional<MeasuredOperations> operations(const MeasureOptions& options, Json& record,
                                               const std::function<void(double)>& report,
                                               const std::function<void()>& save) override {
    GpuOperationsOptions own;
    own.most_elements = options.most_elements;
    own.sample_seconds = std::min(2.0, options.seconds / 5);
    own.stop = [&] { return stopped(options); };
    own.report = report;
    own.save = save;
    return measure_operations_on_gpu(gpu_, own, record);
  }

 private:
  kernels::CudaBackend& gpu_;
};

}  // namespace

std::unique_ptr<Timer> make_gpu_timer(kernels::CudaBackend& gpu) {
  return std::make_unique<GpuTimer>(gpu);
}

// The one place that asks what a backend is.
std::unique_ptr<Timer> make_timer(kernels::Backend& backend) {
  if (auto* const gpu = dynamic_cast<kernels::CudaBackend*>(&backend)) return make_gpu_timer(*gpu);
  return make_cpu_timer(backend);
}

}  // namespace paceline
