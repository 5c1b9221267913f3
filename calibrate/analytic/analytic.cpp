#include "calibrate/analytic/analytic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "calibrate/analytic/deepbench.hpp"
#include "calibrate/analytic/fit.hpp"
#include "calibrate/analytic/matrix_units.hpp"
#include "calibrate/profile/gpu_ceilings.hpp"

namespace paceline {
namespace {

const Default kFrameworkFactor{"analytic.framework_factor", 1.24, "",
                               "time of a framework's layer over that of its kernels, fp32"};

struct PassSeconds {
  double forward = 0;
  double backward_data = 0;
  double backward_weight = 0;
};

class LayerModel {
 public:
  LayerModel(const GpuSpec& gpu, std::int64_t batch, double bytes_share)
      : bytes_share_(bytes_share),
        laws_(laws_for(gpu)),
        ceilings_(gpu_ceilings(gpu)),
        launch_s_(*analytic_operations(gpu).launch_s),
        batch_(static_cast<double>(batch)) {}

  [[nodiscard]] PassSeconds operator()(const Model& model, const Operation& operation) const {
    if (operation.is<Conv2dOp>()) return convolution(operation);
    if (operation.is<DenseOp>())
      return by_laws(operation, {"gemm", "gemm", "gemm"}, least_bytes(operation), 1, 1);
    if (operation.is<AttentionOp>()) return attention(operation);
    if (operation.is<LstmOp>()) return recurrent(model, operation);
    return streaming(operation);
  }

 private:
  struct LawNames {
    std::string forward, backward_data, backward_weight;
  };

  [[nodiscard]] double least_bytes(const Operation& operation) const {
    return operation.forward_bytes * batch_ + operation.parameter_bytes;
  }

  [[nodiscard]] double by_law(const std::string& name, double flops, double bytes, double saving,
                              double steps) const {
    const double compute = flops / ceilings_.sgemm_flops,
                 memory = bytes_share_ * bytes / ceilings_.memory_bandwidth;
    return std::max({laws_.law(name)(compute, memory, steps), compute / saving, memory, launch_s_});
  }

  // The laws know the FLOPs of the forward matrix products; both backward passes do as many.
  [[nodiscard]] PassSeconds by_laws(const Operation& operation, const LawNames& names, double bytes,
                                    double saving, double steps) const {
    const double flops = 2 * operation.macs * batch_;
    PassSeconds seconds{by_law(names.forward, flops, bytes, saving, steps), 0, 0};
    if (operation.backward_data_flops > 0)
      seconds.backward_data = by_law(names.backward_data, flops, bytes, saving, steps);
    if (operation.backward_weight_flops > 0)
      seconds.backward_weight = by_law(names.backward_weight, flops, bytes, saving, steps);
    return seconds;
  }

  [[nodiscard]] PassSeconds convolution(const Operation& operation) const {
    const Extent kernel = std::get<Conv2dOp>(operation.attributes).kernel;
    const std::string kind = convolution_class(kernel.height, kernel.width);
    return by_laws(operation,
                   {kind + " forward", kind + " backward data", kind + " backward weight"},
                   least_bytes(operation), kernel == Extent(1) ? 1 : double{kWinogradSaving}, 1);
  }

  // The backward pass has two matrix products for each of the forward pass.
  [[nodiscard]] PassSeconds attention(const Operation& operation) const {
    PassSeconds seconds =
        by_laws(operation, {"gemm", "gemm", "gemm"}, least_bytes(operation), 1, 1);
    seconds.backward_data *= 2;
    return seconds;
  }

  [[nodiscard]] PassSeconds recurrent(const Model& model, const Operation& operation) const {
    const auto hidden = static_cast<double>(std::get<LstmOp>(operation.attributes).hidden);
    const std::vector<std::int64_t>& in = model.operations()[operation.inputs.at(0)].output_shape;
    const auto steps = static_cast<double>(in.at(0)), features = static_cast<double>(in.at(1));
    return by_laws(operation, {"rnn forward", "rnn backward data", "rnn backward weight"},
                   recurrent_bytes(4, hidden, features, batch_, steps), 1, steps);
  }

  [[nodiscard]] double roofline(double flops, double bytes) const {
    if (flops == 0 && bytes == 0) return 0;
    return std::max({flops / ceilings_.sgemm_flops,
                     bytes_share_ * bytes / ceilings_.memory_bandwidth, launch_s_});
  }

  [[nodiscard]] PassSeconds streaming(const Operation& operation) const {
    const double data_bytes = operation.backward_bytes - operation.backward_weight_bytes;
    return {roofline(operation.forward_flops * batch_, least_bytes(operation)),
            roofline(operation.backward_data_flops * batch_, data_bytes * batch_),
            roofline(operation.backward_weight_flops * batch_,
                     operation.backward_weight_bytes * batch_ + operation.gradient_bytes)};
  }

