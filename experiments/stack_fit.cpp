#include "experiments/stack_fit.hpp"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "experiments/run.hpp"
#include "experiments/validate.hpp"
#include "platforms/stack_file.hpp"

namespace paceline {
namespace {

constexpr int kSteps = 12, kHalvings = 5;
constexpr double kEnough = 1e-5;   // of the root of the mean square
constexpr double kProbe = 0.02;    // a constant is moved by this share of its scale
constexpr double kLargeProbe = 1;  // where that moves no row
constexpr double kStill = 1e-9;
const Default kReading{"stack_fit.least_error", 0.005, "",
                       "relative error that a measured time has at least, where a fit is perfect"};

// Bandwidths are fitted as what they cost, 1/B, so that "infinite" is 0 and steps are linear in
// time.
bool is_inverse(const StackField& field) {
  return field.unit == StackUnit::bandwidth;
}

class Fit {
 public:
  Fit(const std::vector<PublishedRow>& rows, Stack stack, const StackFitSettings& settings)
      : rows_(rows), stack_(std::move(stack)), settings_(settings) {
    for (const std::string& key : settings.constants) {
      fields_.push_back(&find_stack_field(key));
      if (!can_be_fitted(*fields_.back()))
        throw InputError(fmt::format("{}: no constant that measured rows can say", key));
    }
    if (rows.size() < fields_.size())
      throw InputError(
          fmt::format("{} rows cannot say {} constants of a stack", rows.size(), fields_.size()));
  }

  StackFit run() {
    Eigen::VectorXd at = start();
    const Eigen::VectorXd first = at;
    Eigen::VectorXd residual = residuals({at}).front();
    StackFit fit;
    fit.rows = rows_.size();
    fit.error_before = mean_error(residual);
    Eigen::MatrixXd slopes;
    for (int step = 0; step < kSteps; ++step) {
      slopes = jacobian(at, residual);
      const double before = residual.norm();
      if (!improve(at, residual, slopes) || before - residual.norm() < kEnough * before) break;
      if (settings_.progress)
        settings_.progress(
            fmt::format("step {}: mean error {:.1f} %", step + 1, 100 * mean_error(residual)));
    }
    slopes = jacobian(at, residual);
    fit.error_after = mean_error(residual);
    fit.simulations = simulations_;
    describe(first, at, residual, slopes, fit);
    return fit;
  }

 private:
  [[nodiscard]] double scale(std::size_t i) const {
    switch (fields_[i]->unit) {
      case StackUnit::duration:
        return fields_[i]->key.find("per_parameter") != std::string_view::npos ||
                       fields_[i]->key.find("per_selected") != std::string_view::npos
                   ? 1e-8
                   : 1e-3;
      case StackUnit::bandwidth:
        return 1 / 1e9;
      default:
        return 0.2;
    }
  }

  [[nodiscard]] Eigen::VectorXd start() const {
    Eigen::VectorXd at(static_cast<Eigen::Index>(fields_.size()));
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      const double value = (stack_.*fields_[i]->constant).value;
      at[static_cast<Eigen::Index>(i)] = (is_inverse(*fields_[i]) ? 1 / value : value) / scale(i);
    }
    return at;
  }

  [[nodiscard]] double value(std::size_t i, double scaled) const {
    const double raw = scaled * scale(i);
    const StackField& field = *fields_[i];
    const double natural = is_inverse(field) ? (raw > 0 ? 1 / raw : kInfinity) : raw;
    return std::clamp(natural, field.least, field.most);
  }

  [[nodiscard]] Json with(const PublishedRow& row, const Eigen::VectorXd& at) const {
    Stack stack = stack_;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      StackConstant& constant = stack.*fields_[i]->constant;
      constant.value = value(i, at[static_cast<Eigen::Index>(i)]);
      if (!constant.stated()) constant.source = "fit";
    }
    Json experiment = row.experiment;
    experiment["stack"] = write_stack(stack);
    return experiment;
  }

