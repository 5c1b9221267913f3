#include "calibrate/analytic/matrix_units.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/defaults.hpp"
#include "base/error.hpp"

namespace paceline {
namespace {

constexpr double kFp32Bytes = 4;  // what operations count their traffic in

const Default kLanes{"analytic.lanes_per_multiprocessor", 128, "",
                     "fp32 lanes of a multiprocessor of a card whose data say nothing of them"};

// Multiprocessors x clock; of a card that says neither, as if it had kLanes fp32 lanes each.
double cycles_per_second(const GpuSpec& gpu) {
  if (gpu.sms > 0 && gpu.boost_hz > 0) return gpu.sms * gpu.boost_hz;
  return gpu.fp32_flops / (2 * kLanes);
}

bool is_bf16(Precision precision) {
  return precision == Precision::amp_bf16 || precision == Precision::bf16;
}

}  // namespace

const MatrixUnitLaw& matrix_unit_law() {
  static constexpr MatrixUnitLaw law{0.774, 0.407, 0.3, 1, 3.9, 10e-6};
  return law;
}

double matrix_rate(const GpuSpec& gpu, Precision precision) {
  const char* figure = precision == Precision::tf32 ? "tf32" : is_bf16(precision) ? "bf16" : "fp16";
  const double rate = precision == Precision::tf32 ? gpu.tf32_flops
                      : is_bf16(precision)         ? gpu.bf16_flops
                                                   : gpu.fp16_flops;
  if (rate > 0) return rate;
  const bool known = known_gpu(gpu.name) != nullptr;
  if (!known && (gpu.cc_major == 0 || gpu.cc_major >= 7))  // from Volta on there are such units
    throw InputError(fmt::format(
        "precision {}: the GPU '{}' is in no table, and its \"{}\" is not given (matrix "
        "products a second, \"{}\": \"142TFLOPS\")",
        to_string(precision), gpu.name, figure, figure));
  if (precision == Precision::tf32)
    throw InputError(fmt::format("precision tf32: a {} has no TF32 units: fp32", gpu.name));
  if (is_bf16(precision))
    throw InputError(fmt::format("precision {}: a {} has no bf16 units: {}", to_string(precision),
                                 gpu.name,
                                 precision == Precision::bf16 ? "fp16, amp-fp16" : "amp-fp16"));
  return 0;
}

PassTimes matrix_unit_times(const Operation& op, const GpuSpec& gpu, Precision precision,
                            double batch) {
  const MatrixUnitLaw& law = matrix_unit_law();
  const double share = element_bytes(precision).activations / kFp32Bytes,
               rate = matrix_rate(gpu, precision),
               bandwidth = law.bandwidth_share * gpu.memory_bandwidth,
               passing = law.elements_per_cycle * cycles_per_second(gpu);
  const auto* convolution = std::get_if<Conv2dOp>(&op.attributes);
  const bool attends = op.is<AttentionOp>(),
             grouped = convolution != nullptr && convolution->groups > 1,
             multiplies = op.macs > 0 && !grouped;
  const double efficiency = convolution != nullptr ? law.convolution_efficiency
                            : attends              ? law.attention_efficiency
                                                   : law.product_efficiency;
  const auto pass = [&](double products, double sample_bytes, double parameter_bytes) {
    if (products == 0 && sample_bytes == 0) return 0.0;
    const double bytes = batch * sample_bytes + parameter_bytes;
    const double computed =
        products * 2 * op.macs * batch / (grouped ? gpu.fp32_flops : efficiency * rate);
    const double passed = multiplies && !attends ? 0 : batch * sample_bytes / kFp32Bytes / passing;
    return std::max(law.launch_s, computed + share * bytes / bandwidth + passed);
  };
  const bool data = op.backward_data_flops > 0 || op.backward_bytes > op.backward_weight_bytes;
  const double data_bytes = op.backward_bytes - op.backward_weight_bytes;
  PassTimes times{pass(1, op.forward_bytes, op.parameter_bytes), 0, 0};
  if (data) times.backward_data = pass(attends ? 2 : 1, data_bytes, op.parameter_bytes);
  if (op.backward_weight_flops > 0 || op.backward_weight_bytes > 0)
    times.backward_weight = pass(1, op.backward_weight_bytes, op.gradient_bytes);
  times.forward +=
      element_bytes(precision).weight_cast * op.parameter_bytes / kFp32Bytes / bandwidth;
  if (op.forward_bytes == 0 && op.parameter_bytes == 0) times.forward = 0;
  return times;
}

}  // namespace paceline
