// kernels/sparsify.hpp on the GPU, and the other selections that it is measured against.

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/legacy_select.cuh"
#include "kernels/cuda/select_launch.cuh"
#include "kernels/cuda/sparse.cuh"

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
  return threshold > 0 || threshold != threshold
             ? magnitude_key(std::bit_cast<std::uint32_t>(threshold))
             : 0u;
}

void check_counts(std::size_t n, std::size_t k) {
  if (k > n) {
    throw InputError("top-k: cannot select " + std::to_string(k) + " of " + std::to_string(n) +
                     " elements");
  }
}

/// Blocks of each kernel for one source that are resident at once: the cooperative grid must be, as
/// a whole.
template <class Source>
SelectGrid grid_of(int multiprocessors) {
  return {resident_blocks(&collect_kernel<Source, true>, collect_threads, multiprocessors),
          resident_blocks(&resolve_kernel<Source>, resolve_threads, multiprocessors)};
}

}  // namespace

SelectGrids select_grids(int multiprocessors) {
  return {grid_of<PlainSource>(multiprocessors), grid_of<ErrorFeedbackSource>(multiprocessors),
          grid_of<MomentumSource>(multiprocessors)};
}

template <class Source>
void Cuda::select(const SelectGrid& grid, const Source& source, bool aligned, std::size_t n,
                  SparseOutput out, bool has_floor, std::uint32_t floor, std::uint32_t* written) {
  const std::size_t k = out.indices.size();
  check_counts(n, k);
  if (n >= key_end)
    throw InputError("top-k: a vector of " + std::to_string(n) + " elements; at most 2^31 - 1");
  const auto size = static_cast<std::uint32_t>(n);
  const auto wanted = static_cast<std::uint32_t>(k);
  const SelectLayout layout = select_layout(size, wanted, grid);
  void* memory = context_.select_scratch(layout.total, layout.zeroed);
  select_top_k(context_.stream(), grid, source, aligned, size, wanted,
               select_memory(layout, memory), out.indices.data(), out.values.data(), has_floor,
               floor, written);
}

void Cuda::top_k(Floats x, SparseOutput out) {
  return named("top_k", {{"n", x.size()}, {"k", out.indices.size()}}, [&] {
    if (out.indices.empty()) return;
    select(grids_.plain, PlainSource{x.data()}, aligned16(x.data()), x.size(), out, false, 0,
           nullptr);
  });
}
void Cuda::error_feedback_top_k(double scale, Floats gradient, std::span<float> residual,
                                SparseOutput out) {
  return named("error_feedback_top_k", {{"n", residual.size()}, {"k", out.indices.size()}}, [&] {
    if (out.indices.empty()) return axpy(scale, gradient, residual);
    select(grids_.error_feedback,
           ErrorFeedbackSource{gradient.data(), residual.data(), static_cast<float>(scale)},
           aligned16(gradient.data()) && aligned16(residual.data()), residual.size(), out, false, 0,
           nullptr);
  });
}
void Cuda::momentum_top_k(double momentum, Floats gradient, std::span<float> velocity,
                          std::span<float> accumulated, SparseOutput out) {
  return named("momentum_top_k", {{"n", accumulated.size()}, {"k", out.indices.size()}}, [&] {
    if (out.indices.empty()) throw InputError("momentum top-k: k must be at least 1");
    select(
        grids_.momentum,
        MomentumSource{gradient.data(), velocity.data(), accumulated.data(),
                       static_cast<float>(momentum)},
        aligned16(gradient.data()) && aligned16(velocity.data()) && aligned16(accumulated.data()),
        accumulated.size(), out, false, 0, nullptr);
  });
}
void Cuda::legacy_top_k(Floats x, SparseOutput out) {
  return named("legacy_top_k", {{"n", x.size()}, {"k", out.indices.size()}}, [&] {
    const auto k = static_cast<std::uint32_t>(out.indices.size());
    check_counts(x.size(), k);
    if (k == 0) return;
    PACELINE_LAUNCH(context_.stream(), 1, legacy_threads, (legacy_top_k_kernel), x.data(),
                    static_cast<std::uint32_t>(x.size()), k, out.indices.data(), out.values.data());
  });
}
void Cuda::sort_top_k(Floats x, SparseOutput out) {
  return named("sort_top_k", {{"n", x.size()}, {"k", out.indices.size()}}, [&] {
    const std::size_t n = x.size();
    const std::size_t k = out.indices.size();
    check_counts(n, k);
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
    PACELINE_LAUNCH(context_.stream(), blocks, vector_threads, (sort_input_kernel), x.data(), n,
                    keys, indices);
    sort_by_magnitude(context_.stream(), memory + 4 * array, sort_bytes, keys, sorted_keys, indices,
                      sorted, n);
    PACELINE_LAUNCH(context_.stream(), context_.blocks(k), vector_threads, (sort_output_kernel),
                    x.data(), sorted, k, out.indices.data(), out.values.data());
  });
}

