#include "calibrate/profile/operation_costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/units.hpp"
#include "calibrate/profile/gpu_ceilings.hpp"
#include "calibrate/profile/profile.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
const Default OperationCosts::kAssumedHostBandwidth{
    "host.memory_bandwidth", 10e9, "B/s",
    "at which servers update where neither cluster nor profile says it: one core of a server"};

namespace {

constexpr double kElement = 4;  // bytes of fp32
constexpr double kPair = 8;     // 32-bit index and fp32 value
const Default kSector{"operations.sector", 32, "B", "least DRAM transfer of a scattered access"};
constexpr double kAccumulate = 12;  // bytes per element of r += g: reads 8, writes 4
const Default kSortPass{"top_k.sort_pass", 20, "B",
                        "per pair of one radix pass: histogram 4, read 8, write 8"};
const Default kSortPasses{"top_k.sort_passes", 4, "", "8-bit digits of 32-bit keys"};
const Default kSampleShare{
    "top_k.dgc_sample", 0.01, "",
    "share that Deep Gradient Compression samples for its threshold (0.1 to 1 % in the paper)"};
const Default kGaussianCorrections{"top_k.gaussian_corrections", 3, "",
                                   "passes that correct Gaussian-k's threshold"};

double copy_time(const CopyCost& cost, double bytes) {
  return cost.latency_s + bytes / cost.bandwidth;
}

bool complete(const OperationModel& m) {
  return m.launch_s && m.memory_bandwidth && m.select_efficiency && m.host_to_device_pinned &&
         m.host_to_device_pageable && m.device_to_host_pinned && m.device_to_host_pageable &&
         m.top_k;
}

constexpr const char* kRule = "rule of thumb; a measured profile says it";

std::string rate_text(double bytes_per_second) {
  return fmt::format("{:.4g} GB/s", bytes_per_second / 1e9);
}
std::string copy_text(const CopyCost& cost) {
  return fmt::format("{} + bytes / {}", format_duration(cost.latency_s), rate_text(cost.bandwidth));
}

// Fills in what a model has not, and says so.
class Completion {
 public:
  explicit Completion(OperationModel model) : model_(std::move(model)) {}
  template <class T, class Text>
  void fill(std::optional<T> OperationModel::*field, const OperationModel& from, const char* name,
            const std::string& why, const Text& text,
            Assumption::When when = Assumption::When::any) {
    std::optional<T>& own = model_.*field;
    if (own || !(from.*field)) return;
    own = from.*field;
    assumptions_.push_back({name, text(*own), why, when});
  }
  [[nodiscard]] const OperationModel& model() const { return model_; }
  [[nodiscard]] const std::vector<Assumption>& assumptions() const { return assumptions_; }

 private:
  OperationModel model_;
  std::vector<Assumption> assumptions_;
};

Completion completed(OperationModel model, const GpuSpec& gpu) {
  using M = OperationModel;
  using enum Assumption::When;
  const M from = analytic_operations(gpu);
  const bool scaled = *from.memory_bandwidth == kStreamingShare * gpu.memory_bandwidth;
  const auto unless_assumed = [&](const char* figure, std::string why) {
    return gpu.knows(figure) ? why
                             : fmt::format("a {}'s, '{}' of the {} not being given", kStandInGpu,
                                           figure, gpu.name);
  };
  const std::string bus = unless_assumed("pcie", kRule);
  Completion all(std::move(model));
  all.fill(&M::launch_s, from, "kernel launch", kRule, format_duration);
  all.fill(&M::memory_bandwidth, from, "streaming bandwidth of the GPU",
           unless_assumed("bandwidth",
                          scaled ? "80 % of the data sheet's; a measured profile says it"
                                 : "published measurement of this GPU; a measured profile says it"),
           rate_text);
  all.fill(
      &M::select_efficiency, from, "selections' share of the streaming bandwidth", kRule,
      [](double share) { return fmt::format("{:.0f} %", 100 * share); }, selection);
  all.fill(
      &M::torch_legacy_s, from, "torch_legacy top-k",
      unless_assumed("boost_MHz",
                     "fitted to published times of two GPUs, scaled by lanes and clock"),
      [](double seconds) { return fmt::format("{:.4g} s n log2 n", seconds); }, selection);
  all.fill(
      &M::top_k, from, "kind of top-k", "a profile's software or --top-k says it",
      [](Selector selector) { return to_string(selector); }, selection);
  all.fill(&M::host_to_device_pinned, from, "copy to the GPU", bus, copy_text, copies);
  all.fill(&M::host_to_device_pageable, from, "pageable copy to the GPU", bus, copy_text, copies);
  all.fill(&M::device_to_host_pinned, from, "copy from the GPU", bus, copy_text, copies);
  all.fill(&M::device_to_host_pageable, from, "pageable copy from the GPU", bus, copy_text, copies);
  return all;
}

}  // namespace

