#include "studies/optimize.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "experiments/axis_values.hpp"
#include "studies/columns.hpp"
#include "studies/figures.hpp"
#include "studies/interval.hpp"
#include "studies/query.hpp"
#include "studies/search.hpp"
#include "studies/sweep.hpp"

namespace paceline {
namespace {

constexpr std::uint64_t kEnoughWithout = 24;  // settings without the figure: there will be none

bool all_numbers(const Dimension& dimension, std::size_t axis) {
  return std::all_of(dimension.rows.begin(), dimension.rows.end(), [&](const auto& row) {
    return number_of_label(row.labels[axis]).has_value();
  });
}

// The columns that have numbers: axes first.
std::vector<std::string> numeric_columns(const Study& study) {
  std::vector<std::string> names;
  for (const Dimension& dimension : study.dimensions())
    for (std::size_t i = 0; i < dimension.axes.size(); ++i)
      if (all_numbers(dimension, i)) names.push_back(dimension.axes[i]);
  for (const Figure& figure : figures())
    if (std::string_view(figure.type) != "TEXT") names.emplace_back(figure.name);
  names.insert(names.end(), {"s_sgd_time_s", "speedup_over_s_sgd"});
  return names;
}

Constraint constraint_of(const std::string& text, const std::vector<std::string>& columns,
                         const std::vector<std::string>& axes) {
  const auto sign = text.find_first_of("<>");
  if (sign == std::string::npos || sign == 0 || sign + 2 >= text.size() || text[sign + 1] != '=')
    throw InputError(fmt::format(
        "--subject-to '{}': expected COLUMN<=VALUE or COLUMN>=VALUE: 'memory<=11GiB'", text));
  Constraint constraint{"", text[sign] == '<', 0, text};
  const auto without_blanks = [](std::string part) {
    std::erase(part, ' ');
    return part;
  };
  constraint.column =
      columns[column_index(columns, axes, without_blanks(text.substr(0, sign)), "--subject-to:")];
  const std::string bound = without_blanks(text.substr(sign + 2));
  const std::optional<double> number = number_of_label(bound);
  if (!number || !std::isfinite(*number))
    throw InputError(
        fmt::format("--subject-to '{}': '{}' is no number, with or without a unit", text, bound));
  constraint.bound = *number;
  return constraint;
}

// An axis is ordered if its labels are numbers, the least first.
bool ordered(const Dimension& dimension) {
  for (std::size_t axis = 0; axis < dimension.axes.size(); ++axis) {
    double last = 0;
    bool up = all_numbers(dimension, axis);
    for (std::size_t row = 0; up && row < dimension.rows.size(); ++row) {
      const double here = *number_of_label(dimension.rows[row].labels[axis]);
      up = row == 0 || here > last;
      last = here;
    }
    if (up) return true;
  }
  return false;
}

std::string hex(const ResultKey& key) {
  return fmt::format("{:02x}", fmt::join(key, ""));
}

// Everything that decides which settings are looked at, and in which order.
Json search_of(const Study& study, const Optimization& plan, std::uint64_t evaluations) {
  Json json{{"objective", plan.objective.column},
            {"maximize", plan.objective.maximize},
            {"each", plan.each},
            {"evaluations", evaluations},
            {"study", hex(fnv1a128(study.definition().dump()))}};
  for (const Constraint& constraint : plan.constraints)
    json["subject_to"].push_back({constraint.column, constraint.at_most, constraint.bound});
  return json;
}

class SettingSearch {
 public:
  SettingSearch(const Study& study, Store& store, Optimization plan,
                const OptimizeSettings& settings)
      : study_(study),
        store_(store),
        settings_(settings),
        result_(std::move(plan)),
        visited_(study.visited(search_of(study, result_, settings.evaluations))) {
    visited_.name = result_.study;
    for (std::size_t d = 0; d < study.dimensions().size(); ++d) {
      const std::vector<std::string>& axes = study.dimensions()[d].axes;
      const bool each = std::any_of(axes.begin(), axes.end(),
                                    [&](const std::string& axis) { return is_each(axis); });
      (each ? each_ : searched_).push_back(d);
    }
    progress_.most = settings.evaluations;
    for (const std::size_t d : each_) progress_.most *= study.dimensions()[d].rows.size();
  }

