#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/statistics.hpp"
#include "calibrate/measure/gpu_kernels.hpp"
#include "kernels/operations/reference.hpp"

namespace paceline {
namespace {

using kernels::CopyDirection;
using kernels::CudaBackend;

constexpr double kFloorBytes = 16;  // per element of error-feedback top-k: OperationCosts::top_k

const char* name_of(CopyDirection direction) {
  return direction == CopyDirection::to_device ? "host_to_device"
         : direction == CopyDirection::to_host ? "device_to_host"
                                               : "both_ways_at_once";
}

Json measure_copies(CudaBackend& gpu, CopyDirection direction, bool pinned) {
  // The module takes twice the bytes, on the host too.
  const auto room = static_cast<std::size_t>(gpu.device().memory_bytes / 16);
  std::vector<double> bytes, seconds;
  Json points = Json::array();
  for (std::size_t size = 4096; size <= std::min(std::size_t{256} << 20, room); size *= 4) {
    const double t =
        median(gpu.time_copies(direction, pinned, size, size > (std::size_t{1} << 24) ? 7 : 25));
    bytes.push_back(double(size));
    seconds.push_back(std::max(t, 1e-12));
    points.push_back({{"bytes", size}, {"seconds", t}});
  }
  const LineFit fit = fit_line(bytes, seconds);
  return {{"direction", name_of(direction)},
          {"memory", pinned ? "pinned" : "pageable"},
          {"latency_s", fit.a},
          {"bytes_per_second", 1 / fit.b},
          {"mean_error", fit.mean_error},
          {"worst_error", fit.worst_error},
          {"points", std::move(points)}};
}

// As the record has it, or measured into it.
CopyCost copy_cost(CudaBackend& gpu, CopyDirection direction, bool pinned,
                   const GpuOperationsOptions& options, Json& record) {
  const auto is_it = [&](const Json& row) {
    return row.at("direction") == name_of(direction) &&
           row.at("memory") == (pinned ? "pinned" : "pageable");
  };
  auto row = std::find_if(record.begin(), record.end(), is_it);
  if (row == record.end()) {
    if (options.stop()) throw Interrupted{};
    record.push_back(measure_copies(gpu, direction, pinned));
    options.save();
    row = std::prev(record.end());
  }
  return {row->at("latency_s"), row->at("bytes_per_second")};
}

// Reads 8 bytes and writes 4 per element of two vectors in the host's memory, on one core.
double host_bandwidth() {
  constexpr std::size_t n = 1 << 24;
  const std::vector<float> x(n, 1.5F);
  std::vector<float> y(n, 0.5F);
  std::vector<double> seconds;
  for (int i = 0; i < 7; ++i) {
    const auto start = std::chrono::steady_clock::now();
    kernels::reference::apply(kernels::Axpy{1e-6}, {x, y}, {y});
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 12.0 * double(n) / median(seconds);
}

void measure_ceilings(CudaBackend& gpu, const GpuOperationsOptions& options, Json& record) {
  if (record.contains("ceilings")) return;
  if (options.stop()) throw Interrupted{};
  const kernels::CudaCeilings ceilings = gpu.measure_ceilings();
  record["ceilings"] = {{"sgemm_flops", ceilings.sgemm_flops},
                        {"sgemm_flops_default_math", ceilings.sgemm_default_flops},
                        {"copy_bytes_per_second", ceilings.copy_bandwidth},
                        {"copied_by", ceilings.copied_by},
                        {"read_bytes_per_second", ceilings.read_bandwidth},
                        {"l2_read_bytes_per_second", ceilings.l2_bandwidth},
                        {"launch_in_graph_s", ceilings.graph_launch_seconds},
                        {"launch_eager_s", ceilings.eager_launch_seconds},
                        {"host_bytes_per_second", host_bandwidth()}};
  options.save();
}

void measure_kernels(KernelTable& table, CudaBackend& gpu, const GpuOperationsOptions& options) {
  const std::size_t most = std::min(options.most_elements, largest_vector(gpu));
  std::vector<std::size_t> sizes;
  for (const std::size_t n : {10'000U, 100'000U, 1'000'000U, 10'000'000U, 100'000'000U})
    if (n <= most) sizes.push_back(n);
  if (sizes.empty()) sizes.push_back(std::max<std::size_t>(most, 1));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    table.measure(sizes[i]);
    options.report(.3 + .7 * double(i + 1) / double(sizes.size()));
  }
}

// s of t = s n log2 n: the middle of the logarithms at the sizes where the law holds.
double legacy_of(const std::vector<KernelPoint>& points) {
  double most = 0, log_sum = 0, count = 0;
  for (const KernelPoint& point : points) most = std::max(most, point.elements);
  for (const KernelPoint& point : points) {
    if (point.elements < 1e6 && most >= 1e6) continue;
    log_sum += std::log(point.seconds / (point.elements * std::log2(point.elements)));
    ++count;
  }
  return std::exp(log_sum / count);
}

// What the costs say of everything that was measured.
Json compare(const OperationModel& model, const KernelTable& table) {
  const OperationCosts costs(model, "measured");
  Json rows = Json::array();
  const auto add = [&](std::string_view name, const KernelPoint& point, double seconds) {
    rows.push_back({{"model", name},
                    {"elements", point.elements},
                    {"pairs", point.pairs},
                    {"model_over_measured", seconds / point.seconds}});
  };
  for (const kernels::OperationInfo& kernel : kernels::kOperations)
    for (const KernelPoint& point : table.of(kernel.name))
      add(kernel.name, point, costs.kernel(kernel.name, point.elements, point.pairs));
  for (const KernelPoint& point : table.of("torch_legacy"))
    add("torch_legacy", point, costs.top_k(point.elements, 1, Selector::torch_legacy));
  return rows;
}

MeasuredOperations measure_all(CudaBackend& gpu, const GpuOperationsOptions& options,
                               Json& record) {
  if (!record.contains("copies")) record["copies"] = Json::array();
  if (!record.contains("kernels")) record["kernels"] = Json::array();
  MeasuredOperations result;
  OperationModel& model = result.operations;
  measure_ceilings(gpu, options, record);
  const Json ceilings = record["ceilings"];
  result.ceilings = {ceilings.at("sgemm_flops"), ceilings.at("copy_bytes_per_second"),
                     ceilings.at("l2_read_bytes_per_second")};
  options.report(.1);
  model.launch_s = ceilings.at("launch_eager_s");
  model.memory_bandwidth = result.ceilings.memory_bandwidth;
  model.host_bandwidth = ceilings.at("host_bytes_per_second");
  const auto copy = [&](CopyDirection direction, bool pinned) {
    return copy_cost(gpu, direction, pinned, options, record["copies"]);
  };
  model.host_to_device_pinned = copy(CopyDirection::to_device, true);
  model.host_to_device_pageable = copy(CopyDirection::to_device, false);
  model.device_to_host_pinned = copy(CopyDirection::to_host, true);
  model.device_to_host_pageable = copy(CopyDirection::to_host, false);
  copy(CopyDirection::both, true);
  options.report(.3);
  KernelTable table(gpu, options, record["kernels"]);  // no key is added while it lives
  measure_kernels(table, gpu, options);

  model.kernels = table.fit();
  model.top_k = Selector::radix_select;
  // Over 1 is possible: the fused selection moves less than the bytes that the model books.
  const KernelCost& select = model.kernels.at("error_feedback_top_k");
  model.select_efficiency = std::clamp(
      kFloorBytes / std::max(*model.memory_bandwidth * select.per_element_s, 1e-9), 1e-6, 2.0);
  model.torch_legacy_s = legacy_of(table.of("torch_legacy"));
  Json comparison = compare(model, table);
  record["cost_models"] = std::move(comparison);
  result.record = record;
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

void check_operations_record(const Json& record) {
  try {
    if (record.contains("ceilings")) (void)record.at("ceilings").at("sgemm_flops").get<double>();
    for (const char* key : {"copies", "kernels"})
      if (record.contains(key) && !record.at(key).is_array()) throw InputError(key);
    if (!record.contains("kernels")) return;
    for (const Json& row : record.at("kernels")) {
      (void)row.at("kernel").get<std::string>();
      for (const Json& point : row.at("points"))
        for (const char* key : {"elements", "pairs", "seconds"})
          if (const auto value = point.at(key).get<double>(); !(value >= 0)) throw InputError(key);
    }
  } catch (const std::exception& error) {
    throw InputError(fmt::format(
        "$.metadata.operations is not what this program leaves when interrupted ({}): give "
        "another output file, or --again",
        error.what()));
  }
}

std::optional<MeasuredOperations> measure_operations_on_gpu(CudaBackend& gpu,
                                                            const GpuOperationsOptions& options,
                                                            Json& record) {
  check_operations_record(record);
  try {
    return measure_all(gpu, options, record);
  } catch (const Interrupted&) {
    return {};
  }
}

}  // namespace paceline
