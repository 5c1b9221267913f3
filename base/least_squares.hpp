#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

namespace paceline {

/// The features of a linear fit, by rows.
class DesignMatrix {
 public:
  explicit DesignMatrix(std::size_t columns) : columns_(columns) {}
  /// Throws std::invalid_argument unless the row has a value for every column.
  void add(std::span<const double> row);
  void add(std::initializer_list<double> row) { add(std::span(row.begin(), row.size())); }

  [[nodiscard]] std::size_t columns() const { return columns_; }
  [[nodiscard]] std::size_t rows() const { return values_.size() / columns_; }
  [[nodiscard]] double operator()(std::size_t row, std::size_t column) const {
    return values_[row * columns_ + column];
  }
  [[nodiscard]] std::vector<double> column(std::size_t column) const;
  void scale(std::size_t column, double by);

 private:
  std::size_t columns_;
  std::vector<double> values_;
};

/// The coefficients b of least |X b - y|^2, by Householder QR with column pivoting. Throws
/// std::invalid_argument unless y has a value for every row.
std::vector<double> least_squares(const DesignMatrix& x, std::span<const double> y);

/// The coefficients b of least |X b - y|^2 + sum of ridge_c b_c^2, by the normal equations.
std::vector<double> ridge_regression(const DesignMatrix& x, std::span<const double> y,
                                     std::span<const double> ridge);

}  // namespace paceline
