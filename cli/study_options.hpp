#pragma once

#include <CLI/App.hpp>
#include <string>

#include "options.hpp"
#include "studies/study.hpp"

namespace paceline {

/// A study as the command line gives it: a file or an experiment, with flags that override it, and axes.
class StudyOptions {
 public:
  /// The flags fill this object, which must outlive the parsing.
  explicit StudyOptions(CLI::App& command);
  /// --zip, --sample, --seeds: of a sweep, not of a search.
  void add_samples(CLI::App& command);
  /// Throws InputError for what is wrong with it, but for values (Study::check_values).
  [[nodiscard]] Study study(StudyUse use) const;

  ExperimentOptions experiment;
  Study::Options axes;
  std::string name;
};

}  // namespace paceline
