#include "calibrate/network/fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/least_squares.hpp"

namespace paceline {
namespace {

using Samples = std::vector<MessageSample>;

constexpr std::size_t kLeastSizes = 3;  // in each of several segments
constexpr std::size_t kMostSegments = 3;
constexpr std::size_t kMostCuts = 48;  // that are tried; logs have 7 to 30 sizes
const Default kEvidence{"network_fit.evidence", 6, "",
                        "difference of the Bayesian criterion from which a further segment counts "
                        "(strong, Kass and Raftery 1995)"};
const Default kLeastError{"network_fit.least_error", 0.02, "",
                          "relative error below which fits do not differ"};

double sum_of_squares(const Samples& samples, const TransferSegment& law) {
  double sum = 0;
  for (const MessageSample& sample : samples) {
    const double error = law.seconds(sample.bytes) / sample.seconds - 1;
    sum += error * error;
  }
  return sum;
}

// Rows (1, bytes) / seconds against 1.
TransferSegment fit_one(const Samples& samples) {
  double scale = 0;
  for (const MessageSample& sample : samples)
    scale = std::max(scale, sample.bytes / sample.seconds);
  DesignMatrix features(2);
  for (const MessageSample& sample : samples)
    features.add({1 / sample.seconds, sample.bytes / sample.seconds / scale});
  const std::vector<double> solution =
      least_squares(features, std::vector<double>(samples.size(), 1.0));
  double alpha = solution[0], beta = solution[1] / scale;
  const auto alone = [&](std::size_t column) {
    double sum = 0, squares = 0;
    for (const double x : features.column(column)) sum += x, squares += x * x;
    return sum / squares;
  };
  if (alpha < 0) alpha = 0, beta = alone(1) / scale;
  if (beta < 0) alpha = alone(0), beta = 0;
  TransferSegment segment;
  segment.alpha_s = alpha;
  segment.beta_s_per_byte = beta;
  segment.from_bytes = samples.front().bytes;
  segment.to_bytes = samples.back().bytes;
  return with_errors(segment, samples);
}

// The samples in order of size, cut wherever a segment may begin.
class Pieces {
 public:
  explicit Pieces(Samples sorted) : sorted_(std::move(sorted)) {
    std::vector<std::size_t> starts{0};  // of each size
    for (std::size_t i = 1; i < sorted_.size(); ++i)
      if (sorted_[i].bytes != sorted_[i - 1].bytes) starts.push_back(i);
    const std::size_t step = 1 + starts.size() / kMostCuts;
    for (std::size_t i = kLeastSizes; i + kLeastSizes <= starts.size(); i += step) {
      cuts_.push_back(starts[i]);
      sizes_before_.push_back(i);
    }
    cuts_.push_back(sorted_.size());
    sizes_before_.push_back(starts.size());
  }

  [[nodiscard]] std::size_t sizes() const { return sizes_before_.back(); }
  [[nodiscard]] std::size_t points() const { return sorted_.size(); }
  [[nodiscard]] std::size_t cuts() const { return cuts_.size(); }
  [[nodiscard]] bool long_enough(std::size_t from, std::size_t to) const {
    return sizes_before_[to] - sizes_before_[from] >= kLeastSizes;
  }

  struct Law {
    TransferSegment segment;
    double squares = 0;
  };
  // Of the samples between two cuts.
  [[nodiscard]] Law law(std::size_t from, std::size_t to) const {
    const auto at = [&](std::size_t cut) {
      return sorted_.begin() + static_cast<std::ptrdiff_t>(cuts_[cut]);
    };
    const Samples samples(at(from), at(to));
    Law law{fit_one(samples), 0};
    law.squares = sum_of_squares(samples, law.segment);
    return law;
  }

