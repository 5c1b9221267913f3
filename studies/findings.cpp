#include "studies/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "experiments/axis_values.hpp"
#include "studies/interval.hpp"
#include "studies/query.hpp"

namespace paceline {
namespace {

constexpr std::size_t kMostDetails = 4000;  // points whose influences are read; of more, none

double number_or_0(const SqlValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  return 0;
}

std::size_t index_of(const std::vector<std::string>& labels, const std::string& label) {
  return static_cast<std::size_t>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}

bool names(const std::string& axis, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return axis.find(word) != std::string::npos; });
}

}  // namespace

bool Findings::Cell::clear() const {
  return !second || std::log(ratio) > sigma;
}

Findings::Findings(Store& store, const Store::StudyInfo& study) : labels_(study.axes.size()) {
  Question question{.study = study.name, .columns = {"number"}};
  const std::vector<std::string> taken = point_columns();
  for (const std::string& axis : study.axes)
    question.columns.push_back(
        std::find(taken.begin(), taken.end(), axis) != taken.end() ? axis + " (axis)" : axis);
  const std::size_t first = question.columns.size();
  question.columns.insert(
      question.columns.end(),
      {"workers", "iteration_time_s", "uncertainty_s", "samples_per_s", "speedup_over_one_gpu",
       "scaling_efficiency", "compute_s", "exposed_communication_s", "waiting_s", "busiest_link",
       "busiest_link_utilisation", "busiest_link_bytes", "overlap_efficiency"});
  const auto keep = [&](const std::vector<SqlValue>& row) {
    FoundPoint p;
    p.number = static_cast<std::uint64_t>(std::get<std::int64_t>(row[0]));
    for (std::size_t i = 0; i < study.axes.size(); ++i) p.labels.push_back(to_text(row[1 + i]));
    const auto figure = [&](std::size_t i) { return number_or_0(row[first + i]); };
    p.workers = static_cast<std::int64_t>(figure(0));
    p.time_s = figure(1);
    p.sigma_s = figure(2);
    p.sample_s = figure(3) > 0 ? 1 / figure(3) : figure(1);
    p.speedup = figure(4);
    p.efficiency = figure(5);
    p.compute_s = figure(6);
    p.exposed_s = figure(7);
    p.waiting_s = figure(8);
    p.other_s = std::max(0.0, p.time_s - p.compute_s - p.exposed_s - p.waiting_s);
    p.link = to_text(row[first + 9]);
    p.utilisation = figure(10);
    p.link_bytes = figure(11);
    if (const auto* share = std::get_if<double>(&row[first + 12])) p.overlap = *share;
    points_.push_back(std::move(p));
  };
  ask(store, question, {[](const std::vector<std::string>&) {}, keep});
  if (points_.empty())
    throw InputError(
        fmt::format("{}: no point of '{}' has been run", store.database().file(), study.name));
  merge_seeds(study.axes);
  for (const FoundPoint& p : points_)
    for (std::size_t i = 0; i < labels_.size(); ++i)
      if (index_of(labels_[i], p.labels[i]) == labels_[i].size()) labels_[i].push_back(p.labels[i]);
  choose_roles(study.axes);
  for (const FoundPoint& p : points_) {
    std::vector<std::size_t> key{index_of(labels_[contender], p.labels[contender])};
    key.push_back(across ? index_of(labels_[*across], p.labels[*across]) : 0);
    key.push_back(down ? index_of(labels_[*down], p.labels[*down]) : 0);
    index_[std::move(key)].push_back(&p);
  }
  find_winners(store);
}

