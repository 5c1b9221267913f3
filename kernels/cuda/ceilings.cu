// What this GPU can do at most, measured: products, memory, launches.

#include <algorithm>
#include <chrono>

#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/dropout/cuda.cuh"

namespace paceline::cuda {
namespace {

static __global__ void empty_kernel() {}

/// Noise in [-1, 1): timings on zeros are too fast.
static __global__ void noise_kernel(float* x, std::size_t n, std::uint64_t seed) {
  for (std::size_t i = thread_number(); i < n; i += thread_total()) {
    x[i] = static_cast<float>(static_cast<std::int32_t>(random_words(seed, 0, i).x)) * 0x1p-31f;
  }
}
/// The next four elements of a thread, all loaded before the first use: one load in flight per
/// thread is too few to fill the memory's latency.
static __device__ inline void load_four(const float4* x, std::size_t first, std::size_t n,
                                        float4 (&loaded)[4]) {
  PACELINE_UNROLL
  for (std::size_t j = 0; j < 4; ++j) {
    const std::size_t i = first + j * thread_total();
    loaded[j] = i < n ? __ldcg(x + i) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  }
}
static __global__ void __launch_bounds__(256)
    copy_kernel(const float4* from, float4* to, std::size_t n) {
  for (std::size_t first = thread_number(); first < n; first += 4 * thread_total()) {
    float4 loaded[4];
    load_four(from, first, n, loaded);
    PACELINE_UNROLL
    for (std::size_t j = 0; j < 4; ++j) {
      const std::size_t i = first + j * thread_total();
      if (i < n) to[i] = loaded[j];
    }
  }
}
/// Reads `rounds` times over n and writes almost nothing.
static __global__ void __launch_bounds__(256)
    read_kernel(const float4* x, std::size_t n, int rounds, float* sink) {
  float sum = 0;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t first = thread_number(); first < n; first += 4 * thread_total()) {
      float4 loaded[4];
      load_four(x, first, n, loaded);
      PACELINE_UNROLL
      for (int j = 0; j < 4; ++j) sum += loaded[j].x + loaded[j].y + loaded[j].z + loaded[j].w;
    }
  }
  if (sum == 1.2345e30f) *sink = sum;
}

/// Noise in device memory.
DeviceMemory noisy(Context& context, std::size_t floats, std::uint64_t seed) {
  DeviceMemory memory(floats * sizeof(float));
  PACELINE_LAUNCH(context.stream(), context.blocks(floats), layer_threads, (noise_kernel),
                  memory.floats(), floats, seed);
  return memory;
}
const float4* quads(const DeviceMemory& memory) {
  return reinterpret_cast<const float4*>(memory.floats());
}

}  // namespace

/// fp32 as the layers have it, and under the mode that programs get which set none.
void Cuda::measure_products(kernels::CudaCeilings& ceilings) {
  constexpr std::int64_t side = 4096;
  const DeviceMemory a = noisy(context_, side * side, 1);
  const DeviceMemory b = noisy(context_, side * side, 2);
  const DeviceMemory c(side * side * sizeof(float));
  const auto rate = [&] {
    return 2.0 * side * side * side / typical_seconds([&] {
             row_major_product(context_, false, false, side, side, side, a.floats(), b.floats(),
                               0.0f, c.floats());
           });
  };
  const bool tf32 = context_.tf32();
  context_.allow_tf32(false);
  ceilings.sgemm_flops = rate();
  PACELINE_CHECK(cublasSetMathMode(context_.cublas(), CUBLAS_DEFAULT_MATH));
  ceilings.sgemm_default_flops = rate();
  context_.allow_tf32(tf32);
}

void Cuda::measure_memory(kernels::CudaCeilings& ceilings) {
  const cudaStream_t stream = context_.stream();
  const unsigned blocks = static_cast<unsigned>(context_.multiprocessors()) * 8;
  const auto l2 = static_cast<std::size_t>(std::max<std::int64_t>(info_.l2_bytes, 1 << 16));
  const auto most = static_cast<std::size_t>(info_.memory_bytes) / 16;
  // Four times the L2 or 256 MB, whichever is more, so that little is found there again.
  const std::size_t large = std::min(std::max(4 * l2, std::size_t{256} << 20), most) / 16;
  const DeviceMemory from = noisy(context_, 4 * large, 3);
  const DeviceMemory to(large * 16);
  const auto bytes = static_cast<double>(large * 16);
  const double by_kernel = typical_seconds([&] {
    PACELINE_LAUNCH(stream, blocks, 256, (copy_kernel), quads(from), static_cast<float4*>(to.get()),
                    large);
  });
  const double by_driver = typical_seconds([&] {
    PACELINE_CHECK(
        cudaMemcpyAsync(to.get(), from.get(), large * 16, cudaMemcpyDeviceToDevice, stream));
  });
  ceilings.copy_bandwidth = 2 * bytes / std::min(by_kernel, by_driver);
  ceilings.copied_by = by_kernel <= by_driver ? "kernel" : "cudaMemcpyAsync";
  ceilings.read_bandwidth =
      bytes / typical_seconds([&] {
        PACELINE_LAUNCH(stream, blocks, 256, (read_kernel), quads(from), large, 1, to.floats());
      });
  // A quarter: what is read must also stay, and an L2 of two halves keeps much of it twice.
  const std::size_t small = std::min(l2 / 4 / 16, large);
  constexpr int rounds = 16;
  ceilings.l2_bandwidth = rounds * static_cast<double>(small * 16) / typical_seconds([&] {
                            PACELINE_LAUNCH(stream, blocks, 256, (read_kernel), quads(from), small,
                                            rounds, to.floats());
                          });
}

void Cuda::measure_launches(kernels::CudaCeilings& ceilings) {
  const cudaStream_t stream = context_.stream();
  const auto empty = [&] { launch("empty_kernel", false, stream, 1, 32, &empty_kernel); };
  ceilings.graph_launch_seconds = typical_seconds(empty);
  constexpr int launches = 2000;
  for (int i = 0; i < launches; ++i) empty();
  context_.synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < launches; ++i) empty();
  context_.synchronize();
  ceilings.eager_launch_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / launches;
}

kernels::CudaCeilings Cuda::measure_ceilings() {
  kernels::CudaCeilings ceilings;
  measure_products(ceilings);
  measure_memory(ceilings);
  measure_launches(ceilings);
  return ceilings;
}

}  // namespace paceline::cuda
