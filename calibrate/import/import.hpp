#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "calibrate/profile/profile.hpp"
#include "models/graph.hpp"

namespace paceline {

struct ImportOptions {
  std::int64_t batch = 0;
  std::string device;              ///< of the specification table, or any other name
  std::string precision = "fp32";  ///< fp32, tf32, fp16 or bf16
  double uncertainty = 0.05;       ///< relative sigma of the step, which a trace does not tell
};

/// A profile from a table with the columns operation, forward_s, backward_s: every timed operation
/// of the model once, in any order; 0 is allowed. Throws InputError "file:line: ..." for an unknown
/// or missing operation (the nearest name is given), for times that are negative, not finite or
/// longer than a day, and if all are 0.
Profile import_csv(const std::filesystem::path& file, const Model& model,
                   const ImportOptions& options);
Profile parse_import_csv(std::string_view text, const std::string& name, const Model& model,
                         const ImportOptions& options);

/// A profile from a Chrome trace of PyTorch's profiler (torch.profiler, Kineto). How times find
/// their operation:
/// - A kernel (cat "kernel", also "gpu_memset", "gpu_memcpy") belongs to the CPU call that launched
///   it: the "cuda_runtime" or "cuda_driver" event of the same args.correlation.
/// - That call lies inside "cpu_op" events of its thread. The outermost one named aten::* (forward)
///   or the autograd node "autograd::engine::evaluate_function: XBackward0" (backward) is what is
///   timed: the sum of its kernels' durations.
/// - These are matched to the model by kind and order: the n-th aten::conv2d is the model's n-th
///   conv2d in forward order, the n-th ConvolutionBackward0 its n-th from the end. Kinds: conv2d,
///   dense (linear, addmm), batch_norm, layer_norm, relu, tanh, sigmoid, gelu, max_pool2d,
///   avg_pool, adaptive_avg_pool, add, cat, dropout, embedding, lstm, cross_entropy.
/// - Steps: "ProfilerStep#n" annotations cut the trace; each step with all calls of the kinds that
///   have parameters is one sample, medians and quartiles remain. Without annotations the trace
///   must hold one step.
/// - One call of lstm may be several layers of the model (nn.LSTM(num_layers=2)): its time is
/// spread
///   over them in proportion to their FLOPs.
/// - Kinds without parameters of which the trace has another number of calls stay at 0 s: each is a
///   line of metadata.warnings. Batch-norm's count of batches is not taken for an addition.
/// - Kernels of other calls (optimiser, loading, gradient hooks) are left out; their share is in
///   metadata.unmatched_share.
/// Throws InputError if the file is not a trace, is of several processes or GPUs or of another GPU
/// than options.device, has kernels twice, no GPU events or nothing that launched them, another
/// number of calls than the model of a kind that has parameters (it is then the trace of another
/// model), or no time at all in a pass. The backward stands as one in backward_data.
Profile import_trace(const std::filesystem::path& file, const Model& model,
                     const ImportOptions& options);
Profile parse_trace(std::string_view text, const std::string& name, const Model& model,
                    const ImportOptions& options);

}  // namespace paceline
