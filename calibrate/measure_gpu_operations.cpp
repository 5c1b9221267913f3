#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <random>
#include <stdexcept>

#include "calibrate/measure_gpu.hpp"
#include "calibrate/statistics.hpp"
#include "kernels/blend.hpp"

namespace paceline {
namespace {

using kernels::CopyDirection;
using kernels::CudaBackend;
using Stop = std::function<bool()>;
using Report = std::function<void(double)>;

constexpr double kFloorBytes = 16;  // per element of error-feedback top-k: OperationCosts::top_k

struct Interrupted {};

// One set of a vector's buffers.
struct Buffers {
  Buffers(CudaBackend& gpu, const kernels::Array<float>& noise, std::size_t n, std::size_t k)
      : gradient(gpu, n),
        residual(gpu, n),
        third(gpu, n),
        indices(gpu, k),
        values(gpu, k),
        codes(gpu, kernels::two_bit_words(n)),
        half(gpu, n) {
    for (kernels::Array<float>* array : {&gradient, &residual, &third})
      for (std::size_t at = 0; at < n; at += noise.size())
        gpu.copy(array->data() + at, noise.data(), std::min(noise.size(), n - at) * sizeof(float));
    gpu.scale(0.5, residual);
  }
  [[nodiscard]] kernels::SparseOutput out() const { return {indices, values}; }

  kernels::Array<float> gradient, residual, third;
  kernels::Array<std::int32_t> indices;
  kernels::Array<float> values;
  kernels::Array<std::uint32_t> codes;
  kernels::Array<std::uint16_t> half;
};

struct Point {
  std::string kernel;
  std::size_t n = 0, k = 0;
  double seconds = 0, p25 = 0, p75 = 0;
};

class KernelTable {
 public:
  KernelTable(CudaBackend& gpu, const Stop& stop) : gpu_(gpu), stop_(stop), noise_(gpu, 1 << 20) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> host(noise_.size());
    std::generate(host.begin(), host.end(), [&] { return normal(random); });
    gpu.copy_from_host(noise_.data(), host.data(), host.size() * sizeof(float));
    gpu.synchronize();
  }

