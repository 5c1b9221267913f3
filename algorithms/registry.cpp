#include "algorithms/registry.hpp"

#include "base/error.hpp"

namespace paceline {

extern const ScheduleEntry s_sgd_entry;

const std::vector<ScheduleEntry>& schedules() {
  static const std::vector<ScheduleEntry> all{s_sgd_entry};
  return all;
}

const ScheduleEntry& find_schedule(const std::string& name) {
  std::vector<std::string> names;
  for (const ScheduleEntry& entry : schedules()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  throw InputError(unknown_name("schedule", name, names));
}

}  // namespace paceline
