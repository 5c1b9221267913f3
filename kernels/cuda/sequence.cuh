#pragma once

// Embedding, softmax with cross-entropy, LSTM.

#include "kernels/cuda/fault.hpp"
#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

/// The whole number in [0, end) that x stands for; else 0, with the fault noted.
__device__ inline std::size_t checked_index(float x, std::size_t end, int kind, Fault* fault) {
  if (x >= 0.0f && x < static_cast<float>(end) &&
      static_cast<float>(static_cast<std::size_t>(x)) == x) {
    return static_cast<std::size_t>(x);
  }
  fault->value = x;
  fault->kind = kind;
  return 0;
}

/// blockIdx.x = row.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    embedding_kernel(const float* tokens, const float* table, std::size_t entries,
                     std::size_t features, float* y, Fault* fault) {
  const std::size_t token = checked_index(tokens[blockIdx.x], entries, 1, fault);
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    y[blockIdx.x * features + i] = table[token * features + i];
  }
}

/// A block per row: the first row of a token adds up all rows of it, in order; the others do
/// nothing. The table's gradient is zero before.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    embedding_gradient_kernel(const float* tokens, const float* dy, std::size_t rows,
                              std::size_t entries, std::size_t features, float* d_table,
                              Fault* fault) {
  PACELINE_SHARED(BlockScratch<std::uint32_t>, scratch);
  const float token = tokens[blockIdx.x];
  std::uint32_t earlier = 0;
  for (std::size_t r = threadIdx.x; r < blockIdx.x; r += layer_threads)
    earlier += tokens[r] == token ? 1u : 0u;
  if (block_sum(earlier, scratch) > 0) return;
  float* row = d_table + checked_index(token, entries, 1, fault) * features;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    float sum = 0;
    for (std::size_t r = blockIdx.x; r < rows; ++r) {
      if (tokens[r] == token) sum += dy[r * features + i];
    }
    row[i] = sum;
  }
}

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

__device__ inline float logistic(float x) {
  return 1.0f / (1.0f + expf(-x));
}

struct LstmGeometry {
  std::size_t batch, steps, hidden;
};

/// Step t, a thread per (sample, unit): gates [batch, steps, 4 hidden] hold W x + U h and become i,
/// f, g, o.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_step_kernel(LstmGeometry g, std::size_t t, const float* bias_a, const float* bias_b,
                     const float* first_cell, float* gates, float* cells, float* output) {
  for (std::size_t n = thread_number(); n < g.batch * g.hidden; n += thread_total()) {
    const std::size_t sample = n / g.hidden;
    const std::size_t unit = n % g.hidden;
    const std::size_t step = sample * g.steps + t;
    float* gate = gates + step * 4 * g.hidden + unit;
    float in[4];
    PACELINE_UNROLL
    for (int q = 0; q < 4; ++q) {
      in[q] = gate[q * g.hidden];
      if (bias_a != nullptr) in[q] += bias_a[q * g.hidden + unit];
      if (bias_b != nullptr) in[q] += bias_b[q * g.hidden + unit];
    }
    const float i = logistic(in[0]);
    const float f = logistic(in[1]);
    const float c = tanhf(in[2]);
    const float o = logistic(in[3]);
    const float before = t == 0 ? first_cell[n] : cells[(step - 1) * g.hidden + unit];
    const float cell = f * before + i * c;
    gate[0] = i;
    gate[g.hidden] = f;
    gate[2 * g.hidden] = c;
    gate[3 * g.hidden] = o;
    cells[step * g.hidden + unit] = cell;
    output[step * g.hidden + unit] = o * tanhf(cell);
  }
}

/// Step t of backward: gates become the gradients of their inputs. `d_hidden` [batch, hidden] is
/// what comes from step t+1 through U (not read at the last step); `d_cell` [batch, hidden]
/// likewise, updated.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_step_gradient_kernel(LstmGeometry g, std::size_t t, const float* output_gradient,
                              const float* first_cell, const float* cells, const float* d_hidden,
                              float* d_cell, float* gates) {
  const bool last = t + 1 == g.steps;
  for (std::size_t n = thread_number(); n < g.batch * g.hidden; n += thread_total()) {
    const std::size_t sample = n / g.hidden;
    const std::size_t unit = n % g.hidden;
    const std::size_t step = sample * g.steps + t;
    float* gate = gates + step * 4 * g.hidden + unit;
    const float i = gate[0];
    const float f = gate[g.hidden];
    const float c = gate[2 * g.hidden];
    const float o = gate[3 * g.hidden];
    const float squashed = tanhf(cells[step * g.hidden + unit]);
    const float before = t == 0 ? first_cell[n] : cells[(step - 1) * g.hidden + unit];
    const float dh = output_gradient[step * g.hidden + unit] + (last ? 0.0f : d_hidden[n]);
    const float dc = (last ? 0.0f : d_cell[n]) + dh * o * (1.0f - squashed * squashed);
    d_cell[n] = dc * f;
    gate[0] = dc * c * i * (1.0f - i);
    gate[g.hidden] = dc * before * f * (1.0f - f);
    gate[2 * g.hidden] = dc * i * (1.0f - c * c);
    gate[3 * g.hidden] = dh * squashed * o * (1.0f - o);
  }
}

/// previous[b][t] = t == 0 ? first[b] : output[b][t-1]
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_previous_kernel(LstmGeometry g, const float* first, const float* output, float* previous) {
  for (std::size_t n = thread_number(); n < g.batch * g.steps * g.hidden; n += thread_total()) {
    const std::size_t unit = n % g.hidden;
    const std::size_t t = n / g.hidden % g.steps;
    const std::size_t sample = n / g.hidden / g.steps;
    previous[n] = t == 0 ? first[sample * g.hidden + unit] : output[n - g.hidden];
  }
}

/// state = {h, c} after the last step.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_state_kernel(LstmGeometry g, const float* output, const float* cells, float* state) {
  for (std::size_t n = thread_number(); n < g.batch * g.hidden; n += thread_total()) {
    const std::size_t at = (n / g.hidden * g.steps + g.steps - 1) * g.hidden + n % g.hidden;
    state[n] = output[at];
    state[g.batch * g.hidden + n] = cells[at];
  }
}

}  // namespace paceline::cuda
