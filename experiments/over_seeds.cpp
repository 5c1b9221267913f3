#include "experiments/over_seeds.hpp"

#include <algorithm>
#include <map>
#include <numeric>

namespace paceline {
namespace {

constexpr const char* kSeedAxis = "seed";

template <class Of>
std::optional<SeedSpread> spread_of(const std::vector<const ComparedRow*>& rows, const Of& of) {
  std::vector<double> values;
  for (const ComparedRow* row : rows)
    if (row->result.job.training)
      if (const auto value = of(*row->result.job.training))
        values.push_back(static_cast<double>(*value));
  if (values.empty()) return std::nullopt;
  return SeedSpread(values);
}

}  // namespace

SeedSpread::SeedSpread(const std::vector<double>& values)
    : mean(std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size())),
      least(*std::min_element(values.begin(), values.end())),
      most(*std::max_element(values.begin(), values.end())),
      count(values.size()) {}

std::optional<SeedSpread> SeedGroup::time_to_target() const {
  return spread_of(rows, [](const TrainingOutcome& t) { return t.time_to_target_s; });
}
std::optional<SeedSpread> SeedGroup::steps_to_target() const {
  return spread_of(rows, [](const TrainingOutcome& t) { return t.steps_to_target; });
}
std::optional<SeedSpread> SeedGroup::accuracy() const {
  return spread_of(rows, [](const TrainingOutcome& t) { return t.final_accuracy; });
}
std::optional<SeedSpread> SeedGroup::loss() const {
  return spread_of(rows, [](const TrainingOutcome& t) { return t.final_loss; });
}

OverSeeds over_seeds(const Comparison& comparison) {
  OverSeeds result;
  const auto seed = std::find(comparison.axes.begin(), comparison.axes.end(), kSeedAxis);
  const auto at = static_cast<std::size_t>(seed - comparison.axes.begin());
  for (std::size_t i = 0; i < comparison.axes.size(); ++i)
    if (i != at) result.axes.push_back(comparison.axes[i]);
  std::map<std::vector<std::string>, std::size_t> known;
  for (const ComparedRow& row : comparison.rows) {
    std::vector<std::string> labels;
    for (std::size_t i = 0; i < row.labels.size(); ++i)
      if (i != at) labels.push_back(row.labels[i]);
    const auto [it, fresh] = known.try_emplace(labels, result.groups.size());
    if (fresh) result.groups.push_back({labels, {}});
    SeedGroup& group = result.groups[it->second];
    group.rows.push_back(&row);
    result.seeds = std::max(result.seeds, group.rows.size());
  }
  return result;
}

SpreadCurve spread_curve(const std::vector<std::vector<CurvePoint>>& curves) {
  std::map<std::int64_t, std::vector<const CurvePoint*>> by_step;
  for (const std::vector<CurvePoint>& curve : curves)
    for (const CurvePoint& point : curve) by_step[point.step].push_back(&point);
  SpreadCurve result;
  for (const auto& [step, points] : by_step) {
    if (points.size() < curves.size()) continue;
    std::vector<double> x, y;
    for (const CurvePoint* point : points) {
      x.push_back(point->x);
      y.push_back(point->y);
    }
    const SeedSpread value(y);
    result.x.push_back(SeedSpread(x).mean);
    result.mean.push_back(value.mean);
    result.least.push_back(value.least);
    result.most.push_back(value.most);
  }
  return result;
}

}  // namespace paceline
