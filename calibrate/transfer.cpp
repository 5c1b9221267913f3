#include "calibrate/transfer.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "calibrate/analytic.hpp"
#include "calibrate/gpu_ceilings.hpp"
#include "calibrate/statistics.hpp"

namespace paceline {
namespace {

constexpr double kWinogradSaving = 2.25;  // F(2x2, 3x3)
constexpr double kRidge = 1.0;            // of standardised features
constexpr std::size_t kLeastAnchors = 10;
constexpr double kStreamingShare = 0.8;   // of the data sheet's memory bandwidth
constexpr double kStreamingSigma = 0.15;  // element-wise kernels that do not fit the L2
constexpr double kUnknownSigma = 0.30;

// DeepBench's names, ours, and the data sheet's bandwidth in GB/s of those we have no row for.
struct Measured {
  std::string_view column, gpu;
  double bandwidth;
};
constexpr std::array<Measured, 8> kDeepBench{{{"1080Ti", "GTX 1080 Ti", 484},
                                              {"TitanXp", "", 547.7},
                                              {"TitanX_Pascal", "Titan X Pascal", 480},
                                              {"P100", "P100 SXM2", 732},
                                              {"V100", "V100 SXM2", 900},
                                              {"T4", "T4", 320},
                                              {"M40", "", 288},
                                              {"TitanX", "", 336.5}}};

double roof(const TransferAnchor& kernel, const TransferGpu& gpu, double saving = 1) {
  return std::max(kernel.flops / (saving * gpu.ceilings.sgemm_flops),
                  kernel.bytes / gpu.ceilings.memory_bandwidth);
}

std::array<double, 3> features_of(const TransferAnchor& kernel, const TransferGpu& to) {
  return {1, std::log(std::max(kernel.flops, 1.0) / std::max(kernel.bytes, 1.0)) - 3,
          std::log(std::max(roof(kernel, to), 1e-9)) + 8};
}

TransferGpu deepbench_gpu(const DeepBenchTable& table) {
  for (const Measured& row : kDeepBench)
    if (row.column == table.gpu)
      return {{table.sgemm_flops, kStreamingShare * row.bandwidth * 1e9}, 5e-6};
  throw InputError(
      unknown_name("GPU of DeepBench", table.gpu,
                   {"1080Ti", "TitanXp", "TitanX_Pascal", "P100", "V100", "T4", "M40", "TitanX"}));
}

double rms(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

FitQuality quality_of(const std::vector<std::pair<double, double>>& predicted_and_measured) {
  FitQuality quality;
  std::vector<double> absolute, logs;
  double total = 0, total_measured = 0;
  for (const auto& [predicted, measured] : predicted_and_measured) {
    absolute.push_back(std::abs(predicted / measured - 1));
    logs.push_back(std::log(predicted / measured));
    total += predicted;
    total_measured += measured;
  }
  if (absolute.empty()) return quality;
  quality.points = absolute.size();
  for (const double error : absolute)
    quality.mean_absolute_error += error / static_cast<double>(absolute.size());
  quality.median_absolute_error = median(absolute);
  quality.total_bias = total / total_measured - 1;
  quality.log_sigma = rms(logs);
  return quality;
}

std::string group_of(const std::string& law) {
  if (law.starts_with("rnn")) return "rnn";
  if (!law.starts_with("conv")) return law;
  return "conv" + law.substr(law.find(' ', 5));  // "conv 3x3 forward" -> "conv forward"
}

std::string class_of(const Operation& operation, const char* pass) {
  switch (operation.kind) {
    case OpKind::conv2d: {
      const Extent kernel = std::get<ConvAttributes>(operation.attributes).kernel;
      const char* kind = kernel == Extent(1) ? "1x1" : kernel == Extent(3) ? "3x3" : "other";
      return fmt::format("conv {} {}", kind, pass);
    }
    case OpKind::dense:
    case OpKind::attention:
      return "gemm";
    case OpKind::lstm:
      return fmt::format("rnn {}", pass);
    default:
      return "streaming";
  }
}

class LayerTransfer {
 public:
  LayerTransfer(const TransferModel& model, const Operation& operation, std::int64_t batch)
      : model_(model), operation_(operation), batch_(static_cast<double>(batch)) {}

  LayerTimes operator()(const LayerTimes& from) {
    LayerTimes to{from.name, {}, {}, {}};
    to.forward = timing(from.forward, {forward()});
    const bool split = from.backward_weight.median_s > 0 || operation_.backward_weight_flops == 0;
    if (split) {
      to.backward_data = timing(from.backward_data, {backward_data()});
      to.backward_weight = timing(from.backward_weight, {backward_weight()});
    } else {
      to.backward_data = timing(from.backward_data, {backward_data(), backward_weight()});
    }
    return to;
  }
  /// Seconds times sigma, summed over the passes.
  [[nodiscard]] double error_s() const { return error_s_; }
  [[nodiscard]] double total_s() const { return total_s_; }

 private:
  [[nodiscard]] TransferAnchor kernel(const char* pass, double flops, double bytes) const {
    const std::string law = class_of(operation_, pass);
    return {law, flops, bytes, law.starts_with("conv 3x3"), 0, 0};
  }
  [[nodiscard]] TransferAnchor forward() const {
    return kernel("forward", operation_.forward_flops * batch_,
                  operation_.forward_bytes * batch_ + operation_.parameter_bytes);
  }
  [[nodiscard]] TransferAnchor backward_data() const {
    return kernel("backward data", operation_.backward_data_flops * batch_,
                  (operation_.backward_bytes - operation_.backward_weight_bytes) * batch_ +
                      operation_.parameter_bytes);
  }
  [[nodiscard]] TransferAnchor backward_weight() const {
    return kernel("backward weight", operation_.backward_weight_flops * batch_,
                  operation_.backward_weight_bytes * batch_ + operation_.gradient_bytes);
  }

  // Several kernels timed as one share the time in proportion to their work.
  Timing timing(const Timing& from, std::vector<TransferAnchor> kernels) {
    if (from.median_s == 0) return from;
    std::erase_if(kernels, [](const TransferAnchor& k) { return k.flops == 0 && k.bytes == 0; });
    double flops = 0;
    for (const TransferAnchor& k : kernels) flops += k.flops + k.bytes;
    if (flops == 0) return from;
    Timing to;
    double error = 0;
    for (const TransferAnchor& k : kernels) {
      const double share = (k.flops + k.bytes) / flops;
      const double seconds = model_.seconds(from.median_s * share, k);
      to.median_s += seconds;
      error += seconds * model_.sigma(k.law);
    }
    const double ratio = to.median_s / from.median_s;
    if (from.p25_s) to.p25_s = *from.p25_s * ratio;
    if (from.p75_s) to.p75_s = *from.p75_s * ratio;
    error_s_ += error;
    total_s_ += to.median_s;
    return to;
  }

  const TransferModel& model_;
  const Operation& operation_;
  double batch_;
  double error_s_ = 0, total_s_ = 0;
};

void check_source(const Profile& from, const Model& model) {
  const auto refuse = [&](const std::string& why) {
    throw InputError(fmt::format("the profile of '{}' on {} cannot be transferred: {}", from.model,
                                 from.device, why));
  };
  if (from.model != model.name()) refuse(fmt::format("it is not of '{}'", model.name()));
  if (from.source != ProfileSource::measured)
    refuse(fmt::format("it is {}, not measured", to_string(from.source)));
  if (from.precision != "fp32") refuse(fmt::format("its precision is {}", from.precision));
  const std::size_t layers = timed_operations(model).size();
  for (const BatchTimes& times : from.batches)
    if (!times.batch || times.layers.size() != layers)
      refuse(fmt::format("expected a batch with times of {} layers", layers));
}

}  // namespace

double roofline_transfer(double seconds, const TransferAnchor& kernel, const TransferGpu& from,
                         const TransferGpu& to) {
  const double net = std::max(seconds - from.launch_s, 0.0);
  const double saving = kernel.three_by_three ? kWinogradSaving : 1;
  const double floor_from = roof(kernel, from, saving), floor_to = roof(kernel, to, saving);
  const double scaled = net * roof(kernel, to) / roof(kernel, from);
  const double floor = floor_to * std::min(1.0, net / floor_from);
  return std::min(seconds, from.launch_s) * to.launch_s / from.launch_s + std::max(scaled, floor);
}

TransferModel::TransferModel(TransferGpu from, TransferGpu to,
                             const std::vector<TransferAnchor>& anchors)
    : from_(from), to_(to) {
  std::map<std::string, std::vector<const TransferAnchor*>> classes;
  for (const TransferAnchor& anchor : anchors) classes[anchor.law].push_back(&anchor);
  for (const auto& [law, of_class] : classes) {
    if (of_class.size() < kLeastAnchors) continue;
    const auto rows = static_cast<Eigen::Index>(of_class.size());
    Eigen::MatrixXd features(rows, 3);
    Eigen::VectorXd logs(rows);
    for (Eigen::Index row = 0; row < rows; ++row) {
      const TransferAnchor& anchor = *of_class[static_cast<std::size_t>(row)];
      const std::array<double, 3> values = features_of(anchor, to_);
      features.row(row) << values[0], values[1], values[2];
      logs(row) = std::log(anchor.to_s / roofline_transfer(anchor.from_s, anchor, from_, to_));
    }
    Eigen::Matrix3d normal = features.transpose() * features;
    normal(1, 1) += kRidge;
    normal(2, 2) += kRidge;
    const Eigen::Vector3d solution = normal.ldlt().solve(features.transpose() * logs);
    const double sigma = std::sqrt((features * solution - logs).squaredNorm() /
                                   static_cast<double>(std::max<Eigen::Index>(rows - 3, 1)));
    corrections_.push_back({law, solution(0), solution(1), solution(2), sigma});
  }
}

const TransferModel::Correction* TransferModel::correction(std::string_view law) const {
  for (const Correction& correction : corrections_)
    if (correction.law == law) return &correction;
  return nullptr;
}

double TransferModel::seconds(double from_s, const TransferAnchor& kernel) const {
  double seconds = roofline_transfer(from_s, kernel, from_, to_);
  if (const Correction* c = correction(kernel.law)) {
    const std::array<double, 3> values = features_of(kernel, to_);
    seconds *= std::exp(c->constant + c->intensity * values[1] + c->work * values[2]);
  }
  return seconds;
}

double TransferModel::sigma(std::string_view law) const {
  if (from_.ceilings.sgemm_flops == to_.ceilings.sgemm_flops &&
      from_.ceilings.memory_bandwidth == to_.ceilings.memory_bandwidth && corrections_.empty())
    return 0;
  if (const Correction* c = correction(law)) return c->sigma;
  if (law == "streaming") return kStreamingSigma;
  static const std::map<std::string, double> uncorrected = [] {
    std::map<std::string, std::vector<double>> of_group;
    for (const auto& [from, to] : validation_pairs())
      for (const TransferErrors& errors : validate_transfer(from, to))
        if (errors.raw.points > 0) of_group[errors.group].push_back(errors.raw.log_sigma);
    std::map<std::string, double> result;
    for (const auto& [group, sigmas] : of_group) result[group] = median(sigmas);
    return result;
  }();
  const auto found = uncorrected.find(group_of(std::string(law)));
  return found == uncorrected.end() ? kUnknownSigma : found->second;
}

std::vector<TransferAnchor> deepbench_anchors(std::string_view from, std::string_view to) {
  const DeepBenchTable a = shipped_deepbench(from), b = shipped_deepbench(to);
  std::map<std::pair<std::string, std::string>, double> seconds;
  for (const DeepBenchPoint& point : a.points) seconds[{point.law, point.key}] = point.seconds;
  std::vector<TransferAnchor> anchors;
  for (const DeepBenchPoint& point : b.points)
    if (const auto found = seconds.find({point.law, point.key}); found != seconds.end())
      anchors.push_back({point.law, point.flops, point.bytes, point.three_by_three, found->second,
                         point.seconds});
  return anchors;
}

std::string deepbench_name(const GpuSpec& gpu) {
  for (const Measured& row : kDeepBench)
    if (row.gpu == gpu.name) return std::string(row.column);
  return "";
}

TransferGpu transfer_gpu(const GpuSpec& gpu) {
  const GpuCeilings ceilings = gpu_ceilings(gpu);
  return {{ceilings.sgemm_flops, ceilings.memory_bandwidth}, *analytic_operations(gpu).launch_s};
}

std::string profile_hash(const Profile& profile) {
  return fmt::format("fnv1a64:{:016x}", fnv1a64(profile_json(profile).dump(2)));
}

Profile transfer_profile(const Profile& from, const Model& model, const GpuSpec& from_gpu,
                         const GpuSpec& to_gpu, const std::vector<TransferAnchor>& anchors) {
  check_source(from, model);
  TransferGpu source = transfer_gpu(from_gpu);
  if (from.ceilings.sgemm_flops) source.ceilings.sgemm_flops = *from.ceilings.sgemm_flops;
  if (from.ceilings.memory_bandwidth)
    source.ceilings.memory_bandwidth = *from.ceilings.memory_bandwidth;
  if (from.operations.launch_s) source.launch_s = *from.operations.launch_s;
  const TransferGpu target = from_gpu.name == to_gpu.name ? source : transfer_gpu(to_gpu);
  const TransferModel transfer(source, target, anchors);

  Profile to;
  to.source = ProfileSource::transferred;
  to.device = to_gpu.name;
  to.model = from.model;
  to.software = from.software;
  to.parent = profile_hash(from);
  to.host_overhead_per_op_s = from.host_overhead_per_op_s;
  to.ceilings = {target.ceilings.sgemm_flops, target.ceilings.memory_bandwidth, {}};
  to.operations = analytic_operations(to_gpu);
  to.description =
      fmt::format("from {}, ratio of ceilings, {}", from.device,
                  transfer.has_anchors() ? fmt::format("corrected on {} anchors", anchors.size())
                                         : "without anchors");
  const std::vector<std::size_t> timed = timed_operations(model);
  Json sigmas = Json::object();
  for (const BatchTimes& times : from.batches) {
    BatchTimes moved;
    moved.batch = times.batch;
    moved.input_pipeline_s = times.input_pipeline_s;
    moved.host_overhead_per_op_s = times.host_overhead_per_op_s;
    double error = 0, total = 0;
    for (std::size_t i = 0; i < timed.size(); ++i) {
      LayerTransfer layer(transfer, model.operations()[timed[i]], *times.batch);
      moved.layers.push_back(layer(times.layers[i]));
      error += layer.error_s();
      total += layer.total_s();
      if (layer.total_s() > 0)
        sigmas[moved.layers.back().name] =
            std::hypot(from.uncertainty, layer.error_s() / layer.total_s());
    }
    if (total > 0)
      to.uncertainty = std::max(to.uncertainty, std::hypot(from.uncertainty, error / total));
    to.batches.push_back(std::move(moved));
  }
  to.metadata = {{"parent_device", from.device},
                 {"parent_uncertainty", from.uncertainty},
                 {"layer_sigma", std::move(sigmas)}};
  return to;
}

std::vector<TransferErrors> validate_transfer(std::string_view from, std::string_view to) {
  constexpr std::size_t kFolds = 5;
  const TransferGpu a = deepbench_gpu(shipped_deepbench(from));
  const TransferGpu b = deepbench_gpu(shipped_deepbench(to));
  const std::vector<TransferAnchor> anchors = deepbench_anchors(from, to);
  using Pairs = std::vector<std::pair<double, double>>;
  std::map<std::string, std::pair<Pairs, Pairs>> groups;
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<TransferAnchor> others;
    for (std::size_t i = 0; i < anchors.size(); ++i)
      if (i % kFolds != fold) others.push_back(anchors[i]);
    const TransferModel model(a, b, others);
    for (std::size_t i = fold; i < anchors.size(); i += kFolds) {
      auto& [raw, corrected] = groups[group_of(anchors[i].law)];
      raw.emplace_back(roofline_transfer(anchors[i].from_s, anchors[i], a, b), anchors[i].to_s);
      corrected.emplace_back(model.seconds(anchors[i].from_s, anchors[i]), anchors[i].to_s);
    }
  }
  std::vector<TransferErrors> result;
  for (const auto& [group, pairs] : groups)
    result.push_back({std::string(from), std::string(to), group, quality_of(pairs.first),
                      quality_of(pairs.second)});
  return result;
}

std::vector<std::pair<std::string, std::string>> validation_pairs() {
  return {{"TitanXp", "1080Ti"}, {"P100", "1080Ti"}, {"V100", "1080Ti"},
          {"T4", "1080Ti"},      {"V100", "P100"},   {"V100", "T4"},
          {"P100", "V100"},      {"1080Ti", "V100"}, {"TitanX", "1080Ti"}};
}

}  // namespace paceline
