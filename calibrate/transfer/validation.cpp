// The GPUs that DeepBench timed, and how well transfers between them hold.

#include <fmt/format.h>

#include <array>
#include <map>

#include "base/error.hpp"
#include "calibrate/profile/gpu_ceilings.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "calibrate/transfer/transfer.hpp"

namespace paceline {
namespace {

// DeepBench's names and ours; of GPUs that the specification table has not, the data sheet's
// bandwidth.
struct Measured {
  std::string_view column, gpu;
  double bandwidth;
};
constexpr std::array<Measured, 8> kDeepBench{{{"1080Ti", "GTX 1080 Ti", 0},
                                              {"TitanXp", "", 547.7e9},
                                              {"TitanX_Pascal", "Titan X Pascal", 0},
                                              {"P100", "P100 SXM2", 0},
                                              {"V100", "V100 SXM2", 0},
                                              {"T4", "T4", 0},
                                              {"M40", "", 288e9},
                                              {"TitanX", "", 336.5e9}}};

std::vector<std::string> deepbench_columns() {
  std::vector<std::string> names;
  for (const Measured& row : kDeepBench) names.emplace_back(row.column);
  return names;
}

TransferGpu deepbench_gpu(std::string_view column) {
  for (const Measured& row : kDeepBench) {
    if (row.column != column) continue;
    if (!row.gpu.empty()) return transfer_gpu(find_gpu(row.gpu));
    return {{shipped_deepbench(column).sgemm_flops, kStreamingShare * row.bandwidth}, 5e-6, 0, 0};
  }
  throw InputError(unknown_name("GPU of DeepBench", column, deepbench_columns()));
}

}  // namespace

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
  return {{ceilings.sgemm_flops, ceilings.memory_bandwidth},
          *analytic_operations(gpu).launch_s,
          gpu.l2_bytes,
          0};
}

std::vector<TransferErrors> validate_transfer(std::string_view from, std::string_view to) {
  constexpr std::size_t folds = 5;
  const TransferGpu a = deepbench_gpu(from);
  const TransferGpu b = deepbench_gpu(to);
  const std::vector<TransferAnchor> anchors = deepbench_anchors(from, to);
  struct Group {
    std::vector<double> raw, corrected, measured;
  };
  std::map<std::string, Group> groups;
  for (std::size_t fold = 0; fold < folds; ++fold) {
    std::vector<TransferAnchor> others;
    for (std::size_t i = 0; i < anchors.size(); ++i)
      if (i % folds != fold) others.push_back(anchors[i]);
    const TransferModel model(a, b, others);
    for (std::size_t i = fold; i < anchors.size(); i += folds) {
      Group& group = groups[transfer_group(anchors[i].law)];
      group.raw.push_back(roofline_transfer(anchors[i].from_s, anchors[i], a, b));
      group.corrected.push_back(model.seconds(anchors[i].from_s, anchors[i]));
      group.measured.push_back(anchors[i].to_s);
    }
  }
  std::vector<TransferErrors> result;
  for (const auto& [name, group] : groups)
    result.push_back({std::string(from), std::string(to), name,
                      quality_of(group.raw, group.measured),
                      quality_of(group.corrected, group.measured)});
  return result;
}

std::string markdown_row(const TransferErrors& errors) {
  const auto text = [](const FitQuality& q) {
    return fmt::format("{:.0f} / {:.0f} / {:+.0f}", 100 * q.mean_absolute_error,
                       100 * q.median_absolute_error, 100 * q.total_bias);
  };
  return fmt::format("| {} | {} | {} | {} | {} | {} |", errors.from, errors.to, errors.group,
                     errors.raw.points, text(errors.raw), text(errors.corrected));
}

std::vector<std::pair<std::string, std::string>> validation_pairs() {
  return {{"TitanXp", "1080Ti"}, {"P100", "1080Ti"}, {"V100", "1080Ti"},
          {"T4", "1080Ti"},      {"V100", "P100"},   {"V100", "T4"},
          {"P100", "V100"},      {"1080Ti", "V100"}, {"TitanX", "1080Ti"}};
}

}  // namespace paceline
