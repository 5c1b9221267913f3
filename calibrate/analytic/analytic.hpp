#pragma once

#include <cstdint>
#include <vector>

#include "calibrate/profile/precision.hpp"
#include "calibrate/profile/profile.hpp"
#include "models/graph.hpp"
#include "platforms/gpus.hpp"

namespace paceline {

/// Operations that a profile lists as layers: all but those that compute nothing (inputs and
/// views). Indices into model.operations(), in forward order.
std::vector<std::size_t> timed_operations(const Model& model);

/// Times of one training step without having run it, for any GPU whose speeds are known.
///
/// TF32 and 16 bits: the law of matrix_units.hpp; on a GPU without such units 16 bits are what
/// follows with half the bytes. fp32: Convolutions, matrix products and recurrent layers follow the laws fitted to DeepBench's GTX
/// 1080 Ti (analytic_fit.hpp) with the ceilings of `gpu` (gpu_ceilings.hpp), bounded below by FLOPs
/// / ceiling (for windows larger than 1x1, where Winograd and FFT save work, FLOPs / 2.25 ceilings)
/// and by least bytes / bandwidth. Everything else moves its least bytes at the streaming
/// bandwidth. No pass is faster than one kernel launch. All is multiplied by 1.24, what frameworks
/// need over the bare kernels: the factor with which nine networks measured on the 1080 Ti come out
/// best, so their errors are in-sample. The optimiser's update is not in it:
/// OperationCosts::optimizer_update. Throws InputError if batch < 1, if the GPU has no such precision, or if what is needed of a GPU that is in
/// no table is not given.
Profile analytic_profile(const Model& model, const GpuSpec& gpu, std::int64_t batch,
                         Precision precision = Precision::fp32);

/// The layers alone: element i belongs to timed_operations(model)[i].
std::vector<LayerTimes> analytic_layers(const Model& model, const GpuSpec& gpu, std::int64_t batch,
                                        Precision precision = Precision::fp32);

}  // namespace paceline
