#pragma once

#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "experiments/compare.hpp"
#include "experiments/shipped.hpp"

namespace paceline {

using Cells = std::vector<std::string>;

/// The rows of the table of docs/studies.md whose header begins with these cells, header left out.
inline std::vector<Cells> study_table(const Cells& header) {
  std::ifstream page(std::string(PACELINE_SOURCE_DIR) + "/docs/studies.md");
  std::vector<Cells> rows;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    Cells cells;
    for (std::size_t at = 0; line.starts_with('|') && at + 1 < line.size();) {
      const std::size_t end = std::min(line.find('|', at + 1), line.size());
      const std::size_t first = line.find_first_not_of(" *", at + 1);
      std::string cell = first < end ? line.substr(first, end - first) : "";
      cell.erase(cell.find_last_not_of(" *") + 1);
      cells.push_back(std::move(cell));
      at = end;
    }
    if (inside && cells.size() < header.size()) break;
    if (inside && !cells.front().starts_with("---")) rows.push_back(cells);
    inside = inside || (cells.size() >= header.size() &&
                        std::equal(header.begin(), header.end(), cells.begin()));
  }
  return rows;
}

/// "12.34" was printed for `value`: they agree to half a unit of the last digit (and rounding).
inline void expect_printed(const std::string& text, double value, const std::string& what) {
  const std::string number = text.substr(0, text.find_first_not_of("+-0123456789."));
  const std::size_t point = number.find('.');
  double unit = 1;
  for (std::size_t i = point; point != std::string::npos && i + 1 < number.size(); ++i) unit /= 10;
  EXPECT_NEAR(std::stod(number), value, 0.501 * unit) << what;
}

/// Seconds an iteration by labels, of the points of a shipped comparison whose first label is
/// `first` (all if empty).
inline std::map<Cells, double> study_times(const std::string& name, const std::string& first = {}) {
  const ExperimentText text = load_experiment(name);
  std::vector<Axis> axes = read_axes(text.json, name);
  if (!first.empty())
    std::erase_if(axes.front().variants, [&](const Variant& v) { return v.label != first; });
  std::map<Cells, double> times;
  for (const ComparedRow& row :
       compare(text.json, name, axes, {.parallel = std::thread::hardware_concurrency()}).rows)
    times[row.labels] = row.result.job.iteration_time_s;
  return times;
}

}  // namespace paceline
