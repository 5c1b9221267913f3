#include "kernels/cuda/backend.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/pointwise_launch.cuh"
#include "kernels/cuda/select_launch.cuh"

namespace paceline::cuda {
namespace {

using kernels::SparseOutput;
using kernels::SparseView;
using Floats = std::span<const float>;

template <class Kernel>
unsigned resident_blocks(Kernel* kernel, unsigned threads, int multiprocessors) {
  int per_multiprocessor = 0;
  PACELINE_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, kernel,
                                                               static_cast<int>(threads), 0));
  return static_cast<unsigned>(std::max(1, per_multiprocessor) * multiprocessors);
}

std::uint32_t key_of_threshold(float threshold) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &threshold, sizeof bits);
  return threshold > 0 || threshold != threshold ? magnitude_key(bits) : 0u;
}

// Small results of reductions, at these byte offsets of results_.
constexpr std::size_t partial_at = 0;
constexpr std::size_t total_at = sum_blocks * sizeof(Moments);
constexpr std::size_t count_at = total_at + 64;
constexpr std::size_t results_bytes = count_at + 64;

}  // namespace

Cuda::Cuda(int device)
    : context_(device), info_(read_device_info(device)), results_(results_bytes) {
  int cooperative = 0;
  PACELINE_CHECK(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device));
  if (cooperative == 0) {
    throw std::runtime_error(
        "GPU " + std::to_string(device) + " (" + info_.name +
        ") cannot run cooperative kernels; compute capability 6.0 or newer is needed");
  }
  const int sms = context_.multiprocessors();
  grid_.collect_blocks =
      resident_blocks(&collect_kernel<ErrorFeedbackSource, true>, collect_threads, sms);
  // The cooperative grid must be resident as a whole, for each source's kernel.
  grid_.resolve_blocks =
      std::min({resident_blocks(&resolve_kernel<ErrorFeedbackSource>, resolve_threads, sms),
                resident_blocks(&resolve_kernel<MomentumSource>, resolve_threads, sms),
                resident_blocks(&resolve_kernel<PlainSource>, resolve_threads, sms)});
}

std::string Cuda::description() const {
  std::string text = info_.name + " (compute capability " + std::to_string(info_.compute_major) +
                     "." + std::to_string(info_.compute_minor) + "), CUDA " + info_.cuda_runtime +
                     ", cuBLAS " + info_.cublas;
  if (!info_.cudnn.empty()) text += ", cuDNN " + info_.cudnn;
  return text + ", convolution by " + info_.engine +
         (context_.tf32() ? ", TF32 allowed" : ", fp32 (FMA)");
}

// ---- memory
// -----------------------------------------------------------------------------------------------

void* Cuda::allocate(std::size_t bytes) {
  context_.stream();
  void* memory = nullptr;
  check(cudaMalloc(&memory, std::max<std::size_t>(bytes, 1)),
        "allocating " + std::to_string(bytes) + " bytes on " + info_.name);
  return memory;
}
void Cuda::release(void* memory) noexcept {
  cudaFree(memory);
}
void Cuda::copy_from_host(void* to, const void* host, std::size_t bytes) {
  if (bytes == 0) return;
  PACELINE_CHECK(cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, context_.stream()));
}
void Cuda::copy_to_host(void* host, const void* from, std::size_t bytes) {
  if (bytes > 0)
    PACELINE_CHECK(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, context_.stream()));
  context_.synchronize();
}
void Cuda::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  PACELINE_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, context_.stream()));
}
void Cuda::fill(float value, std::span<float> x) {
  pointwise<Fill, 0, 1>(context_, {value}, {{}, {x.data()}}, x.size());
}
template <class T>
T Cuda::fetch(const void* device_memory) {
  T value;
  copy_to_host(&value, device_memory, sizeof value);
  return value;
}