void Cuda::clear_at(std::span<const std::int32_t> indices, std::span<float> x) {
  return named("clear_at", {{"n", x.size()}, {"k", indices.size()}}, [&] {
    if (indices.empty()) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(indices.size()), vector_threads,
                    (clear_at_kernel), indices.data(), indices.size(), x.data());
  });
}

float Cuda::sampled_threshold(Floats x, std::int64_t k, std::int64_t stride, std::uint64_t seed) {
  return named(
      "sampled_threshold", {{"n", x.size()}, {"k", static_cast<std::size_t>(k)}}, [&]() -> float {
        if (x.empty() || k < 1 || stride < 1) {
          throw InputError("sampled threshold: needs elements, k and stride of at least 1, found " +
                           std::to_string(x.size()) + ", " + std::to_string(k) + " and " +
                           std::to_string(stride));
        }
        const std::size_t step = std::min(static_cast<std::size_t>(stride), x.size());
        const std::size_t first = seed % step;
        const std::size_t count = (x.size() - first + step - 1) / step;
        const auto wanted = std::llround(static_cast<double>(k) / static_cast<double>(step));
        const std::size_t rank =
            std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1, count);
        const std::size_t array = (count * 4 + 255) / 256 * 256;
        auto* memory = static_cast<std::byte*>(context_.scratch(3 * array));
        auto* sample = reinterpret_cast<float*>(memory);
        const SparseOutput largest{{reinterpret_cast<std::int32_t*>(memory + array), rank},
                                   {reinterpret_cast<float*>(memory + 2 * array), rank}};
        PACELINE_LAUNCH(context_.stream(), context_.blocks(count), vector_threads, (strided_kernel),
                        x.data(), first, step, count, sample);
        top_k({sample, count}, largest);
        std::uint32_t* result = &results()->count;
        PACELINE_CHECK(cudaMemsetAsync(result, 0xff, sizeof *result, context_.stream()));
        PACELINE_LAUNCH(context_.stream(), context_.blocks(rank), vector_threads,
                        (smallest_key_kernel), largest.values.data(), rank, result);
        return std::bit_cast<float>(fetch(result));
      });
}

float Cuda::gaussian_threshold(Floats x, std::int64_t k) {
  return named(
      "gaussian_threshold", {{"n", x.size()}, {"k", static_cast<std::size_t>(k)}}, [&]() -> float {
        const auto n = static_cast<std::int64_t>(x.size());
        if (k < 1 || k > n) {
          throw InputError("Gaussian threshold: cannot select " + std::to_string(k) + " of " +
                           std::to_string(n) + " elements");
        }
        const unsigned blocks = sum_blocks_of(x.size());
        PACELINE_LAUNCH(context_.stream(), blocks, vector_threads, (moments_kernel), x.data(),
                        x.size(), results()->partial);
        PACELINE_LAUNCH(context_.stream(), 1, sum_blocks, (sum_moments_kernel), results()->partial,
                        blocks, &results()->total);
        const auto moments = fetch(&results()->total);
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
      });
}

