#include "calibrate/network_fit.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/csv.hpp"
#include "calibrate/deepbench.hpp"

namespace paceline {
namespace {

using Samples = std::vector<TransferSample>;

constexpr std::size_t kLeastSizes = 4;  // in each of two segments
constexpr double kEvidence = 6;         // difference of the criterion that counts as strong
constexpr double kLeastError = 1e-3;    // relative; below it fits do not differ

double weighted_squares(const Samples& samples, double alpha, double beta) {
  double sum = 0;
  for (const TransferSample& sample : samples) {
    const double error = (alpha + beta * sample.bytes) / sample.seconds - 1;
    sum += error * error;
  }
  return sum;
}

// Rows (1, bytes) / seconds against 1.
TransferSegment fit_one(const Samples& samples) {
  const auto rows = static_cast<Eigen::Index>(samples.size());
  Eigen::MatrixXd features(rows, 2);
  for (Eigen::Index row = 0; row < rows; ++row) {
    const TransferSample& sample = samples[static_cast<std::size_t>(row)];
    features(row, 0) = 1 / sample.seconds;
    features(row, 1) = sample.bytes / sample.seconds;
  }
  const double scale = features.col(1).maxCoeff();
  features.col(1) /= scale;
  const Eigen::VectorXd ones = Eigen::VectorXd::Ones(rows);
  const Eigen::VectorXd solution = features.colPivHouseholderQr().solve(ones);
  double alpha = solution(0), beta = solution(1) / scale;
  const auto alone = [&](Eigen::Index column) {
    return features.col(column).dot(ones) / features.col(column).squaredNorm();
  };
  if (alpha < 0) alpha = 0, beta = alone(1) / scale;
  if (beta < 0) alpha = alone(0), beta = 0;
  TransferSegment segment;
  segment.alpha_s = alpha;
  segment.beta_s_per_byte = beta;
  segment.from_bytes = samples.front().bytes;
  segment.to_bytes = samples.back().bytes;
  segment.points = samples.size();
  for (const TransferSample& sample : samples) {
    const double error = std::abs((alpha + beta * sample.bytes) / sample.seconds - 1);
    segment.mean_error += error / static_cast<double>(samples.size());
    segment.worst_error = std::max(segment.worst_error, error);
  }
  return segment;
}

double squares(const Samples& samples, const TransferSegment& segment) {
  return weighted_squares(samples, segment.alpha_s, segment.beta_s_per_byte);
}

double criterion(double sum_of_squares, std::size_t points, int parameters) {
  const auto n = static_cast<double>(points);
  return n * std::log(sum_of_squares / n + kLeastError * kLeastError) + parameters * std::log(n);
}

std::size_t sizes_of(const Samples& samples) {
  std::set<double> sizes;
  for (const TransferSample& sample : samples) sizes.insert(sample.bytes);
  return sizes.size();
}

}  // namespace

double TransferFit::seconds(double bytes) const {
  const TransferSegment* of = &segments.back();
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment)
    if (bytes <= segment->to_bytes) of = &*segment;
  return of->alpha_s + of->beta_s_per_byte * bytes;
}

