#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/experiment.hpp"
#include "experiments/result.hpp"
#include "studies/sqlite.hpp"
#include "studies/study.hpp"

namespace paceline {

/// What decides a result, as 128 bits of FNV-1a (Fowler, Noll, Vo): the experiment as `what_decides` has it, the
/// target accuracies and the version of this program.
using ResultKey = std::array<std::uint8_t, 16>;
ResultKey fnv1a128(std::string_view text);
ResultKey key_of(const Experiment& experiment);

/// A result as the store holds it.
struct StoredResult {
  ResultKey key{};
  std::string error;              ///< why there is none; then nothing below
  std::vector<SqlValue> figures;  ///< as of figures()
  std::string json;               ///< the whole result, compressed
};
StoredResult stored_result(const ResultKey& key, const RunResult& result);
StoredResult stored_error(const ResultKey& key, std::string error);

struct StoredPoint {
  std::uint64_t number = 0;
  ResultKey key{};
  /// What its "x S-SGD" is over, the fastest of them. Not `asked`: counts only where it is a point
  /// of the study too.
  std::vector<ResultKey> baselines;
  bool asked = false;
};

/// Studies, their points, and results under what decides them, which studies share; an SQLite file.
/// What was committed survives any end of the process, and processes may write to one store at a
/// time. Everything throws InputError that names the file.
class Store {
 public:
  Store(const std::string& file, Database::Mode mode);

  /// The study's number. A study of that name that had other points is replaced by it; results stay.
  std::int64_t begin(const Study& study);
  /// Of all results that are there, without those that could not be had.
  [[nodiscard]] std::vector<ResultKey> keys() const;
  /// In one transaction: all or nothing.
  void put(std::int64_t study, const Study& of, const std::vector<StoredPoint>& points,
           const std::vector<StoredResult>& results);

  /// Takes over the results of another store, those that are not here yet.
  void collect(const std::string& file);

  struct StudyInfo {
    std::int64_t id = 0;
    std::string name, description, version;
    std::vector<std::string> axes;
    std::uint64_t points = 0;
    Json experiment;
  };
  [[nodiscard]] std::vector<StudyInfo> studies() const;
  /// The study of that name, or the only one. Throws InputError with the nearest name.
  [[nodiscard]] StudyInfo study(const std::string& name) const;
  /// How many of its points have been run.
  [[nodiscard]] std::uint64_t done(const StudyInfo& study) const;

  /// Makes the view "points" of one study: number, a column for each axis, `error`, every figure,
  /// s_sgd_time_s and speedup_over_s_sgd; only of points that have been run. And "over_seeds": a row for
  /// the points that differ in the seed alone, `seeds` of them without an error; number is the first's, every
  /// figure of numbers the mean, with half its 95 % interval (Student's t) beside it as FIGURE_ci95.
  void view_points(const StudyInfo& study);
  /// The whole result of a point in the view.
  [[nodiscard]] Json result(std::uint64_t number) const;

  [[nodiscard]] Database& database() { return database_; }
  [[nodiscard]] const Database& database() const { return database_; }

 private:
  Database database_;
  std::int64_t viewed_ = 0;
};

/// Names of the columns of the view "points" that are no axes.
std::vector<std::string> point_columns();

}  // namespace paceline
