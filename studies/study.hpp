#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "experiments/axes.hpp"

namespace paceline {

/// Axes that go together: one of a plain axis, several of a zip or a sample. A point has one row of
/// each dimension.
struct Dimension {
  struct Row {
    std::vector<std::string> labels;  ///< one per axis
    std::vector<Json> keys;           ///< what each axis changes, as Variant::keys
  };
  std::vector<std::string> axes;
  std::vector<Row> rows;
};

/// One experiment of a study.
struct StudyPoint {
  std::vector<std::string> labels;  ///< one per axis
  Json experiment;                  ///< as read_experiment takes it
};

/// Of a combination: the row of each dimension.
using Rows = std::vector<std::size_t>;

/// What the points are for. Of a search there may be any number: it looks at few, by their rows, and its ranges need
/// not say how they step.
enum class StudyUse : std::uint8_t { sweep, search };

/// An experiment over axes. Points are numbered in the order of the axes, the last one fastest, and
/// are made one at a time: a study of a million is as small as its axes.
class Study {
 public:
  /// "format": "paceline-study-1", or an experiment with "vary"; docs/sweep.md says what the keys
  /// mean. Throws InputError for what is wrong, an axis of an unknown field, an empty range and more
  /// points than kMostPoints, with their number, among it.
  static Study read(const Json& json, const std::string& file, StudyUse use = StudyUse::sweep);

  /// What a search has looked at of this study, in that order: no point yet, `append` adds them. `search` says what
  /// decides which they are.
  [[nodiscard]] Study visited(const Json& search) const;
  void append(Dimension::Row row);

  /// Adds what the command line has: `--vary`, `--zip` or `--sample`; `--seeds` N is the axis seed=1..N. Throws
  /// InputError.
  struct Options {
    std::vector<std::string> vary{}, skip{}, only{};
    bool zip = false;
    std::uint64_t sample = 0, seed = 1;
    std::uint64_t seeds = 0;
  };
  void add(const Options& options);
  /// To be called when all is added. Throws InputError if nothing varies, two axes say the same, a
  /// filter fits nothing, or there are too many points.
  void finish();

  std::string name, description;
  std::string file;  ///< for messages, and what paths in the experiment are relative to
  Json experiment;   ///< what all points share

  [[nodiscard]] const std::vector<Dimension>& dimensions() const { return dimensions_; }
  [[nodiscard]] std::vector<std::string> axes() const;
  /// Every combination, those that a filter leaves out among them.
  [[nodiscard]] std::uint64_t combinations() const { return combinations_; }
  [[nodiscard]] std::uint64_t points() const { return points_; }  ///< without those
  [[nodiscard]] bool skipped(std::uint64_t number) const;
  [[nodiscard]] bool skipped(const Rows& rows) const;
  [[nodiscard]] StudyPoint point(std::uint64_t number) const;
  [[nodiscard]] StudyPoint point(const Rows& rows) const;
  /// Of all axes.
  [[nodiscard]] Dimension::Row combined(const Rows& rows) const;
  [[nodiscard]] std::vector<std::string> labels(std::uint64_t number) const;

  /// Reads every value of every axis beside the first and the last of the others, so that what is
  /// wrong is said before anything runs. Throws InputError.
  void check_values() const;

  /// All that says which points there are, for the store.
  [[nodiscard]] Json definition() const;

 private:
  // A filter's condition: by row of one dimension, whether it is met.
  struct Condition {
    std::size_t dimension = 0;
    std::vector<bool> met;
  };
  using Filter = std::vector<Condition>;  // met if all are

  void add_filter(const Json& filter, bool only, const std::string& where);
  [[nodiscard]] Condition condition(const std::string& axis, const Json& values,
                                    const std::string& where) const;
  [[nodiscard]] std::size_t row(std::size_t dimension, std::uint64_t number) const;
  [[nodiscard]] Rows rows(std::uint64_t number) const;
  double check_axes() const;
  [[nodiscard]] std::size_t fine_steps() const;
  template <class RowOf>
  [[nodiscard]] bool left_out(const RowOf& row_of) const;

  std::vector<Dimension> dimensions_;
  std::vector<std::uint64_t> stride_;                // of a dimension's row in a point's number
  std::vector<std::pair<Json, bool>> filters_json_;  // and whether it is one of "only"
  std::vector<Filter> skip_, only_;
  std::uint64_t combinations_ = 0, points_ = 0;
  StudyUse use_ = StudyUse::sweep;
  Json search_;  // of what a search has visited
};

}  // namespace paceline