OperationCosts::OperationCosts(OperationModel model, std::string description,
                               std::vector<Assumption> assumptions)
    : model_(std::move(model)),
      description_(std::move(description)),
      assumptions_(std::move(assumptions)) {
  if (!complete(model_)) throw InputError("the operation costs of the profile are incomplete");
}

const kernels::OperationInfo& find_kernel(std::string_view name) {
  for (const kernels::OperationInfo& kernel : kernels::kOperations)
    if (name == kernel.name) return kernel;
  std::vector<std::string> names;
  for (const kernels::OperationInfo& kernel : kernels::kOperations) names.emplace_back(kernel.name);
  throw InputError(unknown_name("kernel", name, names));
}

std::optional<double> OperationCosts::measured(std::string_view kernel, double elements,
                                               double pairs) const {
  const auto found = model_.kernels.find(kernel);
  if (found == model_.kernels.end()) return {};
  const double floor = find_kernel(kernel).least_bytes(elements, pairs) / *model_.memory_bandwidth;
  return std::max({found->second.seconds(elements, pairs), floor, launch()});
}

double OperationCosts::kernel(std::string_view name, double elements, double pairs) const {
  if (const auto seconds = measured(name, elements, pairs)) return *seconds;
  return launch() + find_kernel(name).least_bytes(elements, pairs) / *model_.memory_bandwidth;
}

// By its own line; else its bytes at the share of the bandwidth that selecting kernels reach.
double OperationCosts::select(const char* kernel, double elements, double k, double launches,
                              double bytes) const {
  if (const auto seconds = measured(kernel, elements, k)) return *seconds;
  const double efficiency = std::string_view(kernel) == "error_feedback_top_k"
                                ? *model_.select_efficiency
                                : std::min(1.0, *model_.select_efficiency);
  return launches * launch() +
         std::max(bytes / (*model_.memory_bandwidth * efficiency),
                  find_kernel(kernel).least_bytes(elements, k) / *model_.memory_bandwidth);
}

double OperationCosts::operation(std::string_view name, double elements, double least_bytes) const {
  if (const auto seconds = measured(name, elements, 0)) return *seconds;
  return elementwise(least_bytes);
}

double OperationCosts::elementwise(double bytes_moved) const {
  const double axpy_bytes = kernels::kInfo<kernels::Axpy>.bytes_per_element;
  if (const auto seconds = measured("axpy", bytes_moved / axpy_bytes, 0)) return *seconds;
  return launch() + bytes_moved / *model_.memory_bandwidth;
}

double OperationCosts::optimizer_update(double elements, int slots) const {
  constexpr const char* updates[] = {"sgd", "sgd_momentum", "adam"};
  if (const auto seconds = measured(updates[slots], elements, 0)) return *seconds;
  return elementwise((3 + 2 * slots) * kElement * elements);
}

double OperationCosts::top_k_floor(double elements) const {
  return (kAccumulate + kElement) * elements / *model_.memory_bandwidth;
}

double OperationCosts::top_k(double elements, double k, Selector selector) const {
  if (!(elements >= 1 && k >= 0 && k <= elements))
    throw InputError(fmt::format("top-k of {} elements cannot select {}", elements, k));
  const double accumulate_and_filter = (kAccumulate + kElement) * elements + kPair * k;
  const double sort_bytes = kSortPasses * kSortPass;
  switch (selector) {
    case Selector::torch_legacy:
      if (!model_.torch_legacy_s)
        throw InputError(fmt::format(
            "'{}' has no cost of torch_legacy, the one-block selection of GPUs", description_));
      return *model_.torch_legacy_s * elements * std::log2(elements);
    case Selector::sort:
      return select("sort", elements, k, 1 + 2 * kSortPasses,
                    (kAccumulate + sort_bytes) * elements + kPair * k);
    case Selector::radix_select:
      return select("error_feedback_top_k", elements, k, 4, accumulate_and_filter);
    case Selector::dgc_sample:
      return select("dgc_sample", elements, k, 3 + 2 * kSortPasses,
                    accumulate_and_filter + kSampleShare * elements * (kSector + sort_bytes));
    case Selector::gaussian_k:
      return select("gaussian_k", elements, k, 3 + kGaussianCorrections,
                    accumulate_and_filter + (1 + kGaussianCorrections) * kElement * elements);
  }
  throw std::logic_error("unknown selector");
}

