#include "studies/keeper.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace paceline {

Keeper::Keeper(const Study& study, Store& store, const SweepSettings& settings)
    : study_(study), store_(store), settings_(settings), id_(store.begin(study)) {
  for (std::uint64_t number = settings.first; number < study.combinations(); ++number)
    if (wanted(number)) ++progress_.all;
  report();
}

void Keeper::count(const MadePoint& made) {
  ++progress_.done;
  if (made.found) ++progress_.found;
  for (const StoredResult& result : made.results) {
    if (result.error.empty()) ++progress_.simulations;
    if (result.error.empty() || result.key != made.point.key) continue;
    ++progress_.failed;
    if (first_failed_ && *first_failed_ < made.point.number) continue;
    first_failed_ = made.point.number;
    progress_.first_failure =
        fmt::format("{}: {}", fmt::join(study_.labels(made.point.number), ", "), result.error);
  }
}

void Keeper::keep(std::vector<MadePoint> made) {
  if (made.empty()) return;
  std::vector<StoredPoint> points;
  std::vector<StoredResult> results;
  for (MadePoint& one : made) {
    count(one);
    points.push_back(std::move(one.point));
    for (StoredResult& result : one.results) results.push_back(std::move(result));
  }
  store_.put(id_, study_, points, results);
  report();
}

void Keeper::announce(const std::vector<StoredPoint>& points) {
  store_.put(id_, study_, points, {});
}

void Keeper::keep_result(std::uint64_t number, bool of_point, StoredResult result) {
  MadePoint made{{number, result.key, {}, false}, {}, false};
  made.results.push_back(std::move(result));
  store_.put(id_, study_, {}, made.results);
  if (of_point)
    count(made);
  else
    ++progress_.simulations;
  report();
}

}  // namespace paceline
