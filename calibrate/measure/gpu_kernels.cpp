// The kernels of schedules on a GPU: what is timed, over which buffers, and the lines through it.
#include "calibrate/measure/gpu_kernels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/least_squares.hpp"
#include "base/statistics.hpp"

namespace paceline {
namespace {

using kernels::CudaBackend;
using kernels::SparseView;

constexpr double kHeldBytes = 21;  // of Buffers, per element: five vectors, the codes, the halves
// n / k of the selections; with the last one also what has none, and overwrites more.
constexpr std::array<std::size_t, 3> kParts{100, 10'000, 1000};
constexpr std::size_t kLongestLegacy = 10'000'000;  // one block of threads takes ages
constexpr std::int64_t kRank = 4;

// The squarest matrix of at most n elements.
kernels::MatrixShape matrix_of(std::size_t n) {
  const auto side = static_cast<std::int64_t>(std::sqrt(static_cast<double>(n)));
  return {std::max(side, kRank), std::max(side, kRank), kRank};
}
std::size_t factor_elements(std::size_t n) {
  return static_cast<std::size_t>(matrix_of(n).rows * kRank);
}

}  // namespace

// One set of a vector's buffers.
struct KernelTable::Buffers {
  Buffers(CudaBackend& gpu, const kernels::Array<float>& noise, std::size_t n, std::size_t most_k)
      : gradient(gpu, n),
        residual(gpu, n),
        third(gpu, n),
        fourth(gpu, n),
        left(gpu, factor_elements(n)),
        right(gpu, factor_elements(n)),
        indices(gpu, most_k),
        more_indices(gpu, most_k),
        merged_indices(gpu, most_k),
        values(gpu, most_k),
        more_values(gpu, most_k),
        merged_values(gpu, most_k),
        codes(gpu, kernels::two_bit_words(n)),
        half(gpu, n),
        elements(n) {
    for (kernels::Array<float>* array : {&gradient, &residual, &third, &fourth, &left, &right})
      for (std::size_t at = 0; at < array->size(); at += noise.size())
        gpu.copy(array->data() + at, noise.data(),
                 std::min(noise.size(), array->size() - at) * sizeof(float));
    gpu.apply(kernels::Scale{0.5}, {residual}, {residual});
  }
  // Indices that two workers would send: selected from different vectors.
  void select(CudaBackend& gpu, std::size_t count) {
    k = count;
    gpu.top_k(gradient, out());
    gpu.top_k(third, {more_indices.span().first(k), more_values.span().first(k)});
  }
  [[nodiscard]] kernels::SparseOutput out() const {
    return {indices.span().first(k), values.span().first(k)};
  }
  [[nodiscard]] SparseView a() const { return {indices.span().first(k), values.span().first(k)}; }
  [[nodiscard]] SparseView b() const {
    return {more_indices.span().first(k), more_values.span().first(k)};
  }
  [[nodiscard]] std::array<SparseView, 4> blocks() const { return {a(), b(), a(), b()}; }
  [[nodiscard]] kernels::SparseOutput merged() const {
    return {merged_indices.span().first(k), merged_values.span().first(k)};
  }
  [[nodiscard]] kernels::MatrixShape matrix() const { return matrix_of(elements); }
  [[nodiscard]] std::span<float> in_matrix(const kernels::Array<float>& array) const {
    return array.span().first(static_cast<std::size_t>(matrix().rows * matrix().columns));
  }