 private:
  Samples sorted_;
  std::vector<std::size_t> cuts_{0};          // indices into sorted_
  std::vector<std::size_t> sizes_before_{0};  // each cut
};

double criterion(double squares, std::size_t points, std::size_t segments) {
  const auto n = static_cast<double>(points);
  const auto parameters = static_cast<double>(3 * segments - 1);
  return n * std::log(squares / n + kLeastError * kLeastError) + parameters * std::log(n);
}

struct Partition {
  std::vector<TransferSegment> segments;
  double squares = HUGE_VAL;
};

// best[k][c]: the samples before cut c in k + 1 segments, with the least sum of squares. Only the
// last segment must grow with the size: among small messages the latency is all there is.
std::vector<Partition> best_partitions(const Pieces& pieces) {
  const std::size_t last = pieces.cuts() - 1;
  std::vector<std::vector<Partition>> best(kMostSegments, std::vector<Partition>(last + 1));
  for (std::size_t from = 0; from < last; ++from)
    for (std::size_t to = from + 1; to <= last; ++to) {
      const bool whole = from == 0 && to == last;
      if (!whole && !pieces.long_enough(from, to)) continue;
      const Pieces::Law law = pieces.law(from, to);
      if (!whole && to == last && law.segment.beta_s_per_byte <= 0) continue;
      const auto offer = [&](const Partition& before, Partition& partition) {
        if (before.squares + law.squares >= partition.squares) return;
        partition = {before.segments, before.squares + law.squares};
        partition.segments.push_back(law.segment);
      };
      if (from == 0) offer({{}, 0}, best[0][to]);
      for (std::size_t k = 1; k < kMostSegments && from > 0; ++k)
        offer(best[k - 1][from], best[k][to]);
    }
  std::vector<Partition> result;
  for (const auto& of_count : best) result.push_back(of_count[last]);
  return result;
}

}  // namespace

TransferSegment with_errors(TransferSegment segment, const std::vector<MessageSample>& samples) {
  segment.points = samples.size();
  segment.mean_error = segment.worst_error = 0;
  for (const MessageSample& sample : samples) {
    const double error = std::abs(segment.seconds(sample.bytes) / sample.seconds - 1);
    segment.mean_error += error / static_cast<double>(samples.size());
    segment.worst_error = std::max(segment.worst_error, error);
  }
  return segment;
}

double TransferFit::seconds(double bytes) const {
  const TransferSegment* of = &segments.back();
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment)
    if (bytes <= segment->to_bytes) of = &*segment;
  return of->seconds(bytes);
}

double TransferFit::mean_error() const {
  double sum = 0;
  std::size_t points = 0;
  for (const TransferSegment& segment : segments) {
    sum += segment.mean_error * static_cast<double>(segment.points);
    points += segment.points;
  }
  return points == 0 ? 0 : sum / static_cast<double>(points);
}

TransferFit fit_transfers(const std::vector<MessageSample>& samples, const std::string& what) {
  Samples sorted = samples;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  const Pieces pieces(std::move(sorted));
  if (pieces.sizes() < 2)
    throw InputError(
        fmt::format("{}: a fit of latency and bandwidth needs two sizes or more, "
                    "found {}",
                    what, pieces.sizes()));
  TransferFit fit;
  const std::vector<Partition> partitions = best_partitions(pieces);
  fit.segments = partitions[0].segments;
  fit.one_law = fit.segments.front();
  double best = HUGE_VAL;
  for (const Partition& partition : partitions) {
    if (partition.segments.empty()) break;
    fit.bic.push_back(criterion(partition.squares, pieces.points(), partition.segments.size()));
    const auto more = static_cast<double>(partition.segments.size() - fit.segments.size());
    if (fit.bic.size() > 1 && fit.bic.back() >= best - kEvidence * more) continue;
    best = fit.bic.back();
    fit.segments = partition.segments;
  }
  return fit;
}

TransferFit fit_log(const MessageLog& log) {
  const auto other_size = [&](const MessageSample& sample) {
    return sample.bytes != log.samples.front().bytes;
  };
  if (log.kind != MessagePattern::bandwidth || log.samples.empty() ||
      std::any_of(log.samples.begin(), log.samples.end(), other_size))
    return fit_transfers(log.samples, log.source);
  const double bytes = log.samples.front().bytes;
  double seconds = 0;
  for (const MessageSample& sample : log.samples)
    seconds += sample.seconds / static_cast<double>(log.samples.size());
  TransferFit fit;
  fit.one_law = with_errors({bytes, bytes, 0, seconds / bytes}, log.samples);
  fit.segments = {fit.one_law};
  return fit;
}

TransferSegment best_single_law(const TransferFit& fit, const std::vector<MessageSample>& samples) {
  if (samples.empty()) return fit.one_law;
  TransferSegment ends = fit.segments.front();
  ends.beta_s_per_byte = fit.segments.back().beta_s_per_byte;
  ends.to_bytes = fit.segments.back().to_bytes;
  ends = with_errors(ends, samples);
  const TransferSegment all = with_errors(fit.one_law, samples);
  return ends.mean_error < all.mean_error || all.beta_s_per_byte <= 0 ? ends : all;
}

double fit_contention(const std::vector<ContentionSample>& samples, double alpha_s,
                      double beta_s_per_byte) {
  double product = 0, square = 0;
  for (const ContentionSample& sample : samples) {
    const double others = (sample.jobs - 1) * sample.bytes;
    product += others * (sample.seconds - alpha_s - beta_s_per_byte * sample.jobs * sample.bytes);
    square += others * others;
  }
  if (square == 0) throw InputError("contention needs times with two jobs or more");
  return product / square;
}

}  // namespace paceline
