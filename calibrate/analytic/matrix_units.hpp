#pragma once

#include <string>
#include <vector>

#include "base/defaults.hpp"
#include "calibrate/profile/precision.hpp"
#include "models/graph.hpp"
#include "platforms/gpus.hpp"

namespace paceline {

/// Times on matrix units (TF32, fp16, bf16). Of one pass of one operation,
///
///     t = FLOPs / (efficiency x matrix rate) + bytes / (share x memory bandwidth)
///         + elements / (elements_per_cycle x multiprocessors x clock),
///
/// never under `launch_s`. The last term, without which a faster memory would help more than it
/// does (ResNet-50 gains 10 % from H100 to H200, whose memory is 43 % faster), is what
/// multiprocessors themselves need for an element that passes through them; matrix products and
/// convolutions, which keep theirs on the chip, do not pay it, the scores of attention do. Grouped
/// convolutions use the fp32 units and pay it. Bytes are
/// those of operation_costs.hpp in the precision's element size.
///
/// One set of constants for all GPUs and precisions. Three are fitted to rows of whole networks that
/// experiments/published/single-gpu-mixed.json marks, three are assumed; the errors on the others
/// are `paceline validate --set single-gpu-mixed`.
struct MatrixUnitLaw {
  double convolution_efficiency, product_efficiency;  ///< fitted
  double attention_efficiency;                        ///< assumed
  double bandwidth_share;     ///< assumed: what kernels lose of the data sheet's, caches give back
  double elements_per_cycle;  ///< fitted
  double launch_s;            ///< assumed, of an operation and pass
};
const MatrixUnitLaw& matrix_unit_law();

/// FLOP/s of the units that `precision` uses on `gpu`; 0: it has none for fp16 and computes in fp32
/// what it keeps in 16 bits. Throws InputError where it cannot do so at all, or where nobody has
/// said whether it can.
double matrix_rate(const GpuSpec& gpu, Precision precision);

/// Relative sigma of a step by this law: of the judged rows (docs/validation.md).
inline const Default kMatrixUnitSigma{"analytic.matrix_units_sigma", 0.12, "",
                                      "relative sigma of a step on matrix units (tf32, fp16, "
                                      "bf16), of the judged rows of docs/validation.md"};

struct PassTimes {
  double forward = 0, backward_data = 0, backward_weight = 0;
};
/// Of one operation at `batch` samples.
PassTimes matrix_unit_times(const Operation& operation, const GpuSpec& gpu, Precision precision,
                            double batch);

}  // namespace paceline
