#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/measure/operations.hpp"

namespace paceline {

/// What remains of one piece of work that was run again and again.
struct Timed {
  Timing timing;
  std::vector<int> sm_mhz;  ///< beside the samples, where a GPU says so
  int dropped = 0;
  bool warm = true;
};

struct TimeLimits {
  int samples = 15;
  double warm_up_seconds = 0.15;  ///< at most
  double seconds = 2;             ///< of sampling, at most
  std::function<bool()> stop = [] { return false; };
};

/// Where layers and schedules' operations can be timed apart from training steps.
class ApartTimer {
 public:
  /// Every different layer of the network alone, cold and hot: adds what `rows` has not yet.
  /// Returns whether all are there; `save` after each.
  virtual bool layers(const Model& model, std::int64_t batch, const MeasureOptions& options,
                      Json& rows, const std::function<void(double)>& report,
                      const std::function<void()>& save) = 0;
  /// Schedules' operations. `record` is what an earlier call left, or an object without anything;
  /// nothing if interrupted: what was measured until then is in `record`.
  virtual std::optional<MeasuredOperations> operations(const MeasureOptions& options, Json& record,
                                                       const std::function<void(double)>& report,
                                                       const std::function<void()>& save) = 0;

 protected:
  ~ApartTimer() = default;
};

/// How the work of one device is timed: a CPU's by a stopwatch around each run, a GPU's by replays
/// of CUDA graphs. Nothing that measures asks which of the two it has.
class Timer {
 public:
  explicit Timer(kernels::Backend& backend) : backend_(backend) {}
  virtual ~Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  [[nodiscard]] kernels::Backend& backend() const { return backend_; }
  [[nodiscard]] virtual std::string device_name() const = 0;
  [[nodiscard]] virtual double memory_bytes() const = 0;  ///< 0: not known
  /// "fp32" or "tf32", from now on. Throws InputError for what the device has not.
  virtual void use_precision(const std::string& precision) = 0;

  /// Adds to a profile's metadata what they say of the way it was measured.
  virtual void describe(Json& metadata, const std::string& precision) const = 0;
  /// How training steps and single kernels are timed, for the record.
  [[nodiscard]] virtual std::string steps_method() const = 0;
  [[nodiscard]] virtual std::string kernels_method() const = 0;
  /// The device's ceilings, measured now; nothing where they are not of interest by themselves.
  virtual std::optional<Ceilings> ceilings() = 0;

  /// How many sets of buffers exceed twice the caches together, where one pass touches `touched`
  /// bytes of a set of `held`; from 1 to 64.
  [[nodiscard]] virtual int rotation(double touched, double held) const = 0;
  /// `work(set)` over `sets` sets of buffers in turn.
  virtual Timed time(const TimeLimits& limits, int sets, const std::function<void(int)>& work) = 0;
  /// Training steps of one batch size; nothing if interrupted too early. `report` takes the share
  /// that is done.
  virtual std::optional<MeasuredBatch> steps(const Model& model, std::int64_t batch,
                                             const MeasureOptions& options,
                                             const std::function<void(double)>& report) = 0;
  /// Costs of operations as they follow a training step of so many parameters; nothing where they
  /// are timed apart.
  virtual std::optional<MeasuredOperations> operations_beside_steps(std::size_t elements,
                                                                    double update_s) = 0;
  [[nodiscard]] virtual ApartTimer* apart() { return nullptr; }

 private:
  kernels::Backend& backend_;
};

/// Refers to the backend.
std::unique_ptr<Timer> make_timer(kernels::Backend& backend);
std::unique_ptr<Timer> make_cpu_timer(kernels::Backend& backend);
std::unique_ptr<Timer> make_gpu_timer(kernels::CudaBackend& gpu);

}  // namespace paceline
