#include "studies/search.hpp"

#include <nlopt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>

namespace paceline {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr std::size_t kMostAtOnce = 32;  // settings: few enough that an end by force costs little
constexpr std::size_t kMany = 32;        // values of an axis that COBYLA goes along
constexpr std::size_t kAsksPerSetting =
    20;  // DIRECT comes back to settings of axes with few values

class Search {
 public:
  using Evaluate = std::function<std::vector<Evaluation>(const std::vector<Setting>&)>;
  Search(const std::vector<SearchAxis>& axes, std::size_t constraints, const Evaluate& evaluate)
      : axes_(axes), constraints_(constraints), evaluate_(evaluate) {}

  void look_at(const std::vector<Setting>& settings);
  void all();
  void globally(std::size_t budget);
  void linearly(std::size_t budget);
  void step_by_step(std::size_t budget);
  SearchResult result() &&;
  [[nodiscard]] std::size_t evaluated() const { return known_.size(); }

 private:
  // An algorithm of NLopt, run from its start: its questions are answered from what is known. At the first ones that are
  // not, it is told `unknown` and they are noted; once `kMostAtOnce` are, it is ended.
  struct Replay {
    Search* search;
    Setting from;                    // of the axes that are not moved
    std::vector<std::size_t> moved;  // axes
    bool constrained = false;
    Evaluation unknown{};
    double none = 0;  // for COBYLA, the value where there is none
    std::vector<Setting> asked{};
    nlopt_opt algorithm = nullptr;

    [[nodiscard]] Setting setting(const double* x) const;
    const Evaluation& answer(const double* x);
    static double value(unsigned, const double* x, double*, void* replay);
    static void excess(unsigned, double* excess, unsigned, const double* x, double*, void* replay);
    void run(nlopt_algorithm which, std::size_t most, double step);
  };
  // As many further evaluations as the budget has, unless the algorithm ends.
  void replayed(nlopt_algorithm which, const Replay& start, std::size_t budget, double step);
  [[nodiscard]] std::vector<Setting> neighbours(const std::vector<std::size_t>& steps) const;

  const std::vector<SearchAxis>& axes_;
  std::size_t constraints_;
  const Evaluate& evaluate_;
  std::map<Setting, Evaluation> known_;
  Setting best_;
  bool all_ = false, no_neighbour_ = false;
};

void Search::look_at(const std::vector<Setting>& settings) {
  std::vector<Setting> fresh;
  for (const Setting& setting : settings)
    if (!known_.contains(setting) && std::find(fresh.begin(), fresh.end(), setting) == fresh.end())
      fresh.push_back(setting);
  if (fresh.empty()) return;
  std::vector<Evaluation> evaluations = evaluate_(fresh);
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    const auto known = known_.emplace(fresh[i], std::move(evaluations[i])).first;
    if (best_.empty()) {
      best_ = fresh[i];
      continue;
    }
    const Evaluation& best = known_.at(best_);
    const bool equal = !known->second.better_than(best) && !best.better_than(known->second);
    if (known->second.better_than(best) || (equal && fresh[i] < best_)) best_ = fresh[i];
  }
}

void Search::all() {
  std::vector<Setting> some;
  Setting setting(axes_.size(), 0);
  for (bool more = true; more;) {
    some.push_back(setting);
    std::size_t axis = axes_.size();
    while (axis > 0 && ++setting[axis - 1] == axes_[axis - 1].values) setting[--axis] = 0;
    more = axis > 0;
    if (more && some.size() < kMostAtOnce) continue;
    look_at(some);
    some.clear();
  }
  all_ = no_neighbour_ = true;
}

Setting Search::Replay::setting(const double* x) const {
  Setting setting = from;
  for (std::size_t i = 0; i < moved.size(); ++i) {
    const std::size_t values = search->axes_[moved[i]].values;
    const double at = std::clamp(std::isnan(x[i]) ? 0.5 : x[i], 0.0, 1.0);
    setting[moved[i]] =
        std::min(values - 1, static_cast<std::size_t>(at * static_cast<double>(values)));
  }
  return setting;
}

