#include "algorithms/registry.hpp"

#include "algorithms/schedule_modules.hpp"
#include "base/error.hpp"

namespace paceline {

extern const ScheduleEntry s_sgd_entry;
extern const ScheduleEntry local_sgd_entry;
extern const ScheduleEntry pipe_sgd_entry;
extern const ScheduleEntry cocod_sgd_entry;
extern const ScheduleEntry slgs_sgd_entry;
extern const ScheduleEntry lags_sgd_entry;
extern const ScheduleEntry gtop_k_entry;
extern const ScheduleEntry dgc_entry;
extern const ScheduleEntry priority_sgd_entry;
extern const ScheduleEntry power_sgd_entry;
extern const ScheduleEntry overlap_local_sgd_entry;
extern const ScheduleEntry stl_sgd_entry;
extern const ScheduleEntry diloco_entry;
extern const ScheduleEntry streaming_diloco_entry;
extern const ScheduleEntry zero_entry;
extern const ScheduleEntry fsdp_entry;
extern const ScheduleEntry dear_entry;
extern const ScheduleEntry acco_entry;
extern const ScheduleEntry sgp_entry;
extern const ScheduleEntry ad_psgd_entry;
extern const ScheduleEntry vrl_sgd_entry;
extern const ScheduleEntry easgd_entry;
extern const ScheduleEntry slow_mo_entry;
extern const ScheduleEntry eager_diloco_entry;
extern const ScheduleEntry sparse_loco_entry;
extern const ScheduleEntry sign_sgd_entry;
extern const ScheduleEntry one_bit_adam_entry;
extern const ScheduleEntry cltk_entry;
extern const ScheduleEntry demo_entry;
extern const ScheduleEntry ps_s_sgd_entry;
extern const ScheduleEntry asgd_entry;
extern const ScheduleEntry dc_asgd_entry;
extern const ScheduleEntry od_sgd_entry;
extern const ScheduleEntry cd_sgd_entry;

namespace {

std::vector<ScheduleEntry> all_schedules() {
  std::vector<ScheduleEntry> all{s_sgd_entry,
                                 local_sgd_entry,
                                 pipe_sgd_entry,
                                 cocod_sgd_entry,
                                 slgs_sgd_entry,
                                 lags_sgd_entry,
                                 gtop_k_entry,
                                 dgc_entry,
                                 priority_sgd_entry,
                                 power_sgd_entry,
                                 overlap_local_sgd_entry,
                                 stl_sgd_entry,
                                 diloco_entry,
                                 streaming_diloco_entry,
                                 zero_entry,
                                 fsdp_entry,
                                 dear_entry,
                                 acco_entry,
                                 sgp_entry,
                                 ad_psgd_entry,
                                 vrl_sgd_entry,
                                 easgd_entry,
                                 slow_mo_entry,
                                 eager_diloco_entry,
                                 sparse_loco_entry,
                                 sign_sgd_entry,
                                 one_bit_adam_entry,
                                 cltk_entry,
                                 demo_entry,
                                 ps_s_sgd_entry,
                                 asgd_entry,
                                 dc_asgd_entry,
                                 od_sgd_entry,
                                 cd_sgd_entry};
  for (const ScheduleEntry& entry : schedules_of_modules()) {
    for (const ScheduleEntry& known : all)
      if (known.name == entry.name)
        throw InputError("PACELINE_SCHEDULES: there is a schedule '" + entry.name +
                         "' already; expected another name");
    all.push_back(entry);
  }
  return all;
}

}  // namespace

const std::vector<ScheduleEntry>& schedules() {
  static const std::vector<ScheduleEntry> all = all_schedules();
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