  // The selections of k of n; with `dense` also what has no density.
  void measure(std::size_t n, std::size_t k, bool dense) {
    const auto count = static_cast<std::size_t>(rotation(gpu_, 12.0 * static_cast<double>(n)));
    std::vector<std::unique_ptr<Buffers>> sets;
    for (std::size_t i = 0; i < count; ++i)
      sets.push_back(std::make_unique<Buffers>(gpu_, noise_, n, k));
    const auto at = [&](int b) -> Buffers& { return *sets[static_cast<std::size_t>(b)]; };
    const auto wanted = static_cast<std::int64_t>(k);
    const auto replay = [&](const char* name, std::size_t selected, auto&& work) {
      add(name, n, selected,
          gpu_.time_replays({.buffers = static_cast<int>(count),
                             .sample_seconds = 1e-3,
                             .samples = 15,
                             .warm_up_seconds = 0.15,
                             .limit_seconds = 2},
                            [&](int b) { work(at(b)); })
              .seconds);
    };
    // What returns a value to the host cannot be captured.
    const auto eager = [&](const char* name, std::size_t selected, auto&& work) {
      std::vector<double> seconds;
      for (int i = 0; i < 9; ++i) {
        const double taken = gpu_.measure([&] { work(at(i % static_cast<int>(count))); });
        if (i >= 2) seconds.push_back(taken);
      }
      add(name, n, selected, seconds);
    };
    replay("error_feedback_top_k", k,
           [&](Buffers& b) { gpu_.error_feedback_top_k(.1, b.gradient, b.residual, b.out()); });
    replay("scatter_add of 4", k, [&](Buffers& b) {
      const kernels::SparseView view{b.indices, b.values};
      const std::array blocks{view, view, view, view};
      gpu_.scatter_add(blocks, .25, b.third);
    });
    replay("scatter_fresh of 4", k, [&](Buffers& b) {
      const kernels::SparseView view{b.indices, b.values};
      const std::array blocks{view, view, view, view};
      gpu_.scatter_fresh(blocks, .25, b.third);
    });
    eager("dgc_sample", k, [&](Buffers& b) {
      gpu_.axpy(.1, b.gradient, b.residual);
      const float threshold = gpu_.sampled_threshold(b.residual, wanted, 100, 1);
      gpu_.select_reaching(b.residual, threshold, b.out());
      gpu_.clear_at(b.indices, b.residual);
    });
    eager("gaussian_k", k, [&](Buffers& b) {
      gpu_.axpy(.1, b.gradient, b.residual);
      const float threshold = gpu_.gaussian_threshold(b.residual, wanted);
      gpu_.select_reaching(b.residual, threshold, b.out());
      gpu_.clear_at(b.indices, b.residual);
    });
    if (!dense) return;
    replay("sort", k, [&](Buffers& b) { gpu_.sort_top_k(b.gradient, b.out()); });
    if (n <= 10'000'000)
      eager("torch_legacy", k, [&](Buffers& b) { gpu_.legacy_top_k(b.gradient, b.out()); });
    replay("sgd_momentum", 0, [&](Buffers& b) {
      gpu_.sgd_step({.learning_rate = 1e-6, .momentum = .9}, b.gradient, b.third, b.residual);
    });
    replay("axpy", 0, [&](Buffers& b) { gpu_.axpy(1e-6, b.gradient, b.residual); });
    replay("add_progress", 0,
           [&](Buffers& b) { gpu_.add_progress(b.gradient, b.third, b.residual); });
    replay("delay_compensate", 0, [&](Buffers& b) {
      gpu_.delay_compensate(.04, b.gradient, b.third, b.residual, b.third);
    });
    replay("two_bit_quantize", 0,
           [&](Buffers& b) { gpu_.two_bit_quantize(.5, b.gradient, b.residual, b.codes); });
    replay("two_bit_dequantize", 0,
           [&](Buffers& b) { gpu_.two_bit_dequantize(.5, b.codes, b.third); });
    eager("sign_quantize", 0,
          [&](Buffers& b) { gpu_.sign_quantize(b.gradient, b.residual, b.codes); });
    replay("pack_fp16", 0, [&](Buffers& b) { gpu_.pack_fp16(b.gradient, b.half); });
    replay("unpack_fp16", 0, [&](Buffers& b) { gpu_.unpack_fp16(b.half, b.third); });
  }

  [[nodiscard]] std::vector<Point> of(const std::string& kernel, double density = 0) const {
    std::vector<Point> result;
    for (const Point& point : points_)
      if (point.kernel == kernel &&
          (density == 0 || std::abs(double(point.k) / double(point.n) / density - 1) < 0.01))
        result.push_back(point);
    return result;
  }

  // Every kernel and density: its points, the line through them, and how far each is from it.
  [[nodiscard]] Json record() const {
    Json rows = Json::array();
    std::vector<std::pair<std::string, double>> done;
    for (const Point& first : points_) {
      const double density =
          first.k == 0 ? 0
                       : std::pow(10, std::round(std::log10(double(first.k) / double(first.n))));
      if (std::find(done.begin(), done.end(), std::pair(first.kernel, density)) != done.end())
        continue;
      done.emplace_back(first.kernel, density);
      const std::vector<Point> points = of(first.kernel, density);
      const LineFit fit = line_of(points);
      Json row{{"kernel", first.kernel}};
      if (density > 0) row["density"] = density;
      row["fit"] = {{"a_s", fit.a},
                    {"b_s_per_element", fit.b},
                    {"mean_error", fit.mean_error},
                    {"worst_error", fit.worst_error}};
      for (const Point& p : points)
        row["points"].push_back({{"elements", p.n},
                                 {"seconds", p.seconds},
                                 {"p25", p.p25},
                                 {"p75", p.p75},
                                 {"fit_over_measured", (fit.a + fit.b * double(p.n)) / p.seconds}});
      rows.push_back(std::move(row));
    }
    return rows;
  }

