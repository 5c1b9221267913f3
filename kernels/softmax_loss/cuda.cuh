#pragma once

#include "kernels/cuda/checked_index.cuh"
#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

/// A block per row: loss, whether the first largest logit is the label's, and max and log-sum for
/// backward.
struct BestLogit {
  float value;
  std::uint32_t index;
};
struct SoftmaxScratch {
  BestLogit best[33];
  BlockScratch<double> sum;
};
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    softmax_loss_kernel(const float* logits, const float* labels, std::size_t classes,
                        float* row_loss, float* row_correct, float* row_max, float* row_log_sum,
                        Fault* fault) {
  PACELINE_SHARED(SoftmaxScratch, s);
  const float* row = logits + blockIdx.x * classes;
  BestLogit best{-INFINITY, 0xffffffffu};
  for (std::size_t i = threadIdx.x; i < classes; i += layer_threads) {
    if (row[i] > best.value) best = {row[i], static_cast<std::uint32_t>(i)};
  }
  const auto better = [](BestLogit a, BestLogit b) {
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
  };
  for (int offset = 16; offset > 0; offset >>= 1) {
    const BestLogit other{__shfl_xor_sync(all_lanes, best.value, offset),
                          __shfl_xor_sync(all_lanes, best.index, offset)};
    best = better(best, other);
  }
  if (lane_index() == 0) s.best[warp_in_block()] = best;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (unsigned w = 1; w < layer_threads / 32; ++w) best = better(best, s.best[w]);
    s.best[32] = best;
  }
  __syncthreads();
  best = s.best[32];
  // A row of NaN has no best: let the NaN through to the loss.
  if (best.index == 0xffffffffu) best.value = row[0];
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < classes; i += layer_threads)
    sum += expf(row[i] - best.value);
  sum = block_sum(sum, s.sum);
  if (threadIdx.x == 0) {
    const std::size_t label = checked_index(labels[blockIdx.x], classes, 2, fault);
    const auto log_sum = static_cast<float>(log(sum));
    row_loss[blockIdx.x] = log_sum - (row[label] - best.value);
    row_correct[blockIdx.x] = best.index == label ? 1.0f : 0.0f;
    row_max[blockIdx.x] = best.value;
    row_log_sum[blockIdx.x] = log_sum;
  }
}

/// One block: output = {mean of row_loss, sum of row_correct}.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    loss_means_kernel(const float* row_loss, const float* row_correct, std::size_t rows,
                      float* output) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  double loss = 0;
  double correct = 0;
  for (std::size_t r = threadIdx.x; r < rows; r += layer_threads) {
    loss += row_loss[r];
    correct += row_correct[r];
  }
  loss = block_sum(loss, scratch);
  correct = block_sum(correct, scratch);
  if (threadIdx.x == 0) {
    output[0] = static_cast<float>(loss / static_cast<double>(rows));
    output[1] = static_cast<float>(correct);
  }
}

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    softmax_gradient_kernel(const float* logits, const float* labels, const float* row_max,
                            const float* row_log_sum, const float* weight, std::size_t rows,
                            std::size_t classes, float* d_logits) {
  const float scale = weight[0] / static_cast<float>(rows);
  for (std::size_t i = thread_number(); i < rows * classes; i += thread_total()) {
    const std::size_t row = i / classes;
    const float p = expf(logits[i] - row_max[row] - row_log_sum[row]);
    const float target = i % classes == static_cast<std::size_t>(labels[row]) ? 1.0f : 0.0f;
    d_logits[i] = (p - target) * scale;
  }
}

}  // namespace paceline::cuda