const Evaluation& Search::Replay::answer(const double* x) {
  const Setting at = setting(x);
  if (const auto known = search->known_.find(at); known != search->known_.end())
    return known->second;
  if (asked.size() < kMostAtOnce && std::find(asked.begin(), asked.end(), at) == asked.end())
    asked.push_back(at);
  if (asked.size() == kMostAtOnce) nlopt_force_stop(algorithm);
  return unknown;
}

double Search::Replay::value(unsigned, const double* x, double*, void* replay) {
  auto& self = *static_cast<Replay*>(replay);
  const Evaluation& found = self.answer(x);
  // DIRECT takes infinity for a place that has no value, and goes by its neighbours.
  if (!self.constrained && !found.allowed()) return kNever;
  return found.value.value_or(self.none);
}

void Search::Replay::excess(unsigned count, double* excess, unsigned, const double* x, double*,
                            void* replay) {
  const Evaluation& found = static_cast<Replay*>(replay)->answer(x);
  for (unsigned i = 0; i < count; ++i) excess[i] = i < found.excess.size() ? found.excess[i] : 1;
}

void Search::Replay::run(nlopt_algorithm which, std::size_t most, double step) {
  struct Destroy {
    void operator()(nlopt_opt_s* opt) const { nlopt_destroy(opt); }
  };
  const auto dimensions = static_cast<unsigned>(moved.size());
  const std::unique_ptr<nlopt_opt_s, Destroy> opt(nlopt_create(which, dimensions));
  algorithm = opt.get();
  nlopt_set_lower_bounds1(algorithm, 0);
  nlopt_set_upper_bounds1(algorithm, 1);
  nlopt_set_min_objective(algorithm, value, this);
  nlopt_set_maxeval(algorithm, static_cast<int>(most));
  std::vector<double> x;
  for (const std::size_t axis : moved)
    x.push_back((static_cast<double>(from[axis]) + 0.5) /
                static_cast<double>(search->axes_[axis].values));
  if (constrained) {
    const std::vector<double> tolerances(search->constraints_, 0);
    if (search->constraints_ > 0)
      nlopt_add_inequality_mconstraint(algorithm, static_cast<unsigned>(search->constraints_),
                                       excess, this, tolerances.data());
    nlopt_set_initial_step1(algorithm, step);
    nlopt_set_xtol_abs1(algorithm, 1e-4);
  }
  double minimum = 0;
  (void)nlopt_optimize(algorithm, x.data(), &minimum);  // what it found is in known_
}

void Search::replayed(nlopt_algorithm which, const Replay& start, std::size_t budget, double step) {
  double least = kNever, most = -kNever;
  for (bool more = true; more && evaluated() < budget;) {
    for (const auto& [setting, known] : known_)
      if (known.value) {
        least = std::min(least, *known.value);
        most = std::max(most, *known.value);
      }
    const bool none = least > most;
    const double span = none ? 1 : most - least + 1e-9 * (1 + std::abs(most));
    // What is asked for next whatever the first answers are, good or bad, can be looked at together.
    std::vector<std::vector<Setting>> asked;
    for (const double value : {none ? -1.0 : least - span, none ? 1.0 : most + span}) {
      Replay replay = start;
      replay.unknown = {value, std::vector<double>(constraints_, value < 0 || none ? -1 : -0.5)};
      replay.none = none ? 1 : most + span;
      replay.run(which, kAsksPerSetting * budget, step);
      asked.push_back(std::move(replay.asked));
    }
    std::size_t common = 0;
    while (common < std::min(asked[0].size(), asked[1].size()) &&
           asked[0][common] == asked[1][common])
      ++common;
    common = std::min(common, budget - evaluated());
    more = common > 0;
    look_at({asked[0].begin(), asked[0].begin() + static_cast<std::ptrdiff_t>(common)});
  }
}

