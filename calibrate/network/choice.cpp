#include "calibrate/network/choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/csv.hpp"
#include "base/error.hpp"

namespace paceline {
namespace {

// Those logs as one: repeated runs count alike.
FittedLog pooled(const std::vector<const FittedLog*>& logs) {
  if (logs.size() == 1) return *logs.front();
  FittedLog all = *logs.front();
  std::vector<std::string> sources;
  all.log.samples.clear();
  for (const FittedLog* one : logs) {
    all.log.samples.insert(all.log.samples.end(), one->log.samples.begin(), one->log.samples.end());
    sources.push_back(one->log.source);
  }
  all.log.source = fmt::format("{} together", fmt::join(sources, ", "));
  all.fit = fit_log(all.log);
  return all;
}

}  // namespace

Choice choose(const std::vector<FittedLog>& logs) {
  std::vector<const FittedLog*> pairs, rings, flights, others;
  int most = 0;
  for (const FittedLog& one : logs)
    if (one.log.kind == MessagePattern::all_reduce)
      most = std::max(most, one.log.ranks.value_or(0));
  for (const FittedLog& one : logs) {
    if (one.log.kind == MessagePattern::point_to_point)
      pairs.push_back(&one);
    else if (one.log.kind == MessagePattern::bandwidth)
      flights.push_back(&one);
    else
      (one.log.ranks.value_or(0) == most ? rings : others).push_back(&one);
  }
  Choice choice;
  if (pairs.empty() && rings.empty()) {
    choice.main = pooled(flights);
    return choice;
  }
  if (!flights.empty()) choice.bandwidth = pooled(flights);
  choice.main = pooled(pairs.empty() ? rings : pairs);
  if (!pairs.empty()) others.insert(others.end(), rings.begin(), rings.end());
  for (const FittedLog* one : others)
    if (one->log.ranks) choice.checks.push_back(one);
  return choice;
}

std::vector<ContentionSample> read_contention(const std::string& file) {
  const CsvTable table{std::filesystem::path(file)};
  for (const char* column : {"jobs", "bytes", "seconds"})
    if (!table.has_column(column))
      throw InputError(fmt::format(
          "{}:1: expected the columns jobs, bytes, seconds; '{}' is missing", file, column));
  std::vector<ContentionSample> samples;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const ContentionSample sample{table.number(row, "jobs"), table.number(row, "bytes"),
                                  table.number(row, "seconds")};
    const auto refuse = [&](const char* column, const char* expected) {
      throw InputError(fmt::format("{}:{}: expected {} in column '{}', found '{}'", file,
                                   table.line(row), expected, column, table.text(row, column)));
    };
    if (sample.jobs < 1 || sample.jobs > 1e6 || sample.jobs != std::floor(sample.jobs))
      refuse("jobs", "a whole number of 1 or more");
    if (sample.bytes < 1 || sample.bytes > 1e15) refuse("bytes", "1 byte to 1 PB");
    if (sample.seconds < 1e-9 || sample.seconds > 86400) refuse("seconds", "1 ns to one day");
    samples.push_back(sample);
  }
  return samples;
}

}  // namespace paceline