double OperationCosts::scatter_add(double pairs) const {
  if (const auto seconds = measured("scatter_add", 0, pairs)) return *seconds;
  return launch() + pairs * (kPair + 2 * kSector) / *model_.memory_bandwidth;
}

double OperationCosts::quantize(double elements, double bits) const {
  if (const char* kernel = bits == 2 ? "two_bit_quantize" : bits == 1 ? "sign_quantize" : nullptr)
    if (const auto seconds = measured(kernel, elements, 0)) return *seconds;
  return elementwise(elements * (3 * kElement + bits / 8));
}

double OperationCosts::dequantize(double elements, double bits) const {
  if (const char* kernel = bits == 2    ? "two_bit_dequantize"
                           : bits == 1  ? "sign_dequantize"
                           : bits == 16 ? "unpack_fp16"
                                        : nullptr)
    if (const auto seconds = measured(kernel, elements, 0)) return *seconds;
  return elementwise(elements * (kElement + bits / 8));
}

double OperationCosts::copy_h2d(double bytes, bool pinned) const {
  return copy_time(pinned ? *model_.host_to_device_pinned : *model_.host_to_device_pageable, bytes);
}

double OperationCosts::copy_d2h(double bytes, bool pinned) const {
  return copy_time(pinned ? *model_.device_to_host_pinned : *model_.device_to_host_pageable, bytes);
}

double OperationCosts::host_update(double bytes_moved, double memory_bandwidth) const {
  const bool known = model_.host_bandwidth || std::isfinite(memory_bandwidth);
  const double measured = model_.host_bandwidth.value_or(memory_bandwidth);
  return bytes_moved /
         (known ? std::min(measured, memory_bandwidth) : double{kAssumedHostBandwidth});
}

Assumption assumed_host_bandwidth() {
  return {"memory bandwidth of the hosts", rate_text(OperationCosts::kAssumedHostBandwidth),
          "rule of thumb, one core; the cluster's host.memory_bandwidth says it",
          Assumption::When::copies};
}

// Rules of thumb, replaced by a measured profile.
namespace {

const Default kLaunch{"operations.launch", 5e-6, "s", "to launch a kernel"};
const Default kCopyLatency{"operations.copy_latency", 10e-6, "s",
                           "to start a copy between host and device"};
const Default kPcieShare{
    "operations.pcie_share", 0.78, "",
    "of the PCIe line rate from pinned memory (12.3 GB/s of 3.0 x16, 0.8 of 1.0 x4)"};
const Default kPageableShare{"operations.pageable_share", 0.5, "",
                             "speed of copies from pageable memory over those from pinned memory"};
const Default kSelectShare{"operations.select_share", 0.7, "",
                           "of the streaming bandwidth in selection kernels (60 to 80 % is usual)"};

}  // namespace

OperationModel analytic_operations(const GpuSpec& gpu) {
  const double link = kPcieShare * pcie_bandwidth(gpu.pcie_generation, gpu.pcie_lanes);
  OperationModel model;
  model.launch_s = kLaunch;
  model.memory_bandwidth = gpu_ceilings(gpu).memory_bandwidth;
  model.select_efficiency = kSelectShare;
  if (gpu.fp32_lanes > 0 && gpu.boost_hz > 0) model.torch_legacy_s = torch_legacy_top_k(gpu);
  model.host_to_device_pinned = model.device_to_host_pinned = CopyCost{kCopyLatency, link};
  model.host_to_device_pageable = model.device_to_host_pageable =
      CopyCost{kCopyLatency, kPageableShare * link};
  model.top_k = Selector::radix_select;
  return model;
}

OperationCosts operation_costs(const GpuSpec& gpu) {
  const Completion all = completed({}, gpu);
  return {all.model(), fmt::format("analytic: {}", gpu.name), all.assumptions()};
}

OperationCosts operation_costs(const Profile& profile) {
  const OperationModel& model = profile.operations;
  const GpuSpec* card = card_of(profile);
  // An analytic profile brings what would be assumed without it.
  if (card != nullptr && model == analytic_operations(*card)) {
    const Completion all = completed({}, *card);
    return {all.model(), fmt::format("{}: {}", to_string(profile.source), profile.device),
            all.assumptions()};
  }
  if (complete(model) && (model.torch_legacy_s || card == nullptr))
    return {model, fmt::format("{}: {}", to_string(profile.source), profile.device)};
  const Completion all = completed(model, card != nullptr ? *card : find_gpu(profile.device));
  return {all.model(),
          model != OperationModel{} ? fmt::format("{}: {}, completed analytically",
                                                  to_string(profile.source), profile.device)
                                    : fmt::format("analytic: {}", profile.device),
          all.assumptions()};
}

}  // namespace paceline