std::unique_ptr<kernels::Layer> Cuda::make_layer(const kernels::LayerShape& shape) {
  kernels::check_shape(shape);
  context_.stream();
  return cuda::make_layer(context_, shape);
}
std::unique_ptr<kernels::Activation> Cuda::make_activation(const kernels::Dims& dims) {
  context_.stream();
  return std::make_unique<CudaActivation>(dims);
}
void Cuda::write(Floats host, kernels::Activation& activation) {
  if (host.size() != static_cast<CudaActivation&>(activation).size()) {
    throw std::invalid_argument("an activation of " +
                                std::to_string(static_cast<CudaActivation&>(activation).size()) +
                                " elements cannot be written from " + std::to_string(host.size()));
  }
  copy_from_host(values(activation), host.data(), host.size_bytes());
}
void Cuda::read(const kernels::Activation& activation, std::span<float> host) {
  if (host.size() != static_cast<const CudaActivation&>(activation).size()) {
    throw std::invalid_argument(
        "an activation of " +
        std::to_string(static_cast<const CudaActivation&>(activation).size()) +
        " elements cannot be read into " + std::to_string(host.size()));
  }
  copy_to_host(host.data(), values(activation), host.size_bytes());
}
void Cuda::accumulate(const kernels::Activation& term, kernels::Activation& sum) {
  const auto n = static_cast<const CudaActivation&>(term).size();
  pointwise<Add, 2, 1>(context_, {}, {{values(sum), values(term)}, {values(sum)}}, n);
}

// ---- optimizer.hpp, blend.hpp
// -----------------------------------------------------------------------------

