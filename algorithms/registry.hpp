#pragma once

#include <string>
#include <vector>

#include "algorithms/schedule.hpp"
#include "base/object_reader.hpp"

namespace paceline {

/// What a schedule's factory may look at when it reads its options.
struct ScheduleContext {
  const ModelShape* model = nullptr;
  std::size_t servers = 0;  ///< hosts that may run a parameter server
};

/// One entry of the registry.
struct ScheduleEntry {
  std::string name;     ///< "s-sgd"
  std::string title;    ///< "S-SGD with wait-free back-propagation"
  std::string paper;    ///< where it comes from
  std::string options;  ///< its options in one line, with defaults
  /// Reads the options (an object with only known keys: the factory calls finish()) and fills in
  /// the schedule. Throws InputError.
  Schedule (*make)(ObjectReader& options, const ScheduleContext& context);
  /// The shared object that it comes from, and a hash of that: it decides what runs. "": ours.
  std::string code = "";
};

/// All schedules, in the order of the documentation, then those of shared objects
/// (schedule_modules.hpp). To add one: write its file, name its entry in registry.cpp. Throws
/// InputError where a shared object is no good, or takes a name that there is.
const std::vector<ScheduleEntry>& schedules();
/// Throws InputError with the nearest name.
const ScheduleEntry& find_schedule(const std::string& name);

}  // namespace paceline