TransferFit fit_transfers(const std::vector<TransferSample>& samples, const std::string& what) {
  Samples sorted = samples;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  if (sizes_of(sorted) < 2)
    throw InputError(
        fmt::format("{}: a fit of latency and bandwidth needs two sizes or more, "
                    "found {}",
                    what, sizes_of(sorted)));
  TransferFit fit;
  fit.segments = {fit_one(sorted)};
  fit.bic_of_one = criterion(squares(sorted, fit.segments[0]), sorted.size(), 2);
  std::vector<TransferSegment> best;
  for (std::size_t cut = 1; cut < sorted.size(); ++cut) {
    if (sorted[cut].bytes == sorted[cut - 1].bytes) continue;
    const Samples small(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(cut));
    const Samples large(sorted.begin() + static_cast<std::ptrdiff_t>(cut), sorted.end());
    if (sizes_of(small) < kLeastSizes || sizes_of(large) < kLeastSizes) continue;
    const TransferSegment low = fit_one(small), high = fit_one(large);
    const double bic = criterion(squares(small, low) + squares(large, high), sorted.size(), 5);
    if (best.empty() || bic < fit.bic_of_two) best = {low, high}, fit.bic_of_two = bic;
  }
  if (!best.empty() && fit.bic_of_two < fit.bic_of_one - kEvidence) fit.segments = best;
  return fit;
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

FittedLink link_of(const TransferLog& log, const TransferFit& fit,
                   const TransferFit* bandwidth_fit) {
  const double alpha = fit.segments.front().alpha_s, beta = fit.segments.back().beta_s_per_byte;
  if (beta <= 0)
    throw InputError(
        fmt::format("{}: the times do not grow with the size, so they say nothing of the bandwidth",
                    log.source));
  FittedLink link;
  if (log.kind == TransferKind::all_reduce) {
    if (!log.ranks || *log.ranks < 2)
      throw InputError(fmt::format(
          "{}: of how many ranks is this all-reduce? give --ranks (2 or more)", log.source));
    const double steps = 2.0 * (*log.ranks - 1);
    link.latency_s = alpha / steps;
    link.bandwidth = steps / *log.ranks / beta;
    link.derivation =
        fmt::format("read as a ring of {} steps: {} per step, {} per link", steps,
                    format_duration(link.latency_s), format_bandwidth(link.bandwidth));
  } else {
    link.latency_s = alpha;
    link.bandwidth = 1 / beta;
    link.derivation =
        fmt::format("{} and {}", format_duration(alpha), format_bandwidth(link.bandwidth));
  }
  if (bandwidth_fit != nullptr) {
    const TransferSegment& many = bandwidth_fit->segments.back();
    if (many.beta_s_per_byte > 0) link.bandwidth = 1 / many.beta_s_per_byte;
    link.overhead_s = std::min(bandwidth_fit->segments.front().alpha_s, link.latency_s);
    link.latency_s -= link.overhead_s;
    link.derivation +=
        fmt::format("; many messages in flight: {} each, {}", format_duration(link.overhead_s),
                    format_bandwidth(link.bandwidth));
  }
  return link;
}

ClusterSpec with_link(ClusterSpec base, const FittedLink& link, const std::string& name,
                      const std::string& source) {
  base.name = name;
  base.description = fmt::format("network fitted to {}", source);
  base.network.latency = link.latency_s;
  base.network.overhead = link.overhead_s;
  base.network.bandwidth = std::max(
      std::isinf(base.network.bandwidth) ? link.bandwidth : base.network.bandwidth, link.bandwidth);
  base.network.efficiency = std::min(1.0, link.bandwidth / base.network.bandwidth);
  base.sources["network"] = fmt::format("measured: {}; {}", source, link.derivation);
  validate(base);
  return base;
}

std::vector<ShippedFit> shipped_network_fits() {
  std::vector<ShippedFit> fits;
  const CsvTable table(shipped_data("deepbench/allreduce.csv"), "shipped deepbench/allreduce.csv");
  std::map<std::pair<std::string, int>, Samples> groups;
  for (std::size_t row = 0; row < table.rows(); ++row)
    if (table.is_number(row, "ms"))
      groups[{table.text(row, "gpu"), static_cast<int>(table.number(row, "chips"))}].push_back(
          {4 * table.number(row, "n"), table.number(row, "ms") * 1e-3, table.line(row)});
  for (const auto& [key, samples] : groups) {
    const std::string name = fmt::format("DeepBench {} x{}", key.first, key.second);
    if (sizes_of(samples) >= 3) fits.push_back({name, key.second, fit_transfers(samples, name)});
  }
  const Json published =
      parse_json(shipped_data("published/network-fits.json"), "shipped network-fits.json");
  for (const Json& item : published.at("allreduce")) {
    TransferSegment segment;
    segment.alpha_s = item.at("alpha_s");
    segment.beta_s_per_byte = item.at("beta_s_per_byte");
    segment.to_bytes = kInfinity;
    fits.push_back({item.at("cluster"), 0, {{segment}, 0, 0}});
  }
  return fits;
}

}  // namespace paceline