void Cuda::sgd_step(const kernels::SgdOptions& o, Floats gradient, std::span<float> velocity,
                    std::span<float> weights) {
  const auto rate = static_cast<float>(o.learning_rate);
  const auto momentum = static_cast<float>(o.momentum);
  const auto decay = static_cast<float>(o.weight_decay);
  if (momentum == 0) {
    pointwise<Sgd, 2, 1>(context_, {rate, decay},
                         {{gradient.data(), weights.data()}, {weights.data()}}, weights.size());
  } else {
    pointwise<MomentumSgd, 3, 2>(
        context_, {rate, momentum, decay, o.nesterov},
        {{gradient.data(), velocity.data(), weights.data()}, {velocity.data(), weights.data()}},
        weights.size());
  }
}
void Cuda::adamw_step(const kernels::AdamWOptions& o, std::int64_t step, Floats gradient,
                      std::span<float> mean, std::span<float> square, std::span<float> weights) {
  const double mean_bias = 1 - std::pow(o.beta1, static_cast<double>(step));
  const double square_bias = 1 - std::pow(o.beta2, static_cast<double>(step));
  const AdamW op{static_cast<float>(o.beta1),
                 static_cast<float>(o.beta2),
                 static_cast<float>(1 - o.beta1),
                 static_cast<float>(1 - o.beta2),
                 static_cast<float>(o.learning_rate / mean_bias),
                 static_cast<float>(std::sqrt(square_bias)),
                 static_cast<float>(o.epsilon),
                 static_cast<float>(1 - o.learning_rate * o.weight_decay)};
  pointwise<AdamW, 4, 3>(context_, op,
                         {{gradient.data(), mean.data(), square.data(), weights.data()},
                          {mean.data(), square.data(), weights.data()}},
                         weights.size());
}
double Cuda::sum_of_squares(Floats x) {
  auto* bytes = static_cast<std::byte*>(results_.get());
  auto* partial = reinterpret_cast<Moments*>(bytes + partial_at);
  auto* total = reinterpret_cast<Moments*>(bytes + total_at);
  PACELINE_LAUNCH(context_.stream(), sum_blocks, vector_threads, (moments_kernel), x.data(),
                  x.size(), partial);
  PACELINE_LAUNCH(context_.stream(), 1, sum_blocks, (sum_moments_kernel), partial, total);
  return fetch<Moments>(total).square;
}
double Cuda::clip_norm(double limit, std::span<float> x) {
  const double norm = std::sqrt(sum_of_squares(x));
  if (norm > limit && std::isfinite(norm)) scale(limit / norm, x);
  return norm;
}
void Cuda::axpy(double a, Floats x, std::span<float> y) {
  pointwise<Axpy, 2, 1>(context_, {static_cast<float>(a)}, {{x.data(), y.data()}, {y.data()}},
                        y.size());
}
void Cuda::scale(double a, std::span<float> x) {
  pointwise<Scale, 1, 1>(context_, {static_cast<float>(a)}, {{x.data()}, {x.data()}}, x.size());
}
void Cuda::subtract(Floats a, Floats b, std::span<float> out) {
  pointwise<Subtract, 2, 1>(context_, {}, {{a.data(), b.data()}, {out.data()}}, out.size());
}
void Cuda::interpolate(double a, Floats z, std::span<float> x) {
  pointwise<Interpolate, 2, 1>(context_, {static_cast<float>(a)},
                               {{z.data(), x.data()}, {x.data()}}, x.size());
}
void Cuda::add_progress(Floats mean, Floats start, std::span<float> x) {
  pointwise<AddProgress, 3, 1>(context_, {}, {{mean.data(), start.data(), x.data()}, {x.data()}},
                               x.size());
}
void Cuda::delay_compensate(double lambda, Floats gradient, Floats weights, Floats backup,
                            std::span<float> out) {
  pointwise<DelayCompensate, 3, 1>(context_, {static_cast<float>(lambda)},
                                   {{gradient.data(), weights.data(), backup.data()}, {out.data()}},
                                   out.size());
}
void Cuda::delay_compensate_adaptive(double lambda, double decay, Floats gradient, Floats weights,
                                     Floats backup, std::span<float> square, std::span<float> out) {
  pointwise<DelayCompensateAdaptive, 4, 2>(
      context_,
      {static_cast<float>(lambda), static_cast<float>(decay), static_cast<float>(1 - decay)},
      {{gradient.data(), weights.data(), backup.data(), square.data()},
       {out.data(), square.data()}},
      out.size());
}
void Cuda::od_sgd_local_update(const kernels::OdSgdOptions& o, Floats gradient, Floats weights,
                               Floats previous, std::span<float> local) {
  pointwise<OdSgdLocalUpdate, 3, 1>(
      context_,
      {static_cast<float>(o.learning_rate), static_cast<float>(o.weight_decay),
       static_cast<float>(o.lambda), static_cast<float>(o.rescale)},
      {{gradient.data(), weights.data(), previous.data()}, {local.data()}}, local.size());
}

// ---- sparsify.hpp
// -----------------------------------------------------------------------------------------

template <class Source>
void Cuda::select(const Source& source, bool aligned, std::size_t n, SparseOutput out,
                  bool has_floor, std::uint32_t floor, std::uint32_t* written) {
  const std::size_t k = out.indices.size();
  if (k > n) {
    throw InputError("top-k: cannot select " + std::to_string(k) + " of " + std::to_string(n) +
                     " elements");
  }
  if (n >= key_end)
    throw InputError("top-k: a vector of " + std::to_string(n) + " elements; at most 2^31 - 1");
  const auto size = static_cast<std::uint32_t>(n);
  const auto wanted = static_cast<std::uint32_t>(k);
  const SelectLayout layout = select_layout(size, wanted, grid_);
  void* memory = context_.select_scratch(layout.total, layout.zeroed);
  select_top_k(context_.stream(), grid_, source, aligned, size, wanted,
               select_memory(layout, memory), out.indices.data(), out.values.data(), has_floor,
               floor, written);
}