  kernels::Array<float> gradient, residual, third, fourth, left, right;
  kernels::Array<std::int32_t> indices, more_indices, merged_indices;
  kernels::Array<float> values, more_values, merged_values;
  kernels::Array<std::uint32_t> codes;
  kernels::Array<std::uint16_t> half;
  std::size_t elements, k = 1;
  double limit = 1;  // of a norm: a lower one each time, so that it bites
};

struct KernelTable::Kernel {
  std::string_view name;
  int pairs;   ///< a point's pairs are so many k; 0: no selection, timed once per size
  bool eager;  ///< returns a value to the host, so cannot be captured
  std::function<void(CudaBackend& gpu, Buffers& b)> work;
};

std::vector<KernelTable::Kernel> KernelTable::structured() {
  using G = CudaBackend;
  using B = Buffers;
  return {
      // These read the selections, so they come before what selects again.
      {"scatter_add", 4, false, [](G& g, B& b) { g.scatter_add(b.blocks(), .25, b.fourth); }},
      {"scatter_fresh", 4, false, [](G& g, B& b) { g.scatter_fresh(b.blocks(), .25, b.fourth); }},
      {"merge_top_k", 1, true, [](G& g, B& b) { g.merge_top_k(b.a(), b.b(), b.merged()); }},
      {"top_k", 1, false, [](G& g, B& b) { g.top_k(b.gradient, b.out()); }},
      {"error_feedback_top_k", 1, false,
       [](G& g, B& b) { g.error_feedback_top_k(.1, b.gradient, b.residual, b.out()); }},
      {"momentum_top_k", 1, false,
       [](G& g, B& b) { g.momentum_top_k(.9, b.gradient, b.third, b.residual, b.out()); }},
      {"sort", 1, false,
       [](G& g, B& b) {
         g.axpy(.1, b.gradient, b.residual);
         g.sort_top_k(b.residual, b.out());
         g.clear_at(b.out().indices, b.residual);
       }},
      {"dgc_sample", 1, true,
       [](G& g, B& b) {
         g.axpy(.1, b.gradient, b.residual);
         const auto wanted = static_cast<std::int64_t>(b.k);
         const float threshold = g.sampled_threshold(b.residual, wanted, 100, 1);
         const std::int64_t found = g.select_reaching(b.residual, threshold, b.out());
         g.clear_at(b.out().indices.first(static_cast<std::size_t>(found)), b.residual);
       }},
      {"gaussian_k", 1, true,
       [](G& g, B& b) {
         g.axpy(.1, b.gradient, b.residual);
         const float threshold = g.gaussian_threshold(b.residual, static_cast<std::int64_t>(b.k));
         const std::int64_t found = g.select_reaching(b.residual, threshold, b.out());
         g.clear_at(b.out().indices.first(static_cast<std::size_t>(found)), b.residual);
       }},
      {"torch_legacy", 0, true, [](G& g, B& b) { g.legacy_top_k(b.gradient, b.out()); }},
      {"clip_norm", 0, true, [](G& g, B& b) { g.clip_norm(b.limit *= .99, b.residual); }},
      {"two_bit_quantize", 0, false,
       [](G& g, B& b) { g.two_bit_quantize(.5, b.gradient, b.residual, b.codes); }},
      {"two_bit_dequantize", 0, false,
       [](G& g, B& b) { g.two_bit_dequantize(.5, b.codes, b.third); }},
      {"sign_quantize", 0, true,
       [](G& g, B& b) {
         g.sign_quantize(b.gradient, b.residual,
                         b.codes.span().first(kernels::sign_words(b.elements)));
       }},
      {"sign_dequantize", 0, false,
       [](G& g, B& b) {
         g.sign_dequantize(.5, b.codes.span().first(kernels::sign_words(b.elements)), b.third);
       }},
      {"pack_fp16", 0, false, [](G& g, B& b) { g.pack_fp16(b.gradient, b.half); }},
      {"unpack_fp16", 0, false, [](G& g, B& b) { g.unpack_fp16(b.half, b.third); }},
      {"low_rank_left", 0, false,
       [](G& g, B& b) { g.low_rank_left(b.matrix(), b.in_matrix(b.gradient), b.right, b.left); }},
      {"low_rank_right", 0, false,
       [](G& g, B& b) { g.low_rank_right(b.matrix(), b.in_matrix(b.gradient), b.left, b.right); }},
      {"low_rank_reconstruct", 0, false,
       [](G& g, B& b) {
         g.low_rank_reconstruct(b.matrix(), b.left, b.right, b.in_matrix(b.fourth));
       }},
      {"orthonormalize", 0, false, [](G& g, B& b) { g.orthonormalize(b.matrix(), b.left); }},
  };
}

// The pointwise ones come last, for they leave any numbers behind; one that is measured by a kernel
// of its own (the 2-bit quantiser packs what it sends) only by that.
const std::vector<KernelTable::Kernel>& KernelTable::all() {
  static const std::vector<Kernel> table = [] {
    std::vector<Kernel> rows = structured();
    for (std::size_t i = 0; i < kernels::kPointwiseCount; ++i) {
      const std::string_view name = kernels::kPointwiseInfo[i].name;
      if (std::any_of(rows.begin(), rows.end(),
                      [&](const Kernel& kernel) { return kernel.name == name; }))
        continue;
      rows.push_back(
          {name, 0, false, [i](CudaBackend& gpu, Buffers& b) {
             const std::span<float> vectors[] = {b.third, b.fourth, b.residual, b.gradient};
             kernels::reference::apply_example(gpu, i, vectors);
           }});
    }
    return rows;
  }();
  return table;
}

KernelTable::KernelTable(CudaBackend& gpu, const GpuOperationsOptions& options, Json& rows)
    : gpu_(gpu), options_(options), rows_(rows), noise_(gpu, 1 << 20) {
  if (rows_.is_null()) rows_ = Json::array();
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> host(noise_.size());
  std::generate(host.begin(), host.end(), [&] { return normal(random); });
  gpu.copy_from_host(noise_.data(), host.data(), host.size() * sizeof(float));
  gpu.synchronize();
}

Json& KernelTable::row_of(std::string_view kernel) {
  for (Json& row : rows_)
    if (row.at("kernel") == kernel) return row;
  return rows_.emplace_back(Json{{"kernel", kernel}, {"points", Json::array()}});
}

bool KernelTable::known(std::string_view kernel, std::size_t n, std::size_t pairs) {
  const Json& points = row_of(kernel).at("points");
  return std::any_of(points.begin(), points.end(), [&](const Json& point) {
    return point.at("elements") == n && point.at("pairs") == pairs;
  });
}

std::vector<KernelPoint> KernelTable::of(std::string_view kernel) const {
  std::vector<KernelPoint> result;
  for (const Json& row : rows_)
    if (row.at("kernel") == kernel)
      for (const Json& point : row.at("points"))
        result.push_back({point.at("elements"), point.at("pairs"), point.at("seconds")});
  return result;
}

void KernelTable::measure(const Kernel& kernel, std::vector<std::unique_ptr<Buffers>>& sets) {
  const auto at = [&](int b) -> Buffers& { return *sets[static_cast<std::size_t>(b)]; };
  const int count = static_cast<int>(sets.size());
  std::vector<double> seconds;
  if (kernel.eager) {
    for (int i = 0; i < 9; ++i) {
      const double taken = gpu_.measure([&] { kernel.work(gpu_, at(i % count)); });
      if (i >= 2) seconds.push_back(taken);
    }
  } else {
    const double limit = options_.sample_seconds;
    seconds = gpu_.time_replays({.buffers = count,
                                 .sample_seconds = std::min(1e-3, limit / 20),
                                 .samples = 15,
                                 .warm_up_seconds = std::min(0.15, limit / 4),
                                 .limit_seconds = limit},
                                [&](int b) { kernel.work(gpu_, at(b)); })
                  .seconds;
  }
  const Buffers& first = *sets.front();
  row_of(kernel.name)["points"].push_back(
      {{"elements", first.elements},
       {"pairs", first.k * static_cast<std::size_t>(kernel.pairs)},
       {"n", seconds.size()},
       {"seconds", std::max(median(seconds), 1e-12)},
       {"p25", quantile(seconds, .25)},
       {"p75", quantile(seconds, .75)}});
  options_.save();
  if (options_.stop()) throw Interrupted{};
}

void KernelTable::measure(std::size_t n) {
  if (options_.stop()) throw Interrupted{};
  std::vector<std::unique_ptr<Buffers>> sets;
  const auto k_of = [n](std::size_t parts) { return std::max<std::size_t>(1, n / parts); };
  for (const std::size_t parts : kParts) {
    bool selected = false;
    for (const Kernel& kernel : all()) {
      const std::string_view name = kernel.name;
      const bool dense = kernel.pairs == 0;
      if ((dense && parts != kParts.back()) || (name == "torch_legacy" && n > kLongestLegacy) ||
          known(name, n, k_of(parts) * static_cast<std::size_t>(kernel.pairs)))
        continue;
      if (sets.empty()) {
        const double size = static_cast<double>(n);
        const int count = rotation(gpu_, 12 * size, kHeldBytes * size);
        for (int i = 0; i < count; ++i)
          sets.push_back(std::make_unique<Buffers>(gpu_, noise_, n, k_of(100)));
      }
      if (!std::exchange(selected, true))
        for (auto& set : sets) set->select(gpu_, k_of(parts));
      measure(kernel, sets);
    }
  }
}

std::map<std::string, KernelCost, std::less<>> KernelTable::fit() {
  std::map<std::string, KernelCost, std::less<>> costs;
  for (const kernels::OperationInfo& info : kernels::kOperations) {
    const std::vector<KernelPoint> points = of(info.name);
    if (points.empty()) continue;
    const KernelCost cost = fit_kernel(points, info.bytes_per_element > 0, info.bytes_per_pair > 0);
    costs.emplace(info.name, cost);
    Json& row = row_of(info.name);
    double worst = 0;
    for (Json& point : row["points"]) {
      const double ratio =
          cost.seconds(point.at("elements"), point.at("pairs")) / point.at("seconds").get<double>();
      point["fit_over_measured"] = ratio;
      worst = std::max(worst, std::abs(ratio - 1));
    }
    row["mean_error"] = cost.residual;
    row["worst_error"] = worst;
  }
  return costs;
}

std::size_t largest_vector(const CudaBackend& gpu) {
  return static_cast<std::size_t>(static_cast<double>(gpu.device().memory_bytes) /
                                  (2 * kHeldBytes));
}

KernelCost fit_kernel(std::span<const KernelPoint> points, bool elements, bool pairs) {
  if (points.empty()) throw std::invalid_argument("a line through no points");
  DesignMatrix all(3);
  std::array<double, 3> norms{};
  for (const KernelPoint& p : points)
    all.add({1 / p.seconds, p.elements / p.seconds, p.pairs / p.seconds});
  for (std::size_t c = 0; c < 3; ++c) {
    const std::vector<double> column = all.column(c);
    norms[c] = std::max(
        std::sqrt(std::inner_product(column.begin(), column.end(), column.begin(), 0.0)), 1e-300);
    all.scale(c, 1 / norms[c]);
  }
  const std::vector<double> ones(points.size(), 1.0);
  // The best of all choices of columns whose solution has nothing negative; of equal ones (there is
  // one size only) the first, in proportion to the size.
  KernelCost best;
  double least = INFINITY;
  for (const unsigned columns : {2U, 4U, 6U, 1U, 3U, 5U, 7U}) {
    if (((columns & 2) != 0 && !elements) || ((columns & 4) != 0 && !pairs)) continue;
    std::vector<std::size_t> chosen;
    for (std::size_t c = 0; c < 3; ++c)
      if ((columns >> c & 1U) != 0) chosen.push_back(c);
    if (chosen.size() > points.size()) continue;
    DesignMatrix part(chosen.size());
    std::vector<double> row(chosen.size());
    for (std::size_t i = 0; i < all.rows(); ++i) {
      for (std::size_t c = 0; c < chosen.size(); ++c) row[c] = all(i, chosen[c]);
      part.add(row);
    }
    const std::vector<double> solution = least_squares(part, ones);
    double error = 0;
    for (std::size_t i = 0; i < part.rows(); ++i) {
      double off = -1;
      for (std::size_t c = 0; c < chosen.size(); ++c) off += part(i, c) * solution[c];
      error += off * off;
    }
    if (!(std::ranges::min(solution) >= 0 && error < least - 1e-12)) continue;
    least = error;
    std::array<double, 3> found{};
    for (std::size_t c = 0; c < chosen.size(); ++c)
      found[chosen[c]] = solution[c] / norms[chosen[c]];
    best = {found[0], found[1], found[2], 0};
  }
  for (const KernelPoint& p : points)
    best.residual += std::abs(best.seconds(p.elements, p.pairs) / p.seconds - 1) /
                     static_cast<double>(points.size());
  return best;
}

}  // namespace paceline