  // log(predicted / measured) of every row at every point, simulated side by side.
  std::vector<Eigen::VectorXd> residuals(const std::vector<Eigen::VectorXd>& points) {
    std::vector<std::function<Json()>> tasks;
    for (const Eigen::VectorXd& at : points)
      for (const PublishedRow& row : rows_)
        tasks.push_back([this, &row, &at] {
          PublishedRow moved = row;
          moved.experiment = with(row, at);
          return Json(std::log(replay(moved).predicted_s / row.measured_s));
        });
    simulations_ += tasks.size();
    const std::vector<Json> results = run_isolated(tasks, settings_.parallel);
    std::vector<Eigen::VectorXd> found;
    for (std::size_t p = 0; p < points.size(); ++p) {
      Eigen::VectorXd residual(static_cast<Eigen::Index>(rows_.size()));
      for (std::size_t r = 0; r < rows_.size(); ++r)
        residual[static_cast<Eigen::Index>(r)] = results[p * rows_.size() + r].get<double>();
      found.push_back(std::move(residual));
    }
    return found;
  }

  // By small steps, and by large ones where those move nothing: what is hidden behind computation
  // shows only when there is enough of it.
  Eigen::MatrixXd jacobian(const Eigen::VectorXd& at, const Eigen::VectorXd& residual) {
    Eigen::MatrixXd slopes = Eigen::MatrixXd::Zero(residual.size(), at.size());
    for (const double probe : {kProbe, kLargeProbe}) {
      std::vector<Eigen::Index> still;
      std::vector<Eigen::VectorXd> points;
      for (Eigen::Index i = 0; i < at.size(); ++i) {
        if (slopes.col(i).norm() > kStill) continue;
        still.push_back(i);
        points.push_back(at);
        points.back()[i] += probe * std::max(1.0, std::abs(at[i]));
      }
      const std::vector<Eigen::VectorXd> moved = residuals(points);
      for (std::size_t p = 0; p < still.size(); ++p)
        slopes.col(still[p]) = (moved[p] - residual) / (points[p][still[p]] - at[still[p]]);
    }
    return slopes;
  }

  // One damped step; false if none of its halves is better.
  bool improve(Eigen::VectorXd& at, Eigen::VectorXd& residual, const Eigen::MatrixXd& slopes) {
    Eigen::MatrixXd normal = slopes.transpose() * slopes;
    normal.diagonal().array() += 1e-9 * std::max(1e-12, normal.diagonal().maxCoeff());
    const Eigen::VectorXd step = -normal.ldlt().solve(slopes.transpose() * residual);
    std::vector<Eigen::VectorXd> tries;
    for (int h = 0; h < kHalvings; ++h) tries.push_back((at + step * std::pow(0.5, h)).cwiseMax(0));
    const std::vector<Eigen::VectorXd> found = residuals(tries);
    const auto best = std::min_element(
        found.begin(), found.end(),
        [](const Eigen::VectorXd& a, const Eigen::VectorXd& b) { return a.norm() < b.norm(); });
    if (best->norm() >= residual.norm()) return false;
    at = tries[static_cast<std::size_t>(best - found.begin())];
    residual = *best;
    return true;
  }

  static double mean_error(const Eigen::VectorXd& residual) {
    return (residual.array().exp() - 1).abs().mean();
  }

  void describe(const Eigen::VectorXd& first, const Eigen::VectorXd& at,
                const Eigen::VectorXd& residual, const Eigen::MatrixXd& slopes,
                StackFit& fit) const {
    const auto free = std::max<Eigen::Index>(1, residual.size() - at.size());
    const double variance =
        std::max(double{kReading} * kReading, residual.squaredNorm() / static_cast<double>(free));
    const Eigen::MatrixXd normal = slopes.transpose() * slopes;
    const Eigen::MatrixXd covariance =
        normal.completeOrthogonalDecomposition().pseudoInverse() * variance;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      const auto n = static_cast<Eigen::Index>(i);
      FittedConstant constant{std::string(fields_[i]->key), value(i, first[n]), value(i, at[n]), 0,
                              false};
      const double sigma = std::sqrt(std::max(0.0, covariance(n, n)));
      if (slopes.col(n).norm() > kStill && at[n] > 0) {
        constant.identified = sigma <= 0.5 * at[n];
        constant.sigma = constant.value * std::min(10.0, sigma / at[n]);
      }
      fit.constants.push_back(constant);
    }
  }

  const std::vector<PublishedRow>& rows_;
  Stack stack_;
  const StackFitSettings& settings_;
  std::vector<const StackField*> fields_;
  std::size_t simulations_ = 0;
};

}  // namespace

StackFit fit_stack(const std::vector<PublishedRow>& rows, Stack stack,
                   const StackFitSettings& settings) {
  return Fit(rows, std::move(stack), settings).run();
}

}  // namespace paceline