void Findings::merge_seeds(const std::vector<std::string>& axes) {
  if (std::none_of(axes.begin(), axes.end(), is_seed_axis)) return;
  std::map<std::vector<std::string>, std::vector<FoundPoint>> groups;
  std::vector<std::vector<std::string>> order;
  for (FoundPoint& point : points_) {
    std::vector<std::string> labels = point.labels;
    for (std::size_t i = 0; i < axes.size(); ++i)
      if (is_seed_axis(axes[i])) labels[i].clear();
    auto& group = groups[labels];
    if (group.empty()) order.push_back(labels);
    group.push_back(std::move(point));
  }
  points_.clear();
  for (const std::vector<std::string>& labels : order) {
    const std::vector<FoundPoint>& group = groups[labels];
    const auto over = [&](const auto& of) {
      RunningMean mean;
      for (const FoundPoint& point : group) mean.add(of(point));
      return mean;
    };
    FoundPoint merged = group.front();
    for (double FoundPoint::*figure :
         {&FoundPoint::sigma_s, &FoundPoint::efficiency, &FoundPoint::compute_s,
          &FoundPoint::other_s, &FoundPoint::exposed_s, &FoundPoint::waiting_s,
          &FoundPoint::utilisation, &FoundPoint::link_bytes})
      merged.*figure = over([&](const FoundPoint& p) { return p.*figure; }).mean();
    if (std::all_of(group.begin(), group.end(),
                    [](const auto& p) { return p.overlap.has_value(); }))
      merged.overlap = over([](const FoundPoint& p) { return *p.overlap; }).mean();
    const RunningMean time = over([](const FoundPoint&p) { return p.time_s; }),
                      speedup = over([](const FoundPoint&p) { return p.speedup; }),
                      log_sample = over([](const FoundPoint&p) { return std::log(p.sample_s); });
    merged.time_s = time.mean();
    merged.time_half_s = time.half95();
    merged.speedup = speedup.mean();
    merged.speedup_half = speedup.half95();
    merged.sample_s = std::exp(log_sample.mean());
    merged.log_error = log_sample.error();
    merged.seeds = group.size();
    seeds_ = std::max(seeds_, merged.seeds);
    for (std::size_t i = 0; i < axes.size(); ++i)
      if (is_seed_axis(axes[i]) && group.size() > 1)
        merged.labels[i] = fmt::format("mean of {}", group.size());
    points_.push_back(std::move(merged));
  }
}

void Findings::choose_roles(const std::vector<std::string>& axes) {
  for (const auto& labels : labels_) {
    std::vector<double> numbers;
    for (const std::string& label : labels)
      if (const std::optional<double> number = number_of_label(label)) numbers.push_back(*number);
    numeric_.push_back(numbers.size() == labels.size());
    numbers_.push_back(std::move(numbers));
  }
  // The schedule, else the names with the most values, else the last axis.
  const auto rank = [&](std::size_t axis) {
    const bool schedule =
        names(axes[axis], {"schedule", "merging", "algorithm"}) && !numeric_[axis];
    return std::pair(schedule          ? 2
                     : !numeric_[axis] ? 1
                                       : 0,
                     schedule || !numeric_[axis] ? labels_[axis].size() : axis);
  };
  for (std::size_t axis = 1; axis < axes.size(); ++axis)
    if (!is_seed_axis(axes[axis]) &&
        (is_seed_axis(axes[contender]) || rank(axis) > rank(contender)))
      contender = axis;
  const auto best = [&](const std::optional<std::size_t>& taken,
                        std::initializer_list<const char*> words) {
    std::optional<std::size_t> found;
    int most = -1;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      if (axis == contender || axis == taken || is_seed_axis(axes[axis])) continue;
      const int worth = (names(axes[axis], words) ? 4 : 0) + (numeric_[axis] ? 2 : 0) +
                        (labels_[axis].size() > 1 ? 1 : 0);
      if (worth > most) {
        most = worth;
        found = axis;
      }
    }
    return found;
  };
  across = best({}, {"bandwidth", "network", "cluster"});
  down = best(across, {"count", "workers", "gpus", "GPUs"});
}