void Cuda::top_k(Floats x, SparseOutput out) {
  if (out.indices.empty()) return;
  select(PlainSource{x.data()}, aligned16(x.data()), x.size(), out, false, 0, nullptr);
}
void Cuda::error_feedback_top_k(double scale, Floats gradient, std::span<float> residual,
                                SparseOutput out) {
  if (out.indices.empty()) return axpy(scale, gradient, residual);
  select(ErrorFeedbackSource{gradient.data(), residual.data(), static_cast<float>(scale)},
         aligned16(gradient.data()) && aligned16(residual.data()), residual.size(), out, false, 0,
         nullptr);
}
void Cuda::momentum_top_k(double momentum, Floats gradient, std::span<float> velocity,
                          std::span<float> accumulated, SparseOutput out) {
  if (out.indices.empty()) throw InputError("momentum top-k: k must be at least 1");
  select(MomentumSource{gradient.data(), velocity.data(), accumulated.data(),
                        static_cast<float>(momentum)},
         aligned16(gradient.data()) && aligned16(velocity.data()) && aligned16(accumulated.data()),
         accumulated.size(), out, false, 0, nullptr);
}
void Cuda::legacy_top_k(Floats x, SparseOutput out) {
  const auto k = static_cast<std::uint32_t>(out.indices.size());
  if (k > x.size()) {
    throw InputError("top-k: cannot select " + std::to_string(k) + " of " +
                     std::to_string(x.size()) + " elements");
  }
  if (k == 0) return;
  PACELINE_LAUNCH(context_.stream(), 1, legacy_threads, (legacy_top_k_kernel), x.data(),
                  static_cast<std::uint32_t>(x.size()), k, out.indices.data(), out.values.data());
}
void Cuda::sort_top_k(Floats x, SparseOutput out) {
  const std::size_t n = x.size();
  const std::size_t k = out.indices.size();
  if (k > n) {
    throw InputError("top-k: cannot select " + std::to_string(k) + " of " + std::to_string(n) +
                     " elements");
  }
  if (k == 0) return;
  const std::size_t sort_bytes =
      sort_by_magnitude(context_.stream(), nullptr, 0, nullptr, nullptr, nullptr, nullptr, n);
  const std::size_t array = (n * 4 + 255) / 256 * 256;
  auto* memory = static_cast<std::byte*>(context_.scratch(4 * array + sort_bytes));
  auto* keys = reinterpret_cast<std::uint32_t*>(memory);
  auto* sorted_keys = reinterpret_cast<std::uint32_t*>(memory + array);
  auto* indices = reinterpret_cast<std::int32_t*>(memory + 2 * array);
  auto* sorted = reinterpret_cast<std::int32_t*>(memory + 3 * array);
  const unsigned blocks = context_.blocks(n);
  PACELINE_LAUNCH(context_.stream(), blocks, vector_threads, (sort_input_kernel), x.data(), n, keys,
                  indices);
  sort_by_magnitude(context_.stream(), memory + 4 * array, sort_bytes, keys, sorted_keys, indices,
                    sorted, n);
  PACELINE_LAUNCH(context_.stream(), context_.blocks(k), vector_threads, (sort_output_kernel),
                  x.data(), sorted, k, out.indices.data(), out.values.data());
}

void Cuda::clear_at(std::span<const std::int32_t> indices, std::span<float> x) {
  if (indices.empty()) return;
  PACELINE_LAUNCH(context_.stream(), context_.blocks(indices.size()), vector_threads,
                  (clear_at_kernel), indices.data(), indices.size(), x.data());
}