void Search::globally(std::size_t budget) {
  Replay start{.search = this, .from = Setting(axes_.size(), 0), .moved = {}};
  for (std::size_t axis = 0; axis < axes_.size(); ++axis)
    if (axes_[axis].values > 1) start.moved.push_back(axis);
  replayed(NLOPT_GN_ORIG_DIRECT_L, start, budget, 0);
}

void Search::linearly(std::size_t budget) {
  Replay start{.search = this, .from = best_, .moved = {}, .constrained = true};
  for (std::size_t axis = 0; axis < axes_.size(); ++axis)
    if (axes_[axis].ordered && axes_[axis].values >= kMany) start.moved.push_back(axis);
  if (start.moved.empty() || !known_.at(best_).value) return;
  replayed(NLOPT_LN_COBYLA, start, budget, 0.05);
}

// Along one axis each, `steps` away; of names all others.
std::vector<Setting> Search::neighbours(const std::vector<std::size_t>& steps) const {
  std::vector<Setting> found;
  for (std::size_t axis = 0; axis < axes_.size(); ++axis) {
    const auto add = [&](std::size_t value) {
      found.push_back(best_);
      found.back()[axis] = value;
    };
    const std::size_t here = best_[axis], values = axes_[axis].values;
    if (!axes_[axis].ordered) {
      for (std::size_t value = 0; value < values; ++value)
        if (value != here) add(value);
      continue;
    }
    if (here >= steps[axis]) add(here - steps[axis]);
    if (here + steps[axis] < values) add(here + steps[axis]);
  }
  return found;
}

void Search::step_by_step(std::size_t budget) {
  std::vector<std::size_t> steps;
  for (const SearchAxis& axis : axes_) steps.push_back(std::max<std::size_t>(1, axis.values / 27));
  for (;;) {
    std::vector<Setting> fresh;
    for (const Setting& setting : neighbours(steps))
      if (!known_.contains(setting)) fresh.push_back(setting);
    const bool enough = fresh.size() <= budget - std::min(budget, evaluated());
    if (!enough) fresh.resize(budget - std::min(budget, evaluated()));
    const Setting before = best_;
    look_at(fresh);
    const bool last = std::all_of(steps.begin(), steps.end(), [](auto step) { return step == 1; });
    if (best_ == before && last && enough) no_neighbour_ = true;
    if (!enough || (best_ == before && last)) return;
    if (best_ == before)
      for (std::size_t& step : steps) step = std::max<std::size_t>(1, step / 3);
  }
}

SearchResult Search::result() && {
  return {best_, known_.at(best_), known_.size(), all_, no_neighbour_};
}

}  // namespace

bool Evaluation::allowed() const {
  return value && std::all_of(excess.begin(), excess.end(), [](double e) { return e <= 0; });
}

bool Evaluation::better_than(const Evaluation& other) const {
  if (allowed() != other.allowed()) return allowed();
  if (allowed()) return *value < *other.value;
  if (value.has_value() != other.value.has_value()) return value.has_value();
  const auto worst = [](const std::vector<double>& all) {
    return all.empty() ? 0 : *std::max_element(all.begin(), all.end());
  };
  return worst(excess) < worst(other.excess);
}

SearchResult search(
    const std::vector<SearchAxis>& axes, std::size_t constraints, std::size_t evaluations,
    const std::function<std::vector<Evaluation>(const std::vector<Setting>&)>& evaluate) {
  Search search(axes, constraints, evaluate);
  double count = 1;
  for (const SearchAxis& axis : axes) count *= static_cast<double>(axis.values);
  if (count <= static_cast<double>(evaluations)) {
    search.all();
    return std::move(search).result();
  }
  Setting middle;
  for (const SearchAxis& axis : axes) middle.push_back(axis.values / 2);
  search.look_at({middle});  // where DIRECT begins
  for (const double share : {0.5, 0.8}) {
    const auto part = static_cast<std::size_t>(share * static_cast<double>(evaluations));
    search.globally(part);
    search.linearly(std::max(part, std::min(evaluations, search.evaluated() + evaluations / 8)));
    search.step_by_step(evaluations);
  }
  return std::move(search).result();
}

}  // namespace paceline
