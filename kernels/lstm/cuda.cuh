#pragma once

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

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