float Cuda::sampled_threshold(Floats x, std::int64_t k, std::int64_t stride, std::uint64_t seed) {
  if (x.empty() || k < 1 || stride < 1) {
    throw InputError("sampled threshold: needs elements, k and stride of at least 1, found " +
                     std::to_string(x.size()) + ", " + std::to_string(k) + " and " +
                     std::to_string(stride));
  }
  const std::size_t step = std::min(static_cast<std::size_t>(stride), x.size());
  const std::size_t first = seed % step;
  const std::size_t count = (x.size() - first + step - 1) / step;
  const auto wanted = std::llround(static_cast<double>(k) / static_cast<double>(step));
  const std::size_t rank = std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1, count);
  const std::size_t array = (count * 4 + 255) / 256 * 256;
  auto* memory = static_cast<std::byte*>(context_.scratch(3 * array));
  auto* sample = reinterpret_cast<float*>(memory);
  const SparseOutput largest{{reinterpret_cast<std::int32_t*>(memory + array), rank},
                             {reinterpret_cast<float*>(memory + 2 * array), rank}};
  PACELINE_LAUNCH(context_.stream(), context_.blocks(count), vector_threads, (strided_kernel),
                  x.data(), first, step, count, sample);
  top_k({sample, count}, largest);
  auto* result =
      reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(results_.get()) + count_at);
  PACELINE_CHECK(cudaMemsetAsync(result, 0xff, sizeof *result, context_.stream()));
  PACELINE_LAUNCH(context_.stream(), context_.blocks(rank), vector_threads, (smallest_key_kernel),
                  largest.values.data(), rank, result);
  return fetch<float>(result);
}

float Cuda::gaussian_threshold(Floats x, std::int64_t k) {
  const auto n = static_cast<std::int64_t>(x.size());
  if (k < 1 || k > n) {
    throw InputError("Gaussian threshold: cannot select " + std::to_string(k) + " of " +
                     std::to_string(n) + " elements");
  }
  auto* bytes = static_cast<std::byte*>(results_.get());
  auto* partial = reinterpret_cast<Moments*>(bytes + partial_at);
  auto* total = reinterpret_cast<Moments*>(bytes + total_at);
  PACELINE_LAUNCH(context_.stream(), sum_blocks, vector_threads, (moments_kernel), x.data(),
                  x.size(), partial);
  PACELINE_LAUNCH(context_.stream(), 1, sum_blocks, (sum_moments_kernel), partial, total);
  const auto moments = fetch<Moments>(total);
  const double count = static_cast<double>(n);
  const double mean = moments.sum / count;
  const double variance =
      std::max(0.0, moments.square - moments.sum * mean) / std::max(count - 1, 1.0);
  auto threshold = static_cast<float>(mean + normal_quantile(static_cast<double>(k) / count) *
                                                 std::sqrt(variance));
  for (int correction = 0; correction < 3; ++correction) {
    const std::int64_t reaching = count_reaching(x, threshold);
    if (3 * reaching < 2 * k) {
      threshold *= 0.5f;
    } else if (3 * reaching > 4 * k) {
      threshold *= 1.5f;
    } else {
      break;
    }
  }
  return threshold;
}

std::int64_t Cuda::count_reaching(Floats x, float threshold) {
  auto* count =
      reinterpret_cast<unsigned long long*>(static_cast<std::byte*>(results_.get()) + count_at);
  PACELINE_CHECK(cudaMemsetAsync(count, 0, sizeof *count, context_.stream()));
  PACELINE_LAUNCH(context_.stream(), context_.blocks(x.size()), vector_threads, (count_kernel),
                  x.data(), x.size(), key_of_threshold(threshold), count);
  return static_cast<std::int64_t>(fetch<unsigned long long>(count));
}

std::int64_t Cuda::select_reaching(Floats x, float threshold, SparseOutput out) {
  const std::size_t room = std::min(out.indices.size(), x.size());
  if (room == 0) return 0;
  auto* written =
      reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(results_.get()) + count_at);
  select(PlainSource{x.data()}, aligned16(x.data()), x.size(),
         {out.indices.first(room), out.values.first(room)}, true, key_of_threshold(threshold),
         written);
  return fetch<std::uint32_t>(written);
}