  double bytes_share_;  // of what the laws' fp32 moves
  const LawSet& laws_;
  GpuCeilings ceilings_;
  double launch_s_;
  double batch_;
};

bool has_recurrent_layer(const Model& model) {
  return std::any_of(model.operations().begin(), model.operations().end(),
                     [](const Operation& operation) { return operation.is<LstmOp>(); });
}

bool on_matrix_units(const GpuSpec& gpu, Precision precision) {
  return precision != Precision::fp32 && matrix_rate(gpu, precision) > 0;
}

std::vector<LayerTimes> matrix_unit_layers(const Model& model, const GpuSpec& gpu,
                                           std::int64_t batch, Precision precision) {
  std::vector<LayerTimes> layers;
  for (const std::size_t i : timed_operations(model)) {
    const Operation& operation = model.operations()[i];
    const PassTimes times =
        matrix_unit_times(operation, gpu, precision, static_cast<double>(batch));
    layers.push_back({operation.name,
                      {times.forward, {}, {}},
                      {times.backward_data, {}, {}},
                      {times.backward_weight, {}, {}}});
  }
  return layers;
}

std::string describe_law(const GpuSpec& gpu, Precision precision, const GpuCeilings& ceilings) {
  const std::string kept = kept_in_fp32(precision);
  const std::string fp32 = kept.empty() ? "" : fmt::format(", in fp32: {}", kept);
  if (on_matrix_units(gpu, precision))
    return fmt::format("fitted on whole networks, {:.4g} TFLOP/s of matrix units{}",
                       matrix_rate(gpu, precision) / 1e12, fp32);
  return fmt::format("fitted on DeepBench's {}, {} ceilings{}{}", laws_for(gpu).gpu,
                     ceilings.measured ? "measured" : "data-sheet",
                     kept.empty() ? "" : ", no matrix units: 16 bits in memory only", fp32);
}

void check_known(const GpuSpec& gpu) {
  std::string missing;
  for (const char* figure : {"fp32", "bandwidth"})
    if (!gpu.knows(figure))
      missing += fmt::format("{}'{}'", missing.empty() ? "" : " and ", figure);
  if (missing.empty()) return;
  throw InputError(fmt::format(
      "the GPU '{}' is in no table, and its times need its {}: {{\"name\": \"{}\", \"memory\": "
      "\"24GiB\", \"fp32\": \"35.6TFLOPS\", \"bandwidth\": \"936GB/s\"}} (--gpu-spec, or \"gpu\" "
      "of "
      "the nodes); or else a profile, or the speed of one such GPU, --one-gpu 253/s",
      gpu.name, missing, gpu.name));
}

}  // namespace

std::vector<std::size_t> timed_operations(const Model& model) {
  std::vector<std::size_t> timed;
  for (std::size_t i = 0; i < model.operations().size(); ++i) {
    const Operation& op = model.operations()[i];
    if (!op.is<InputOp>() && !op.is<FlattenOp>()) timed.push_back(i);
  }
  return timed;
}

std::vector<LayerTimes> analytic_layers(const Model& model, const GpuSpec& gpu, std::int64_t batch,
                                        Precision precision) {
  if (batch < 1) throw InputError(fmt::format("a batch must be 1 or more, not {}", batch));
  if (on_matrix_units(gpu, precision)) return matrix_unit_layers(model, gpu, batch, precision);
  const LayerModel seconds_of(gpu, batch, element_bytes(precision).activations / kElementBytes);
  std::vector<LayerTimes> layers;
  for (const std::size_t i : timed_operations(model)) {
    const Operation& operation = model.operations()[i];
    const PassSeconds seconds = seconds_of(model, operation);
    const auto in_framework = [](double kernel_s) {
      return Timing{kernel_s * kFrameworkFactor, {}, {}};
    };
    layers.push_back({operation.name, in_framework(seconds.forward),
                      in_framework(seconds.backward_data), in_framework(seconds.backward_weight)});
  }
  return layers;
}

Profile analytic_profile(const Model& model, const GpuSpec& gpu, std::int64_t batch,
                         Precision precision) {
  check_known(gpu);
  const GpuCeilings ceilings = gpu_ceilings(gpu);
  Profile profile;
  profile.source = ProfileSource::analytic;
  profile.uncertainty =
      on_matrix_units(gpu, precision) ? double{kMatrixUnitSigma} : ceilings.relative_sigma;
  profile.precision = to_string(precision);
  if (has_recurrent_layer(model))
    profile.uncertainty = std::max(profile.uncertainty, laws_for(gpu).worst_error("rnn"));
  profile.device = gpu.name;
  if (const GpuSpec* known = known_gpu(gpu.name); known == nullptr || *known != gpu)
    profile.card = gpu;
  profile.model = model.name();
  profile.description = describe_law(gpu, precision, ceilings);
  BatchTimes times;
  times.batch = batch;
  times.layers = analytic_layers(model, gpu, batch, precision);
  profile.batches.push_back(std::move(times));
  profile.operations = analytic_operations(gpu);
  profile.ceilings = {ceilings.sgemm_flops, ceilings.memory_bandwidth, {}};
  return profile;
}

}  // namespace paceline