std::vector<const FoundPoint*> Findings::at(std::size_t contender_label, std::size_t across_label,
                                            std::size_t down_label) const {
  const auto found = index_.find({contender_label, across_label, down_label});
  return found == index_.end() ? std::vector<const FoundPoint*>{} : found->second;
}

std::optional<Findings::Score> Findings::score(const Store& store,
                                               const std::vector<const FoundPoint*>& points) const {
  if (points.empty()) return std::nullopt;
  Score score;
  const auto count = static_cast<double>(points.size());
  for (const FoundPoint* point : points) {
    score.log_s += std::log(point->sample_s) / count;
    score.variance += point->log_error * point->log_error / (count * count);
    if (points_.size() > kMostDetails) continue;
    const Json result = store.result(point->number);
    for (const Json& influence : result.value("influences", Json::array()))
      score.influences[influence.at("input").get<std::string>()] +=
          influence.at("change_s").get<double>() / point->time_s / count;
  }
  return score;
}

double Findings::sigma_of_ratio(const Score& a, const Score& b) {
  double variance = a.variance + b.variance;
  for (const auto& [input, change] : a.influences) {
    const auto other = b.influences.find(input);
    variance += std::pow(change - (other == b.influences.end() ? 0 : other->second), 2);
  }
  for (const auto& [input, change] : b.influences)
    if (!a.influences.contains(input)) variance += change * change;
  return std::sqrt(variance);
}

void Findings::find_winners(const Store& store) {
  const std::size_t contenders = labels_[contender].size();
  std::vector<std::vector<std::optional<Score>>> scores(across_count() * down_count());
  std::vector<std::size_t> won(contenders, 0);
  for (std::size_t d = 0; d < down_count(); ++d)
    for (std::size_t a = 0; a < across_count(); ++a) {
      auto& here = scores[d * across_count() + a];
      for (std::size_t c = 0; c < contenders; ++c) here.push_back(score(store, at(c, a, d)));
      Cell cell;
      for (std::size_t c = 0; c < contenders; ++c) {
        if (!here[c]) continue;
        if (!cell.winner || here[c]->log_s < here[*cell.winner]->log_s)
          cell.second = std::exchange(cell.winner, c);
        else if (!cell.second || here[c]->log_s < here[*cell.second]->log_s)
          cell.second = c;
      }
      if (cell.winner) ++won[*cell.winner];
      if (cell.second) {
        cell.ratio = std::exp(here[*cell.second]->log_s - here[*cell.winner]->log_s);
        cell.sigma = sigma_of_ratio(*here[*cell.winner], *here[*cell.second]);
      }
      overall_.places += cell.winner ? 1 : 0;
      cells_.push_back(cell);
    }
  overall_.winner =
      static_cast<std::size_t>(std::max_element(won.begin(), won.end()) - won.begin());
  overall_.won = won[overall_.winner];
  double least = 0;  // of the mean logarithm of the ratio
  for (std::size_t c = 0; c < contenders; ++c) {
    if (c == overall_.winner) continue;
    Score winner, other;
    double places = 0;
    for (const auto& here : scores) {
      if (!here[c] || !here[overall_.winner]) continue;
      ++places;
      for (const auto& [into, from] :
           {std::pair(&winner, &*here[overall_.winner]), std::pair(&other, &*here[c])}) {
        into->log_s += from->log_s;
        into->variance += from->variance;
        for (const auto& [input, change] : from->influences) into->influences[input] += change;
      }
    }
    if (places == 0) continue;
    for (Score* each : {&winner, &other}) {
      each->log_s /= places;
      each->variance /= places * places;
      for (auto& [input, change] : each->influences) change /= places;
    }
    const double ratio = other.log_s - winner.log_s;
    if (overall_.second && ratio >= least) continue;
    least = ratio;
    overall_.second = c;
    overall_.ratio = std::exp(ratio);
    overall_.sigma = sigma_of_ratio(winner, other);
  }
}

}  // namespace paceline