void Cuda::scatter(std::span<const SparseView> blocks, double scale, bool fresh,
                   std::span<float> sum) {
  const auto n = static_cast<std::uint32_t>(sum.size());
  const std::uint32_t tiles = (n + scatter_tile - 1) / scatter_tile;
  std::size_t entries = 0;
  for (const SparseView& block : blocks) entries += block.indices.size();
  if (n == 0) return;
  // A scattered entry costs a 32-byte sector read and written; a tiled pass 8 bytes per element of
  // the sum.
  if (!fresh && entries * 8 < sum.size()) {
    for (const SparseView& block : blocks) {
      if (block.indices.empty()) continue;
      PACELINE_LAUNCH(context_.stream(), context_.blocks(block.indices.size()), vector_threads,
                      (scatter_one_kernel), block.indices.data(), block.values.data(),
                      block.indices.size(), static_cast<float>(scale), sum.data());
    }
    return;
  }
  auto* starts = static_cast<std::uint32_t*>(
      context_.scratch(std::size_t{scatter_blocks_at_once} * (tiles + 1) * sizeof(std::uint32_t)));
  if (fresh && blocks.empty()) fill(0.0f, sum);
  for (std::size_t first = 0; first < blocks.size(); first += scatter_blocks_at_once) {
    SparseBlocks launch{};
    launch.count =
        static_cast<int>(std::min<std::size_t>(scatter_blocks_at_once, blocks.size() - first));
    std::size_t largest = 0;
    for (int p = 0; p < launch.count; ++p) {
      const SparseView& block = blocks[first + static_cast<std::size_t>(p)];
      launch.indices[p] = block.indices.data();
      launch.values[p] = block.values.data();
      launch.sizes[p] = static_cast<std::uint32_t>(block.indices.size());
      largest = std::max(largest, block.indices.size());
    }
    const dim3 grid(context_.blocks(largest + 1), static_cast<unsigned>(launch.count));
    PACELINE_LAUNCH(context_.stream(), grid, vector_threads, (scatter_starts_kernel), launch, tiles,
                    starts);
    PACELINE_LAUNCH(context_.stream(), std::min(tiles, context_.blocks(tiles, 1)), vector_threads,
                    (scatter_add_kernel), launch, static_cast<float>(scale), fresh && first == 0,
                    tiles, starts, sum.data(), n);
  }
}
void Cuda::scatter_add(std::span<const SparseView> blocks, double scale, std::span<float> sum) {
  scatter(blocks, scale, false, sum);
}
void Cuda::scatter_fresh(std::span<const SparseView> blocks, double scale, std::span<float> sum) {
  scatter(blocks, scale, true, sum);
}

std::int64_t Cuda::merge_top_k(SparseView a, SparseView b, SparseOutput out) {
  const std::size_t most = a.indices.size() + b.indices.size();
  if (most == 0 || out.indices.empty()) return 0;
  const std::size_t array = (most * 4 + 255) / 256 * 256;
  auto* memory = static_cast<std::byte*>(context_.scratch(2 * array));
  auto* indices = reinterpret_cast<std::int32_t*>(memory);
  auto* merged = reinterpret_cast<float*>(memory + array);
  auto* size = reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(results_.get()) + count_at);
  PACELINE_LAUNCH(context_.stream(), 1, merge_threads, (merge_kernel), a.indices.data(),
                  a.values.data(), static_cast<std::uint32_t>(a.indices.size()), b.indices.data(),
                  b.values.data(), static_cast<std::uint32_t>(b.indices.size()), indices, merged,
                  size);
  const std::size_t entries = fetch<std::uint32_t>(size);
  const std::size_t kept = std::min(entries, out.indices.size());
  if (kept == entries) {
    copy(out.indices.data(), indices, kept * sizeof(std::int32_t));
    copy(out.values.data(), merged, kept * sizeof(float));
  } else {
    top_k({merged, entries}, {out.indices.first(kept), out.values.first(kept)});
    PACELINE_LAUNCH(context_.stream(), context_.blocks(kept), vector_threads, (take_indices_kernel),
                    indices, out.indices.data(), kept);
  }
  return static_cast<std::int64_t>(kept);
}

// ---- quantize.hpp
// -----------------------------------------------------------------------------------------

