#include "calibrate/analytic/fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "base/error.hpp"
#include "base/least_squares.hpp"
#include "base/statistics.hpp"
#include "calibrate/analytic/deepbench.hpp"

namespace paceline {
namespace {

using Points = std::map<std::string, std::vector<DeepBenchPoint>>;

Points by_law(const std::vector<DeepBenchPoint>& points) {
  Points grouped;
  for (const DeepBenchPoint& point : points) grouped[point.law].push_back(point);
  return grouped;
}

PowerLaw fit(const std::vector<DeepBenchPoint>& points, const FitCeilings& ceilings,
             bool with_steps) {
  DesignMatrix features(with_steps ? 4 : 3);
  std::vector<double> logs;
  for (const DeepBenchPoint& point : points) {
    const double compute = std::log(point.flops / ceilings.sgemm_flops);
    const double memory = std::log(point.bytes / ceilings.memory_bandwidth);
    if (with_steps)
      features.add({1, compute, memory, std::log(point.steps)});
    else
      features.add({1, compute, memory});
    logs.push_back(std::log(point.seconds));
  }
  const std::vector<double> solution = least_squares(features, logs);
  if (with_steps) return {solution[0], solution[1], solution[2], solution[3]};
  if (solution[1] + solution[2] <= 1) return {solution[0], solution[1], solution[2], 0};
  // Efficiency does not fall with size: hold the exponents' sum at one, log t - m = a + b (c - m).
  DesignMatrix held(2);
  for (std::size_t row = 0; row < features.rows(); ++row) {
    held.add({1, features(row, 1) - features(row, 2)});
    logs[row] -= features(row, 2);
  }
  const std::vector<double> constrained = least_squares(held, logs);
  return {constrained[0], constrained[1], 1 - constrained[1], 0};
}

void append(const std::vector<DeepBenchPoint>& points, const PowerLaw& law,
            const FitCeilings& ceilings, std::vector<double>& predicted,
            std::vector<double>& measured) {
  for (const DeepBenchPoint& point : points) {
    predicted.push_back(law(point.flops / ceilings.sgemm_flops,
                            point.bytes / ceilings.memory_bandwidth, point.steps));
    measured.push_back(point.seconds);
  }
}

[[noreturn]] void no_rows(const std::filesystem::path& folder, std::string_view gpu) {
  throw InputError(
      fmt::format("{}: the DeepBench tables have no rows of GPU '{}'", folder.string(), gpu));
}

}  // namespace

FitQuality quality_of(const std::vector<double>& predicted, const std::vector<double>& measured) {
  FitQuality quality;
  quality.points = predicted.size();
  if (predicted.empty()) return quality;
  std::vector<double> absolute;
  double total = 0, total_measured = 0, log_squares = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    absolute.push_back(std::abs(predicted[i] / measured[i] - 1));
    quality.mean_absolute_error += absolute.back();
    total += predicted[i];
    total_measured += measured[i];
    const double log_error = std::log(predicted[i] / measured[i]);
    log_squares += log_error * log_error;
  }
  const auto n = static_cast<double>(predicted.size());
  quality.mean_absolute_error /= n;
  quality.median_absolute_error = median(absolute);
  quality.total_bias = total / total_measured - 1;
  quality.log_sigma = std::sqrt(log_squares / n);
  return quality;
}

double PowerLaw::operator()(double compute_s, double memory_s, double steps) const {
  return std::exp(constant + compute_exponent * std::log(compute_s) +
                  memory_exponent * std::log(memory_s) + steps_exponent * std::log(steps));
}

double deepbench_sgemm_ceiling(const std::filesystem::path& folder, std::string_view gpu) {
  const std::vector<DeepBenchPoint> points = read_deepbench(folder, gpu).points;
  if (points.empty()) no_rows(folder, gpu);
  double best = 0;
  for (const DeepBenchPoint& point : points)
    if (point.law == "gemm") best = std::max(best, point.flops / point.seconds);
  return best;
}

std::vector<FittedLaw> fit_deepbench(const std::filesystem::path& folder, std::string_view gpu,
                                     const FitCeilings& ceilings) {
  const Points points = by_law(read_deepbench(folder, gpu).points);
  if (points.empty()) no_rows(folder, gpu);
  std::vector<FittedLaw> laws;
  for (const auto& [name, of_law] : points) {
    const PowerLaw law = fit(of_law, ceilings, name.starts_with("rnn"));
    std::vector<double> predicted, measured;
    append(of_law, law, ceilings, predicted, measured);
    laws.push_back({name, law, quality_of(predicted, measured)});
  }
  return laws;
}

FitQuality transfer_quality(const std::vector<FittedLaw>& laws, const std::filesystem::path& folder,
                            std::string_view gpu, const FitCeilings& ceilings) {
  Points points = by_law(read_deepbench(folder, gpu).points);
  std::erase_if(points, [](const auto& item) { return !item.first.starts_with("conv"); });
  if (points.empty()) no_rows(folder, gpu);
  std::vector<double> predicted, measured;
  for (const FittedLaw& law : laws)
    if (const auto found = points.find(law.name); found != points.end())
      append(found->second, law.law, ceilings, predicted, measured);
  return quality_of(predicted, measured);
}

const PowerLaw& LawSet::law(std::string_view name) const {
  for (const FittedLaw& fitted : laws)
    if (fitted.name == name) return fitted.law;
  throw std::logic_error(fmt::format("there is no law '{}'", name));
}

double LawSet::worst_error(std::string_view prefix) const {
  double worst = 0;
  for (const FittedLaw& fitted : laws)
    if (fitted.name.starts_with(prefix))
      worst = std::max(worst, fitted.quality.mean_absolute_error);
  return worst;
}

const LawSet& laws_for(const GpuSpec& gpu) {
  const std::string_view wanted = gpu.cc_major >= 7 ? "V100 SXM2" : "GTX 1080 Ti";
  for (const LawSet& set : committed_laws())
    if (set.gpu == wanted) return set;
  throw std::logic_error(fmt::format("there are no laws of the {}", wanted));
}

std::string fit_table(const std::vector<FittedLaw>& laws) {
  std::string text =
      fmt::format("{:<28}{:>8}{:>9}{:>9}{:>9}{:>8}{:>8}{:>9}{:>8}\n", "law", "constant", "compute",
                  "memory", "steps", "points", "mape %", "median %", "bias %");
  for (const auto& [name, law, quality] : laws)
    text += fmt::format("{:<28}{:>8.3f}{:>9.3f}{:>9.3f}{:>9.3f}{:>8}{:>8.1f}{:>9.1f}{:>+8.1f}\n",
                        name, law.constant, law.compute_exponent, law.memory_exponent,
                        law.steps_exponent, quality.points, 100 * quality.mean_absolute_error,
                        100 * quality.median_absolute_error, 100 * quality.total_bias);
  return text;
}

std::string fit_initialisers(const std::vector<FittedLaw>& laws) {
  std::string text;
  for (const auto& [name, law, q] : laws)
    text += fmt::format(
        "    {{\"{}\",\n     {{{}, {}, {}, {}}},\n     {{{}, {:.4f}, {:.4f}, {:.4f}, {:.4f}}}}},\n",
        name, law.constant, law.compute_exponent, law.memory_exponent, law.steps_exponent, q.points,
        q.mean_absolute_error, q.median_absolute_error, q.total_bias, q.log_sigma);
  return text;
}

}  // namespace paceline
