#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "studies/store.hpp"
#include "studies/study.hpp"

namespace paceline {

/// What is to be small or large: a column of numbers of `paceline query`, an axis' among them, in SI units.
struct Objective {
  std::string column;
  bool maximize = false;
};

/// "memory<=11GiB": a column and the bound that it is held against.
struct Constraint {
  std::string column;
  bool at_most = true;
  double bound = 0;
  std::string text;  ///< as it was written
};

struct Optimum {
  std::vector<std::string> each;    ///< labels of the axes that have an optimum for every value
  std::vector<std::string> labels;  ///< of all axes
  std::uint64_t number = 0;         ///< of the point in the study of what was looked at
  std::optional<double> value;  ///< of the objective; absent: no setting has one that is allowed
  std::vector<std::optional<double>> bounded;  ///< of the constraints' columns, there
  double sigma_s = 0;                          ///< of the iteration time
  std::uint64_t settings = 0;                  ///< looked at
  bool all = false;                            ///< those were all
  bool no_neighbour = false;  ///< none that differs along one axis alone, by one step, is better
};

struct Optimization {
  std::string study;  ///< name in the store of what was looked at
  Objective objective;
  std::vector<Constraint> constraints;
  std::vector<std::string> axes, each;
  std::vector<Optimum> optima;  ///< one for each combination of `each`
  std::uint64_t simulations = 0, found = 0;
  std::string first_failure;  ///< of a setting that cannot be run: labels and reason
};

struct OptimizeProgress {
  std::uint64_t settings = 0, most = 0;  ///< looked at, of at most
  const Optimum* best = nullptr;         ///< of the combination that is looked at
};

struct OptimizeSettings {
  std::string minimize{}, maximize{};  ///< one of them
  std::vector<std::string> subject_to{};
  std::vector<std::string> each{};  ///< axes that are not searched
  std::uint64_t evaluations = 200;  ///< settings to look at, of each combination
  unsigned parallel = 1;
  std::function<void(const OptimizeProgress&)> progress{};
};

/// What the settings ask of this study. Throws InputError for an unknown column, one that has no numbers, a bound that is
/// none, and an axis of `each` that there is not.
Optimization planned(const Study& study, const OptimizeSettings& settings);

/// Searches a study that was read for it (StudyUse::search). Every setting that is looked at is a point of the study
/// `plan.study` in the store, in that order, and its result is kept as that of a sweep; what the store has is not made again,
/// so that after an end by force the same call goes on. Does not depend on `parallel`. Throws InputError if the
/// objective is a figure that these results do not have.
Optimization optimize(const Study& study, Store& store, const Optimization& plan,
                      const OptimizeSettings& settings);

/// "paceline-optimum-1": docs/sweep.md.
Json to_json(const Optimization& found, const std::string& store);
/// "period 8, batch 32".
std::string setting_text(const std::vector<std::string>& axes,
                         const std::vector<std::string>& labels);
/// Throws InputError with what came nearest, where no setting is allowed.
void require_optima(const Optimization& found);

}  // namespace paceline
