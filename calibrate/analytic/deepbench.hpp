#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/shapes.hpp"

namespace paceline {

/// One kernel of DeepBench's training tables, fp32.
struct DeepBenchPoint {
  std::string law;  ///< class and pass: "conv 3x3 backward weight", "gemm", "rnn forward"
  std::string key;  ///< its sizes; equal on every GPU
  double flops = 0;
  double bytes = 0;  ///< least traffic
  double steps = 1;  ///< time steps of a recurrent layer
  double seconds = 0;
  bool three_by_three = false;  ///< a convolution that Winograd's algorithm can do
};

/// "conv 1x1", "conv 3x3" or "conv other": the class of a convolution, with which its laws begin.
std::string convolution_class(std::int64_t kernel_height, std::int64_t kernel_width);

/// Bytes that a recurrent layer of so many gates moves at least if, without persistent kernels, it
/// reads its weights again in every step.
double recurrent_bytes(double gates, double hidden, double inputs, double batch, double steps);

enum class LayerPass { forward, backward_data, backward_weight };

/// A kernel of DeepBench and the layer of ours one pass of which is the same work; `point` without
/// its time. GRUs and plain recurrent layers have no shape.
struct DeepBenchKernel {
  DeepBenchPoint point;
  std::optional<kernels::LayerShape> shape;
  LayerPass pass = LayerPass::forward;
};

/// Every different kernel that has a shape, by increasing work: those that `anchors` times.
std::vector<DeepBenchKernel> deepbench_kernels();

struct DeepBenchTable {
  std::string gpu;  ///< as the tables call it
  std::vector<DeepBenchPoint> points;
  double sgemm_flops = 0;  ///< of its fastest matrix product, FLOP/s
};

/// The rows of `gpu` in conv.csv, gemm.csv and rnn.csv; rows without a time ("N/A") are left out.
/// Throws InputError if a file is missing or damaged.
DeepBenchTable read_deepbench(const std::filesystem::path& folder, std::string_view gpu);
/// The same of the tables embedded in the program.
DeepBenchTable shipped_deepbench(std::string_view gpu);

/// calibrate/data/<name> as embedded in the program, such as "deepbench/conv.csv".
std::string_view shipped_data(std::string_view name);

}  // namespace paceline
