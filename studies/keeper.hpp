#pragma once

#include <optional>
#include <vector>

#include "studies/made_point.hpp"
#include "studies/sweep.hpp"

namespace paceline {

/// The writing side of a sweep, whoever makes the points: says which are wanted, counts and keeps them. One thread calls,
/// but for `wanted`.
class Keeper {
 public:
  Keeper(const Study& study, Store& store, const SweepSettings& settings);

  [[nodiscard]] bool wanted(std::uint64_t number) const {
    return number >= settings_.first && number % settings_.parts == settings_.part &&
           !study_.skipped(number);
  }
  void keep(std::vector<MadePoint> made);
  /// Points whose results come later, by `keep_result`.
  void announce(const std::vector<StoredPoint>& points);
  /// `of_point`: it is that of point `number`, else only a baseline of it.
  void keep_result(std::uint64_t number, bool of_point, StoredResult result);
  [[nodiscard]] const SweepProgress& progress() const { return progress_; }

 private:
  void count(const MadePoint& made);
  void report() const {
    if (settings_.progress) settings_.progress(progress_);
  }

  const Study& study_;
  Store& store_;
  const SweepSettings& settings_;
  const std::int64_t id_;
  SweepProgress progress_;
  std::optional<std::uint64_t> first_failed_;
};

}  // namespace paceline
