#include "calibrate/measure/operations.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/json.hpp"
#include "calibrate/measure/stopwatch.hpp"

namespace paceline {
namespace {

constexpr double kUpdateBytes = 20;  // momentum SGD reads 12 and writes 8 bytes per parameter
constexpr double kDensity = 1e-3;
constexpr int kRepetitions = 15;

class Bench {
 public:
  explicit Bench(kernels::Backend& backend) : backend_(backend) {}

  kernels::Array<float> random_array(std::size_t n) {
    std::mt19937 random(static_cast<unsigned>(n));
    std::normal_distribution<float> normal;
    std::vector<float> host(n);
    std::generate(host.begin(), host.end(), [&] { return normal(random); });
    kernels::Array<float> array(backend_, n);
    backend_.copy_from_host(array.data(), host.data(), n * sizeof(float));
    return array;
  }

  double seconds(const std::function<void()>& work) {
    work();
    std::vector<Sample> samples;
    for (int i = 0; i < kRepetitions; ++i) samples.push_back(take_sample(backend_, work));
    return summarize(samples).timing.median_s;
  }

  double update(std::size_t n) {
    const auto gradient = random_array(n), velocity = random_array(n), weights = random_array(n);
    return seconds([&] {
      backend_.sgd_step({.learning_rate = 1e-6, .momentum = .9}, gradient, velocity, weights);
    });
  }

  // Accumulate, select, clear: what a schedule with error feedback does with one tensor.
  double top_k(std::size_t n) {
    const auto gradient = random_array(n), residual = random_array(n);
    const auto k = std::max<std::size_t>(1, static_cast<std::size_t>(kDensity * double(n)));
    kernels::Array<std::int32_t> indices(backend_, k);
    kernels::Array<float> values(backend_, k);
    return seconds([&] {
      backend_.axpy(1, gradient, residual);
      backend_.top_k(residual, {indices, values});
      backend_.clear_at(indices, residual);
    });
  }

  double sgemm_flops() {
    constexpr std::int64_t n = 1024;
    const auto layer = backend_.make_layer(kernels::DenseShape{n, n, n, false});
    const auto input = backend_.make_activation({n, n}), output = backend_.make_activation({n, n});
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> host(static_cast<std::size_t>(n * n));
    std::generate(host.begin(), host.end(), [&] { return normal(random); });
    backend_.write(host, *input);
    const auto weight = random_array(host.size());
    const kernels::Activation* const inputs[] = {input.get()};
    const float* const parameters[] = {weight.data()};
    const double best = seconds(
        [&] { layer->forward({.inputs = inputs, .output = *output, .parameters = parameters}); });
    return 2.0 * double(n) * double(n) * double(n) / best;
  }

  // t = latency + bytes / bandwidth through a small and a large copy.
  CopyCost copy(bool to_device) {
    const std::size_t small = 64, large = std::size_t{64} << 20;
    std::vector<char> host(large, 1);
    kernels::Array<char> device(backend_, large);
    const auto time = [&](std::size_t bytes) {
      return seconds([&] {
        if (to_device)
          backend_.copy_from_host(device.data(), host.data(), bytes);
        else
          backend_.copy_to_host(host.data(), device.data(), bytes);
      });
    };
    const double latency = time(small), whole = time(large);
    return {latency, double(large) / std::max(whole - latency, 1e-12)};
  }

 private:
  kernels::Backend& backend_;
};

}  // namespace

MeasuredOperations measure_operations(kernels::Backend& backend, std::size_t elements,
                                      double update_s) {
  Bench bench(backend);
  MeasuredOperations result;
  OperationModel& model = result.operations;
  model.launch_s = bench.update(1);
  const double streaming = std::max(update_s - *model.launch_s, 1e-9);
  model.memory_bandwidth = kUpdateBytes * static_cast<double>(elements) / streaming;
  model.host_bandwidth = model.memory_bandwidth;
  model.host_to_device_pinned = model.host_to_device_pageable = bench.copy(true);
  model.device_to_host_pinned = model.device_to_host_pageable = bench.copy(false);
  model.top_k = Selector::radix_select;

  // One efficiency for the whole range: the middle of the logarithms.
  std::vector<std::size_t> sizes{10'000, 100'000, 1'000'000};
  if (elements > sizes.back()) sizes.push_back(elements);
  std::vector<double> seconds;
  double log_sum = 0;
  const auto bytes = [](std::size_t n) { return (16 + 8 * kDensity) * double(n); };
  for (const std::size_t n : sizes) {
    seconds.push_back(bench.top_k(n));
    const double net = std::max(seconds.back() - 4 * *model.launch_s, 1e-9);
    log_sum += std::log(bytes(n) / *model.memory_bandwidth / net);
  }
  model.select_efficiency = std::clamp(std::exp(log_sum / double(sizes.size())), 1e-6, 1.0);
  Json& points = result.record["top_k"] = Json::array();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const double modelled = 4 * *model.launch_s +
                            bytes(sizes[i]) / (*model.memory_bandwidth * *model.select_efficiency);
    points.push_back({{"elements", sizes[i]},
                      {"density", kDensity},
                      {"seconds", seconds[i]},
                      {"model_over_measured", modelled / seconds[i]}});
  }
  result.record["update_cold_bytes_per_second"] =
      kUpdateBytes * double(1 << 22) / bench.update(1 << 22);
  result.ceilings.sgemm_flops = bench.sgemm_flops();
  result.ceilings.memory_bandwidth = model.memory_bandwidth;
  return result;
}

}  // namespace paceline
