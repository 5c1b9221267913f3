#include "studies/study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/format.hpp"
#include "experiments/axis_values.hpp"
#include "experiments/experiment.hpp"
#include "experiments/shipped.hpp"
#include "studies/dimensions.hpp"

namespace paceline {
namespace {

constexpr const char* kFormat = "paceline-study-1";
constexpr std::size_t kReadValues = 64;     // of an axis, evenly chosen
constexpr std::size_t kNamedValues = 1000;  // of an axis, looked at for names
constexpr std::size_t kFineSteps = 10'000;  // of a range that a search looks through

// The experiment's own "vary" is the study's.
std::vector<Dimension> take_axes(Json& experiment, const std::string& file) {
  std::vector<Dimension> dimensions;
  for (const Axis& axis : read_axes(experiment, file)) dimensions.push_back(dimension_of(axis));
  if (experiment.is_object()) experiment.erase("vary");
  return dimensions;
}

// Every point so many times over, with seeds from 1 on.
Dimension seeds_axis(std::uint64_t count, const std::string& where) {
  if (static_cast<double>(count) > kMostPoints)
    throw InputError(
        fmt::format("{}: {} seeds; at most {:.0f} points are run", where, count, kMostPoints));
  return dimension_of(axis_from_option(fmt::format("seed=1..{}", count)));
}

bool fits(const std::string& pattern, const std::string& label) {
  const auto star = pattern.find('*');
  if (star == std::string::npos) return pattern == label;
  const std::string before = pattern.substr(0, star), after = pattern.substr(star + 1);
  return label.size() >= before.size() + after.size() && label.starts_with(before) &&
         label.ends_with(after);
}

// "8..64" of labels that are numbers, in whatever units; else a name, with one '*'.
bool meets_text(const std::string& wanted, const std::string& label, const std::string& where) {
  const std::optional<ValueRange> range = ValueRange::from_text(wanted, where);
  if (!range) return fits(wanted, label);
  const auto number = number_of_label(label),
             least = number_of_label(fmt::format("{}{}", range->first, range->unit)),
             most = number_of_label(fmt::format("{}{}", range->last, range->unit));
  return number && least && most && *number >= *least && *number <= *most;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

Study Study::read(const Json& json, const std::string& file, StudyUse use) {
  Study study;
  study.file = file;
  study.use_ = use;
  if (!json.is_object() || json.value("format", Json()) != kFormat) {
    study.experiment = json;
    study.dimensions_ = take_axes(study.experiment, file);
    if (json.is_object()) {
      study.name =
          json.contains("name") && json["name"].is_string() ? json["name"].get<std::string>() : "";
      study.description = json.contains("description") && json["description"].is_string()
                              ? json["description"].get<std::string>()
                              : "";
    }
    return study;
  }
  ObjectReader r(json, file);
  expect_format(r, kFormat);
  study.name = r.string("name", "");
  study.description = r.string("description", "");
  const Json& base = r.raw("experiment");
  if (base.is_string()) {
    ExperimentText found = load_experiment(base.get<std::string>());
    study.experiment = std::move(found.json);
    study.file = found.file;
  } else {
    study.experiment = base;
    if (base.is_object() && !base.contains("format"))
      study.experiment["format"] = "paceline-experiment-1";
  }
  study.dimensions_ = take_axes(study.experiment, study.file);
  if (r.has("axes"))
    for (Dimension& dimension : read_dimensions(json, file, study.fine_steps()))
      study.dimensions_.push_back(std::move(dimension));
  if (r.has("seeds"))
    study.dimensions_.push_back(
        seeds_axis(static_cast<std::uint64_t>(r.integer("seeds", 1)), file + ": seeds"));
  for (const bool only : {false, true}) {
    const char* key = only ? "only" : "skip";
    if (!r.has(key)) continue;
    (void)r.objects(key);  // they are
    for (const Json& filter : json.at(key)) study.filters_json_.emplace_back(filter, only);
  }
  r.finish();
  return study;
}

void Study::add(const Options& options) {
  std::vector<SampledAxis> sampled;
  std::vector<Dimension> fresh;
  for (const std::string& option : options.vary) {
    if (options.sample > 0)
      sampled.push_back(axis_option(option, "--vary"));
    else
      fresh.push_back(dimension_of(axis_from_option(option, fine_steps())));
  }
  if (options.sample > 0 && sampled.empty())
    throw InputError("--sample: there is nothing to sample: give --vary KEY=A..B");
  if (!sampled.empty())
    fresh.push_back(latin_hypercube(sampled, options.sample, options.seed, "--sample"));
  if (options.zip) {
    if (fresh.size() < 2) throw InputError("--zip: expected two --vary or more, which go together");
    fresh = {zipped(fresh, "--zip")};
  }
  if (options.seeds > 0) fresh.push_back(seeds_axis(options.seeds, "--seeds"));
  for (Dimension& dimension : fresh) dimensions_.push_back(std::move(dimension));
  for (const bool only : {false, true})
    for (const std::string& option : only ? options.only : options.skip) {
      Json filter = Json::object();
      for (const std::string& part : split_outside_brackets(option, ';')) {
        const auto equals = part.find('=');
        if (equals == std::string::npos || equals == 0 || equals + 1 == part.size())
          throw InputError(
              fmt::format("{} '{}': expected AXIS=VALUE,VALUE... or several with ';' between them",
                          only ? "--only" : "--skip", option));
        filter[part.substr(0, equals)] = part.substr(equals + 1);
      }
      filters_json_.emplace_back(std::move(filter), only);
    }
}

std::size_t Study::fine_steps() const {
  return use_ == StudyUse::search ? kFineSteps : 0;
}

Study Study::visited(const Json& search) const {
  Study study;
  study.name = name;
  study.description = description;
  study.file = file;
  study.experiment = experiment;
  study.dimensions_ = {{axes(), {}}};
  study.stride_ = {1};
  study.search_ = search;
  return study;
}

void Study::append(Dimension::Row row) {
  dimensions_.front().rows.push_back(std::move(row));
  combinations_ = ++points_;
}

// How many combinations they make. Throws InputError if two say the same.
double Study::check_axes() const {
  double count = 1;
  std::vector<Axis> said;
  std::map<std::string, int> names;
  for (const Dimension& dimension : dimensions_) {
    count *= static_cast<double>(dimension.rows.size());
    for (std::size_t i = 0; i < dimension.axes.size(); ++i) {
      if (names[dimension.axes[i]]++ > 0)
        throw InputError(fmt::format("{}: two axes are called '{}'", file, dimension.axes[i]));
      Axis axis{dimension.axes[i], {}};
      for (std::size_t row = 0; row < std::min(kNamedValues, dimension.rows.size()); ++row)
        axis.variants.push_back({dimension.rows[row].labels[i], dimension.rows[row].keys[i]});
      said.push_back(std::move(axis));
    }
  }
  if (use_ == StudyUse::sweep && count > kMostPoints) {
    std::vector<std::size_t> sizes;
    for (const Dimension& dimension : dimensions_) sizes.push_back(dimension.rows.size());
    throw InputError(fmt::format(
        "{}: {} axes make {:.10g} points ({}); at most {:.0f} are run: fewer values, or "
        "\"sample\"",
        file, dimensions_.size(), count, fmt::join(sizes, " x "), kMostPoints));
  }
  check_distinct(said);
  return count;
}

void Study::finish() {
  if (dimensions_.empty())
    throw InputError(fmt::format(
        "{}: nothing varies: give \"axes\" in the file or --vary KEY=VALUE,VALUE,...", file));
  const double count = check_axes();
  skip_.clear();
  only_.clear();
  for (const auto& [filter, only] : filters_json_)
    add_filter(filter, only, fmt::format("{}: {}", file, only ? "only" : "skip"));
  if (use_ == StudyUse::search) return;  // has no numbers
  combinations_ = static_cast<std::uint64_t>(count);
  stride_.assign(dimensions_.size(), 1);
  for (std::size_t d = dimensions_.size() - 1; d-- > 0;)
    stride_[d] = stride_[d + 1] * dimensions_[d + 1].rows.size();
  points_ = 0;
  for (std::uint64_t number = 0; number < combinations_; ++number)
    if (!skipped(number)) ++points_;
  if (points_ == 0)
    throw InputError(fmt::format("{}: the filters leave 0 of {} points", file, combinations_));
}

Study::Condition Study::condition(const std::string& axis, const Json& values,
                                  const std::string& where) const {
  for (std::size_t d = 0; d < dimensions_.size(); ++d) {
    const auto& names = dimensions_[d].axes;
    const auto found = std::find(names.begin(), names.end(), axis);
    if (found == names.end()) continue;
    const auto column = static_cast<std::size_t>(found - names.begin());
    Condition condition{d, std::vector<bool>(dimensions_[d].rows.size(), false)};
    std::vector<std::string> wanted;
    const Json list = values.is_array() ? values : Json::array({values});
    for (const Json& value : list)
      for (const std::string& text : split_outside_brackets(text_of(value), ','))
        wanted.push_back(text);
    for (const std::string& text : wanted) {
      bool any = false;
      for (std::size_t row = 0; row < condition.met.size(); ++row)
        if (meets_text(text, dimensions_[d].rows[row].labels[column], where))
          condition.met[row] = any = true;
      if (!any) {
        std::vector<std::string> labels;
        for (const Dimension::Row& row : dimensions_[d].rows)
          if (labels.size() < kNamedValues) labels.push_back(row.labels[column]);
        throw InputError(
            fmt::format("{}: {}", where, unknown_name("value of '" + axis + "'", text, labels)));
      }
    }
    return condition;
  }
  throw InputError(fmt::format("{}: {}", where, unknown_name("axis", axis, axes())));
}

void Study::add_filter(const Json& filter, bool only, const std::string& where) {
  Filter conditions;
  for (const auto& [axis, values] : filter.items())
    conditions.push_back(condition(axis, values, where));
  if (conditions.empty()) throw InputError(where + ": a filter without an axis");
  (only ? only_ : skip_).push_back(std::move(conditions));
}

std::size_t Study::row(std::size_t dimension, std::uint64_t number) const {
  return static_cast<std::size_t>(number / stride_[dimension] % dimensions_[dimension].rows.size());
}

// `row_of(dimension)`: of a combination.
template <class RowOf>
bool Study::left_out(const RowOf& row_of) const {
  const auto met = [&](const Filter& filter) {
    return std::all_of(filter.begin(), filter.end(), [&](const Condition& condition) {
      return condition.met[row_of(condition.dimension)];
    });
  };
  return std::any_of(skip_.begin(), skip_.end(), met) ||
         (!only_.empty() && std::none_of(only_.begin(), only_.end(), met));
}

bool Study::skipped(std::uint64_t number) const {
  return left_out([&](std::size_t dimension) { return row(dimension, number); });
}

bool Study::skipped(const Rows& rows) const {
  return left_out([&](std::size_t dimension) { return rows[dimension]; });
}

std::vector<std::string> Study::axes() const {
  std::vector<std::string> names;
  for (const Dimension& dimension : dimensions_)
    names.insert(names.end(), dimension.axes.begin(), dimension.axes.end());
  return names;
}

Rows Study::rows(std::uint64_t number) const {
  Rows rows;
  for (std::size_t d = 0; d < dimensions_.size(); ++d) rows.push_back(row(d, number));
  return rows;
}

Dimension::Row Study::combined(const Rows& rows) const {
  Dimension::Row all;
  for (std::size_t d = 0; d < dimensions_.size(); ++d) {
    const Dimension::Row& at = dimensions_[d].rows[rows[d]];
    all.labels.insert(all.labels.end(), at.labels.begin(), at.labels.end());
    all.keys.insert(all.keys.end(), at.keys.begin(), at.keys.end());
  }
  return all;
}

std::vector<std::string> Study::labels(std::uint64_t number) const {
  std::vector<std::string> labels;
  for (std::size_t d = 0; d < dimensions_.size(); ++d) {
    const Dimension::Row& at = dimensions_[d].rows[row(d, number)];
    labels.insert(labels.end(), at.labels.begin(), at.labels.end());
  }
  return labels;
}

StudyPoint Study::point(const Rows& rows) const {
  StudyPoint point{{}, experiment};
  for (std::size_t d = 0; d < dimensions_.size(); ++d) {
    const Dimension::Row& at = dimensions_[d].rows[rows[d]];
    point.labels.insert(point.labels.end(), at.labels.begin(), at.labels.end());
    for (const Json& keys : at.keys) apply_variant(point.experiment, keys);
  }
  return point;
}

StudyPoint Study::point(std::uint64_t number) const {
  return point(rows(number));
}

void Study::check_values() const {
  const auto wrong = [&](const Rows& rows) -> std::string {
    try {
      (void)read_experiment(point(rows).experiment, file);
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  };
  const Rows first(dimensions_.size(), 0);
  Rows last;
  for (const Dimension& dimension : dimensions_) last.push_back(dimension.rows.size() - 1);
  for (std::size_t d = 0; d < dimensions_.size(); ++d) {
    const std::size_t all = dimensions_[d].rows.size(),
                      step = (all + kReadValues - 1) / kReadValues;
    for (std::size_t i = 0; i < all; i += step) {
      Rows beside_first = first, beside_last = last;
      beside_first[d] = beside_last[d] = i;
      const std::string why = wrong(beside_first);
      // What does not fit the first of the others may fit their last.
      if (why.empty() || wrong(beside_last).empty()) continue;
      throw InputError(fmt::format("{} (at {} = {}; none of {} points was run)", why,
                                   fmt::join(dimensions_[d].axes, ", "),
                                   fmt::join(dimensions_[d].rows[i].labels, ", "),
                                   use_ == StudyUse::sweep ? fmt::format("{}", points_) : "the"));
    }
  }
}

Json Study::definition() const {
  if (!search_.is_null()) return {{"experiment", experiment}, {"search", search_}};
  Json json{{"experiment", experiment}, {"axes", Json::array()}, {"filters", Json::array()}};
  for (const Dimension& dimension : dimensions_) {
    Json rows = Json::array();
    for (const Dimension::Row& at : dimension.rows) rows.push_back({at.labels, at.keys});
    json["axes"].push_back({{"names", dimension.axes}, {"rows", std::move(rows)}});
  }
  for (const auto& [filter, only] : filters_json_) json["filters"].push_back({filter, only});
  return json;
}

}  // namespace paceline