  Optimization run() {
    Rows rows(study_.dimensions().size(), 0);
    for (bool more = true; more;) {
      search_beside(rows);
      std::size_t i = each_.size();
      while (i > 0 && ++rows[each_[i - 1]] == study_.dimensions()[each_[i - 1]].rows.size())
        rows[each_[--i]] = 0;
      more = i > 0;
    }
    check_figure(1);
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool is_each(const std::string& axis) const {
    return std::find(result_.each.begin(), result_.each.end(), axis) != result_.each.end();
  }
  void check_figure(std::uint64_t enough) const;
  void search_beside(const Rows& rows);
  std::vector<Evaluation> look_at(const Rows& beside, const std::vector<Setting>& settings);
  void read_evaluations(std::uint64_t first, std::vector<Evaluation>& evaluations,
                        const std::vector<std::size_t>& which);
  [[nodiscard]] std::string select(std::uint64_t first, std::uint64_t last) const;
  Optimum optimum(std::uint64_t number, bool allowed);
  void consider(const Evaluation& evaluation, std::uint64_t number);

  const Study& study_;
  Store& store_;
  const OptimizeSettings& settings_;
  Optimization result_;
  Study visited_;
  std::vector<std::size_t> each_, searched_;  // dimensions
  std::map<Setting, std::uint64_t> numbers_;  // of the combination that is looked at
  Evaluation best_;                           // of it, and which it is
  std::optional<Optimum> found_;
  OptimizeProgress progress_;
  std::uint64_t with_ = 0, without_ = 0;  // settings that have the objective's figure, and not
};

// number, error, objective, constraints' columns.
std::string SettingSearch::select(std::uint64_t first, std::uint64_t last) const {
  const auto sql = [&](const std::string& column) {
    const bool axis =
        std::find(result_.axes.begin(), result_.axes.end(), column) != result_.axes.end();
    return axis ? fmt::format("quantity({})", quoted_name(column)) : quoted_name(column);
  };
  std::string columns = sql(result_.objective.column);
  for (const Constraint& constraint : result_.constraints) columns += ", " + sql(constraint.column);
  return fmt::format(
      "SELECT number, error, uncertainty_s, {} FROM points WHERE number BETWEEN {} AND {} ORDER BY "
      "number",
      columns, first, last);
}

std::optional<double> number_in(const SqlValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* number = std::get_if<double>(&value))
    return std::isfinite(*number) ? std::optional(*number) : std::nullopt;
  return std::nullopt;
}

void SettingSearch::read_evaluations(std::uint64_t first, std::vector<Evaluation>& evaluations,
                                     const std::vector<std::size_t>& which) {
  ask(store_, {.study = result_.study, .sql = select(first, first + which.size() - 1)},
      {[](const std::vector<std::string>&) {},
       [&](const std::vector<SqlValue>& row) {
         const auto number = static_cast<std::uint64_t>(std::get<std::int64_t>(row[0]));
         Evaluation& evaluation = evaluations[which[number - first]];
         if (!std::holds_alternative<std::monostate>(row[1])) return;  // cannot be run
         evaluation.value = number_in(row[3]);
         ++(evaluation.value ? with_ : without_);
         if (evaluation.value && result_.objective.maximize) *evaluation.value *= -1;
         for (std::size_t i = 0; i < result_.constraints.size(); ++i) {
           const Constraint& constraint = result_.constraints[i];
           const double unit = constraint.bound == 0 ? 1 : std::abs(constraint.bound);
           const std::optional<double> here = number_in(row[4 + i]);
           evaluation.excess[i] =
               here ? (constraint.at_most ? *here - constraint.bound : constraint.bound - *here) /
                          unit
                    : HUGE_VAL;
         }
       }});
}

Optimum SettingSearch::optimum(std::uint64_t number, bool allowed) {
  Optimum optimum;
  optimum.number = number;
  optimum.labels = visited_.labels(number);
  ask(store_, {.study = result_.study, .sql = select(number, number)},
      {[](const std::vector<std::string>&) {},
       [&](const std::vector<SqlValue>& row) {
         optimum.sigma_s = number_in(row[2]).value_or(0);
         if (allowed) optimum.value = number_in(row[3]);
         for (std::size_t i = 0; i < result_.constraints.size(); ++i)
           optimum.bounded.push_back(number_in(row[4 + i]));
       }});
  return optimum;
}

void SettingSearch::consider(const Evaluation& evaluation, std::uint64_t number) {
  if (!evaluation.allowed() || (found_ && !evaluation.better_than(best_))) return;
  best_ = evaluation;
  found_ = optimum(number, true);
}

std::vector<Evaluation> SettingSearch::look_at(const Rows& beside,
                                               const std::vector<Setting>& settings) {
  const std::uint64_t first = visited_.combinations();
  std::vector<Evaluation> evaluations(settings.size());
  std::vector<std::size_t> which;  // of the settings are run
  for (std::size_t i = 0; i < settings.size(); ++i) {
    evaluations[i].excess.assign(result_.constraints.size(), HUGE_VAL);
    Rows rows = beside;
    for (std::size_t d = 0; d < searched_.size(); ++d) rows[searched_[d]] = settings[i][d];
    if (study_.skipped(rows)) continue;
    numbers_[settings[i]] = visited_.combinations();
    visited_.append(study_.combined(rows));
    which.push_back(i);
  }
  progress_.settings += settings.size();
  if (which.empty()) return evaluations;
  const SweepProgress done =
      sweep(visited_, store_, {.parallel = settings_.parallel, .first = first});
  result_.simulations += done.simulations;
  result_.found += done.found;
  read_evaluations(first, evaluations, which);
  for (std::size_t i = 0; i < which.size(); ++i) consider(evaluations[which[i]], first + i);
  if (result_.first_failure.empty()) result_.first_failure = done.first_failure;
  check_figure(kEnoughWithout);
  progress_.best = found_ ? &*found_ : nullptr;
  if (settings_.progress) settings_.progress(progress_);
  return evaluations;
}

void SettingSearch::check_figure(std::uint64_t enough) const {
  if (with_ == 0 && without_ >= enough)
    throw InputError(
        fmt::format("no result has '{}' ({} looked at): a cost needs prices in the cluster, an "
                    "energy powers, what "
                    "is to an accuracy a training with a target that it reaches",
                    result_.objective.column, without_));
}

void SettingSearch::search_beside(const Rows& rows) {
  numbers_.clear();
  found_.reset();
  std::vector<SearchAxis> axes;
  for (const std::size_t d : searched_)
    axes.push_back({study_.dimensions()[d].rows.size(), ordered(study_.dimensions()[d])});
  const SearchResult found =
      search(axes, result_.constraints.size(), settings_.evaluations,
             [&](const std::vector<Setting>& some) { return look_at(rows, some); });
  const auto number = numbers_.find(found.best);
  Optimum best;  // without labels where the filters leave nothing
  if (number != numbers_.end()) best = optimum(number->second, found.evaluation.allowed());
  const std::vector<std::string> labels = study_.combined(rows).labels;
  for (std::size_t axis = 0; axis < labels.size(); ++axis)
    if (is_each(result_.axes[axis])) best.each.push_back(labels[axis]);
  best.settings = found.evaluated;
  best.all = found.all;
  best.no_neighbour = found.no_neighbour;
  result_.optima.push_back(std::move(best));
}

}  // namespace

Optimization planned(const Study& study, const OptimizeSettings& settings) {
  if (settings.minimize.empty() == settings.maximize.empty())
    throw InputError("expected one of --minimize COLUMN and --maximize COLUMN");
  Optimization plan;
  plan.axes = study.axes();
  const std::vector<std::string> columns = numeric_columns(study);
  plan.objective.maximize = settings.minimize.empty();
  plan.objective.column =
      plan.objective.maximize
          ? columns[column_index(columns, plan.axes, settings.maximize, "--maximize:")]
          : columns[column_index(columns, plan.axes, settings.minimize, "--minimize:")];
  for (const std::string& text : settings.subject_to)
    plan.constraints.push_back(constraint_of(text, columns, plan.axes));
  std::vector<std::string> given;
  for (const std::string& axis : settings.each)
    given.push_back(plan.axes[column_index(plan.axes, plan.axes, axis, "--each:")]);
  bool searched = false;
  for (const Dimension& dimension : study.dimensions()) {  // what goes together stays together
    const bool each = std::any_of(dimension.axes.begin(), dimension.axes.end(), [&](const auto& a) {
      return std::find(given.begin(), given.end(), a) != given.end();
    });
    if (each) plan.each.insert(plan.each.end(), dimension.axes.begin(), dimension.axes.end());
    searched = searched || !each;
    for (const std::string& axis : dimension.axes)
      if (!each && is_seed_axis(axis))
        throw InputError(fmt::format(
            "the best '{0}' is luck: give one (--{0} 1), or an optimum for each with --each {0}",
            axis));
  }
  if (!searched) throw InputError("--each: no axis is left to search");
  return plan;
}

Optimization optimize(const Study& study, Store& store, const Optimization& plan,
                      const OptimizeSettings& settings) {
  return SettingSearch(study, store, plan, settings).run();
}

}  // namespace paceline
