#include "sim/values/training_metrics.hpp"

#include <cmath>

namespace paceline {
namespace {

double square(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return sum;
}

}  // namespace

void TrainingMetrics::applied(std::int64_t staleness) {
  ++applications_;
  sum_ += staleness;
  most_stale_ = std::max(most_stale_, staleness);
}

void TrainingMetrics::passed(float loss) {
  const std::scoped_lock lock(mutex_);
  const auto at = static_cast<std::size_t>(passes_++) % workers_;
  if (losses_.size() <= at) losses_.resize(at + 1);
  losses_[at] = loss;
}

void TrainingMetrics::report(TrainingProgress& progress) const {
  const std::scoped_lock lock(mutex_);
  progress.passes = passes_;
  if (losses_.empty()) return;
  double sum = 0;
  for (const float loss : losses_) sum += static_cast<double>(loss);
  progress.loss = sum / static_cast<double>(losses_.size());
}

std::optional<double> TrainingMetrics::mean_staleness() const {
  if (applications_ == 0) return std::nullopt;
  return static_cast<double>(sum_) / static_cast<double>(applications_);
}

void TrainingMetrics::compressed(std::int64_t step, const Tensor& residual, const Sparse& sent) {
  const SparseBuffer& buffer = buffer_of(sent);
  add(
      step, residual,
      [pairs = buffer.data](std::vector<double>& x) {
        const auto indices = pairs->indices.read();
        const auto values = pairs->values.read();
        for (std::size_t i = 0; i < indices.size(); ++i)
          x[static_cast<std::size_t>(indices[i])] += static_cast<double>(values[i]);
      },
      buffer.written, buffer.data);
}

void TrainingMetrics::compressed(std::int64_t step, const Tensor& residual, const Tensor& sent) {
  add(
      step, residual,
      [view = View(sent)](std::vector<double>& x) {
        const std::span<const float> values = view.read();
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += static_cast<double>(values[i]);
      },
      buffer_of(sent).written, nullptr);
}

void TrainingMetrics::add(std::int64_t step, const Tensor& residual, AddTo sent,
                          const TaskGraph::Ref& written, std::shared_ptr<SparseData> sparse) {
  const Key key{step, residual.offset()};
  Group& group = open_[key];
  if (!group.measured) group.measured = graph_.state().record(Measured{0, 0, 0, std::nan("")});
  group.residuals.emplace_back(residual);
  group.sent.push_back(std::move(sent));
  if (sparse) group.sparse.push_back(std::move(sparse));
  group.after.push_back(buffer_of(residual).written);
  group.after.push_back(written);
  if (group.residuals.size() < workers_) return;
  samples_[key] = {residual.elements(), group.measured};
  std::vector<TaskGraph::Ref> after = std::move(group.after);
  graph_.post([group = std::move(group)] { evaluate(group); }, std::move(after));
  open_.erase(key);
}

void TrainingMetrics::evaluate(const Group& group) {
  Measured& sample = *group.measured;
  const auto elements = group.residuals.front().read().size();
  const auto workers = static_cast<double>(group.residuals.size());
  std::vector<double> own, left_out(elements), all(elements);
  double squares = 0;
  for (std::size_t p = 0; p < group.residuals.size(); ++p) {
    const std::span<const float> residual = group.residuals[p].read();
    own.assign(residual.begin(), residual.end());
    for (std::size_t i = 0; i < elements; ++i) left_out[i] += own[i];
    const double kept = square(own);
    group.sent[p](own);  // a_p = eps_p + what was sent
    for (std::size_t i = 0; i < elements; ++i) all[i] += own[i];
    squares += kept / workers;
    if (const double whole = square(own); whole > 0) sample.error += kept / whole / workers;
  }
  sample.residual_norm = std::sqrt(squares);
  if (group.sparse.empty()) return;
  for (const auto& pairs : group.sparse)
    sample.selected += static_cast<double>(pairs->indices.size()) / workers;
  const double random = (1 - sample.selected / static_cast<double>(elements)) * square(all);
  sample.delta = random > 0 ? square(left_out) / random : 0;
}

std::vector<CompressionSample> TrainingMetrics::compression() const {
  std::vector<CompressionSample> result;
  for (const auto& [key, sample] : samples_) {
    const Measured& found = *sample.measured;
    CompressionSample& one = result.emplace_back();
    one.step = key.first + 1;
    one.offset = key.second;
    one.elements = sample.elements;
    one.selected = found.selected;
    one.residual_norm = found.residual_norm;
    one.error = found.error;
    if (!std::isnan(found.delta)) one.delta = found.delta;
  }
  return result;
}

}  // namespace paceline
