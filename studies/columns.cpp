#include "studies/columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"

namespace paceline {
namespace {

// What people call a figure.
const std::map<std::string, std::string> kAlso{{"efficiency", "scaling_efficiency"},
                                               {"speedup", "speedup_over_one_gpu"},
                                               {"iteration", "iteration_time_s"},
                                               {"throughput", "samples_per_s"},
                                               {"exposed", "exposed_communication_s"},
                                               {"gpus", "workers"},
                                               {"time", "iteration_time_s"},
                                               {"time-to-accuracy", "time_to_target_s"},
                                               {"cost", "dollars_per_iteration"},
                                               {"cost-to-accuracy", "dollars_to_target"},
                                               {"energy", "joules_per_iteration"},
                                               {"energy-to-accuracy", "joules_to_target"},
                                               {"bytes", "sent_bytes"},
                                               {"memory", "memory_bytes"},
                                               {"utilisation", "busiest_link_utilisation"}};

}  // namespace

std::size_t column_index(const std::vector<std::string>& columns,
                         const std::vector<std::string>& axes, const std::string& name,
                         const std::string& where) {
  const auto own = std::find(columns.begin(), columns.end(), name);
  if (own != columns.end()) return static_cast<std::size_t>(own - columns.begin());
  const auto also = kAlso.find(name);
  if (also != kAlso.end()) {
    const auto figure = std::find(columns.begin(), columns.end(), also->second);
    if (figure != columns.end()) return static_cast<std::size_t>(figure - columns.begin());
  }
  std::vector<std::size_t> holding;
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i].find(name) != std::string::npos &&
        std::find(axes.begin(), axes.end(), columns[i]) != axes.end())
      holding.push_back(i);
  if (holding.size() == 1) return holding.front();
  std::vector<std::string> known = columns;
  for (const auto& [short_name, column] : kAlso) known.push_back(short_name);
  throw InputError(fmt::format("{} {}", where, unknown_name("column", name, known)));
}

}  // namespace paceline