void Cuda::two_bit_quantize(double threshold, Floats gradient, std::span<float> residual,
                            std::span<std::uint32_t> codes) {
  if (gradient.empty()) return;
  PACELINE_LAUNCH(context_.stream(), context_.blocks(gradient.size()), vector_threads,
                  (two_bit_quantize_kernel), static_cast<float>(threshold), gradient.data(),
                  residual.data(), gradient.size(), codes.data());
}
void Cuda::two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                              std::span<float> out) {
  if (out.empty()) return;
  PACELINE_LAUNCH(context_.stream(), context_.blocks(out.size()), vector_threads,
                  (two_bit_dequantize_kernel), static_cast<float>(threshold), codes.data(),
                  out.size(), out.data());
}
float Cuda::sign_quantize(Floats gradient, std::span<float> residual,
                          std::span<std::uint32_t> codes) {
  if (gradient.empty()) return 0;
  auto* bytes = static_cast<std::byte*>(results_.get());
  auto* partial = reinterpret_cast<Moments*>(bytes + partial_at);
  auto* total = reinterpret_cast<Moments*>(bytes + total_at);
  auto* scale = reinterpret_cast<float*>(bytes + count_at);
  PACELINE_LAUNCH(context_.stream(), sum_blocks, vector_threads, (accumulate_magnitude_kernel),
                  gradient.data(), residual.data(), gradient.size(), partial);
  PACELINE_LAUNCH(context_.stream(), 1, sum_blocks, (sum_moments_kernel), partial, total);
  PACELINE_LAUNCH(context_.stream(), context_.blocks(gradient.size()), vector_threads,
                  (sign_quantize_kernel), total, residual.data(), gradient.size(), codes.data(),
                  scale);
  return fetch<float>(scale);
}
void Cuda::sign_dequantize(float scale, std::span<const std::uint32_t> codes,
                           std::span<float> out) {
  if (out.empty()) return;
  PACELINE_LAUNCH(context_.stream(), context_.blocks(out.size()), vector_threads,
                  (sign_dequantize_kernel), scale, codes.data(), out.size(), out.data());
}
void Cuda::pack_fp16(Floats in, std::span<std::uint16_t> packed) {
  if (in.empty()) return;
  PACELINE_LAUNCH(context_.stream(), context_.blocks((in.size() + 1) / 2), vector_threads,
                  (pack_fp16_kernel), in.data(), in.size(), packed.data());
}
void Cuda::unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> out) {
  if (out.empty()) return;
  PACELINE_LAUNCH(context_.stream(), context_.blocks(out.size()), vector_threads,
                  (unpack_fp16_kernel), packed.data(), out.size(), out.data());
}

// ---- low_rank.hpp: row-major products through cuBLAS, which counts by columns
// ----------------------------------

void Cuda::low_rank_left(const kernels::MatrixShape& s, Floats m, Floats q, std::span<float> p) {
  row_major_product(context_, false, false, s.rows, s.rank, s.columns, m.data(), q.data(), 0.0f,
                    p.data());
}
void Cuda::low_rank_right(const kernels::MatrixShape& s, Floats m, Floats p, std::span<float> q) {
  row_major_product(context_, true, false, s.columns, s.rank, s.rows, m.data(), p.data(), 0.0f,
                    q.data());
}
void Cuda::low_rank_reconstruct(const kernels::MatrixShape& s, Floats p, Floats q,
                                std::span<float> m) {
  row_major_product(context_, false, true, s.rows, s.columns, s.rank, p.data(), q.data(), 0.0f,
                    m.data());
}
void Cuda::orthonormalize(const kernels::MatrixShape& s, std::span<float> p) {
  if (s.rows < 1 || s.rank < 1) return;
  PACELINE_LAUNCH(context_.stream(), 1, orthonormalize_threads, (orthonormalize_kernel),
                  static_cast<std::size_t>(s.rows), static_cast<std::size_t>(s.rank), p.data());
}

}  // namespace paceline::cuda