  static LineFit line_of(const std::vector<Point>& points) {
    std::vector<double> n, t;
    for (const Point& point : points) n.push_back(double(point.n)), t.push_back(point.seconds);
    return fit_line(n, t);
  }

 private:
  void add(const char* name, std::size_t n, std::size_t k, const std::vector<double>& seconds) {
    if (stop_()) throw Interrupted{};
    const Quartiles q = quartiles(seconds);
    points_.push_back({name, n, k, q.median, q.p25, q.p75});
  }

  CudaBackend& gpu_;
  const Stop& stop_;
  kernels::Array<float> noise_;
  std::vector<Point> points_;
};

CopyCost copy_cost(CudaBackend& gpu, CopyDirection direction, bool pinned, const Stop& stop,
                   Json& record) {
  std::vector<double> bytes, seconds;
  Json points = Json::array();
  for (std::size_t size = 4096; size <= std::size_t{256} << 20; size *= 4) {
    if (stop()) throw Interrupted{};
    const double t =
        median(gpu.time_copies(direction, pinned, size, size > (std::size_t{1} << 24) ? 7 : 25));
    bytes.push_back(double(size));
    seconds.push_back(t);
    points.push_back({{"bytes", size}, {"seconds", t}});
  }
  const LineFit fit = fit_line(bytes, seconds);
  const char* way = direction == CopyDirection::to_device ? "host_to_device"
                    : direction == CopyDirection::to_host ? "device_to_host"
                                                          : "both_ways_at_once";
  record.push_back({{"direction", way},
                    {"memory", pinned ? "pinned" : "pageable"},
                    {"latency_s", fit.a},
                    {"bytes_per_second", 1 / fit.b},
                    {"mean_error", fit.mean_error},
                    {"worst_error", fit.worst_error},
                    {"points", std::move(points)}});
  return {fit.a, 1 / fit.b};
}

// Reads 8 bytes and writes 4 per element of two vectors in the host's memory, on one core.
double host_bandwidth() {
  constexpr std::size_t n = 1 << 24;
  const std::vector<float> x(n, 1.5F);
  std::vector<float> y(n, 0.5F);
  std::vector<double> seconds;
  for (int i = 0; i < 7; ++i) {
    const auto start = std::chrono::steady_clock::now();
    kernels::reference::axpy(1e-6, x, y);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 12.0 * double(n) / median(seconds);
}

MeasuredOperations measure_all(CudaBackend& gpu, std::size_t most_elements, const Stop& stop,
                               const Report& report) {
  MeasuredOperations result;
  OperationModel& model = result.operations;
  const kernels::CudaCeilings ceilings = gpu.measure_ceilings();
  result.ceilings = {ceilings.sgemm_flops, ceilings.copy_bandwidth, ceilings.l2_bandwidth};
  result.record["ceilings"] = {{"sgemm_flops", ceilings.sgemm_flops},
                               {"copy_bytes_per_second", ceilings.copy_bandwidth},
                               {"read_bytes_per_second", ceilings.read_bandwidth},
                               {"l2_read_bytes_per_second", ceilings.l2_bandwidth},
                               {"launch_in_graph_s", ceilings.graph_launch_seconds},
                               {"launch_eager_s", ceilings.eager_launch_seconds}};
  report(.1);
  model.launch_s = ceilings.eager_launch_seconds;
  model.memory_bandwidth = ceilings.copy_bandwidth;
  model.host_bandwidth = host_bandwidth();
  Json& copies = result.record["copies"] = Json::array();
  model.host_to_device_pinned = copy_cost(gpu, CopyDirection::to_device, true, stop, copies);
  model.host_to_device_pageable = copy_cost(gpu, CopyDirection::to_device, false, stop, copies);
  model.device_to_host_pinned = copy_cost(gpu, CopyDirection::to_host, true, stop, copies);
  model.device_to_host_pageable = copy_cost(gpu, CopyDirection::to_host, false, stop, copies);
  copy_cost(gpu, CopyDirection::both, true, stop, copies);
  report(.3);

  KernelTable table(gpu, stop);
  std::vector<std::size_t> sizes;
  for (const std::size_t n : {10'000U, 100'000U, 1'000'000U, 10'000'000U, 100'000'000U})
    if (n <= most_elements) sizes.push_back(n);
  constexpr std::array<std::size_t, 3> kParts{1000, 100, 10'000};  // the first: dense kernels too
  double done = 0;
  for (const std::size_t n : sizes)
    for (const std::size_t parts : kParts) {
      table.measure(n, std::max<std::size_t>(1, n / parts), parts == kParts[0]);
      report(.3 + .7 * ++done / double(sizes.size() * kParts.size()));
    }
  result.record["kernels"] = table.record();
  model.top_k = TopKModel::radix_select;
  // The slope of a line: launches are counted apart. Over 1 is possible: the fused selection moves
  // less than the 16 bytes per element that the model books.
  const LineFit select = KernelTable::line_of(table.of("error_feedback_top_k", 1e-3));
  model.select_efficiency =
      std::clamp(kFloorBytes / (*model.memory_bandwidth * select.b), 1e-6, 2.0);
  double log_sum = 0, count = 0;
  for (const Point& point : table.of("torch_legacy")) {
    if (point.n < 1'000'000 && sizes.back() >= 1'000'000) continue;
    log_sum += std::log(point.seconds / (double(point.n) * std::log2(double(point.n))));
    ++count;
  }
  model.torch_legacy_s = std::exp(log_sum / count);
  const OperationCosts costs(model, "measured");
  Json& residuals = result.record["cost_models"] = Json::array();
  const auto compare = [&](const char* kernel, TopKModel top_k) {
    for (const Point& point : table.of(kernel, 1e-3))
      residuals.push_back({{"model", to_string(top_k)},
                           {"elements", point.n},
                           {"density", 1e-3},
                           {"model_over_measured",
                            costs.top_k(double(point.n), double(point.k), top_k) / point.seconds}});
  };
  compare("error_feedback_top_k", TopKModel::radix_select);
  compare("dgc_sample", TopKModel::dgc_sample);
  compare("gaussian_k", TopKModel::gaussian_k);
  compare("sort", TopKModel::sort);
  compare("torch_legacy", TopKModel::torch_legacy);
  for (const Point& point : table.of("sgd_momentum"))
    residuals.push_back(
        {{"model", "sgd_momentum"},
         {"elements", point.n},
         {"model_over_measured", costs.sgd_update(double(point.n), true) / point.seconds}});
  return result;
}

}  // namespace

LineFit fit_line(std::span<const double> x, std::span<const double> t) {
  if (x.empty() || x.size() != t.size()) throw std::invalid_argument("a line through no points");
  // Minimises sum ((a + b x)/t - 1)^2: the normal equations in 1/t and x/t.
  double uu = 0, uv = 0, vv = 0, u1 = 0, v1 = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double u = 1 / t[i], v = x[i] / t[i];
    uu += u * u, uv += u * v, vv += v * v, u1 += u, v1 += v;
  }
  const double determinant = uu * vv - uv * uv;
  LineFit fit;
  if (determinant > 1e-12 * uu * vv) {
    fit.a = (u1 * vv - v1 * uv) / determinant;
    fit.b = (v1 * uu - u1 * uv) / determinant;
  }
  if (!(fit.a > 0 && fit.b > 0)) fit = {0, v1 / vv};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs((fit.a + fit.b * x[i]) / t[i] - 1);
    fit.mean_error += error / double(x.size());
    fit.worst_error = std::max(fit.worst_error, error);
  }
  return fit;
}

std::optional<MeasuredOperations> measure_operations_on_gpu(CudaBackend& gpu,
                                                            std::size_t most_elements,
                                                            const Stop& stop,
                                                            const Report& report) {
  try {
    return measure_all(gpu, most_elements, stop, report);
  } catch (const Interrupted&) {
    return {};
  }
}

}  // namespace paceline
