#include "base/least_squares.hpp"

// The one file that sees Eigen: its headers are a seventh of what a build would otherwise compile.
#include <Eigen/Dense>
#include <stdexcept>

namespace paceline {
namespace {

Eigen::MatrixXd matrix(const DesignMatrix& x) {
  Eigen::MatrixXd result(x.rows(), x.columns());
  for (std::size_t r = 0; r < x.rows(); ++r)
    for (std::size_t c = 0; c < x.columns(); ++c)
      result(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(c)) = x(r, c);
  return result;
}

Eigen::VectorXd vector(std::span<const double> values, std::size_t size) {
  if (values.size() != size) throw std::invalid_argument("a fit of columns of unequal length");
  return Eigen::Map<const Eigen::VectorXd>(values.data(), static_cast<Eigen::Index>(size));
}

std::vector<double> coefficients(const Eigen::VectorXd& solution) {
  return {solution.begin(), solution.end()};
}

}  // namespace

void DesignMatrix::add(std::span<const double> row) {
  if (row.size() != columns_) throw std::invalid_argument("a row of another number of columns");
  values_.insert(values_.end(), row.begin(), row.end());
}

std::vector<double> DesignMatrix::column(std::size_t column) const {
  std::vector<double> result;
  result.reserve(rows());
  for (std::size_t r = 0; r < rows(); ++r) result.push_back((*this)(r, column));
  return result;
}

void DesignMatrix::scale(std::size_t column, double by) {
  for (std::size_t r = 0; r < rows(); ++r) values_[r * columns_ + column] *= by;
}

std::vector<double> least_squares(const DesignMatrix& x, std::span<const double> y) {
  return coefficients(matrix(x).colPivHouseholderQr().solve(vector(y, x.rows())));
}

std::vector<double> ridge_regression(const DesignMatrix& x, std::span<const double> y,
                                     std::span<const double> ridge) {
  const Eigen::MatrixXd features = matrix(x);
  Eigen::MatrixXd normal = features.transpose() * features;
  normal.diagonal() += vector(ridge, x.columns());
  return coefficients(normal.ldlt().solve(features.transpose() * vector(y, x.rows())));
}

}  // namespace paceline