std::int64_t Cuda::count_reaching(Floats x, float threshold) {
  return named("count_reaching", {{"n", x.size()}}, [&]() -> std::int64_t {
    unsigned long long* count = &results()->many;
    PACELINE_CHECK(cudaMemsetAsync(count, 0, sizeof *count, context_.stream()));
    PACELINE_LAUNCH(context_.stream(), context_.blocks(x.size()), vector_threads, (count_kernel),
                    x.data(), x.size(), key_of_threshold(threshold), count);
    return static_cast<std::int64_t>(fetch(count));
  });
}

std::int64_t Cuda::select_reaching(Floats x, float threshold, SparseOutput out) {
  return named("select_reaching", {{"n", x.size()}, {"k", out.indices.size()}},
               [&]() -> std::int64_t {
                 const std::size_t room = std::min(out.indices.size(), x.size());
                 if (room == 0) return 0;
                 std::uint32_t* written = &results()->count;
                 select(grids_.plain, PlainSource{x.data()}, aligned16(x.data()), x.size(),
                        {out.indices.first(room), out.values.first(room)}, true,
                        key_of_threshold(threshold), written);
                 return fetch(written);
               });
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
  return named("scatter_add", {{"n", sum.size()}, {"blocks", blocks.size()}},
               [&] { scatter(blocks, scale, false, sum); });
}
void Cuda::scatter_fresh(std::span<const SparseView> blocks, double scale, std::span<float> sum) {
  return named("scatter_fresh", {{"n", sum.size()}, {"blocks", blocks.size()}},
               [&] { scatter(blocks, scale, true, sum); });
}

std::int64_t Cuda::merge_top_k(SparseView a, SparseView b, SparseOutput out) {
  return named(
      "merge_top_k", {{"a", a.indices.size()}, {"b", b.indices.size()}, {"k", out.indices.size()}},
      [&]() -> std::int64_t {
        const std::size_t most = a.indices.size() + b.indices.size();
        if (most == 0 || out.indices.empty()) return 0;
        const std::size_t array = (most * 4 + 255) / 256 * 256;
        const unsigned blocks = merge_blocks_of(std::max(a.indices.size(), b.indices.size()));
        auto* memory = static_cast<std::byte*>(
            context_.scratch(2 * array + 2 * blocks * sizeof(std::uint32_t)));
        auto* indices = reinterpret_cast<std::int32_t*>(memory);
        auto* merged = reinterpret_cast<float*>(memory + array);
        auto* pairs = reinterpret_cast<std::uint32_t*>(memory + 2 * array);
        std::uint32_t* size = &results()->count;
        const auto vector = [](const SparseView& view) {
          return SparseVector{view.indices.data(), view.values.data(),
                              static_cast<std::uint32_t>(view.indices.size())};
        };
        PACELINE_LAUNCH(context_.stream(), blocks, merge_threads, (merge_count_kernel), vector(a),
                        vector(b), pairs);
        PACELINE_LAUNCH(context_.stream(), blocks, merge_threads, (merge_kernel), vector(a),
                        vector(b), pairs, indices, merged, size);
        const std::size_t entries = fetch(size);
        const std::size_t kept = std::min(entries, out.indices.size());
        if (kept == entries) {
          copy(out.indices.data(), indices, kept * sizeof(std::int32_t));
          copy(out.values.data(), merged, kept * sizeof(float));
        } else {
          top_k({merged, entries}, {out.indices.first(kept), out.values.first(kept)});
          PACELINE_LAUNCH(context_.stream(), context_.blocks(kept), vector_threads,
                          (take_indices_kernel), indices, out.indices.data(), kept);
        }
        return static_cast<std::int64_t>(kept);
      });
}

}  // namespace paceline::cuda
