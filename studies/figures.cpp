#include "studies/figures.hpp"

#include <algorithm>

namespace paceline {
namespace {

SqlValue maybe(const std::optional<double>& value) {
  return value ? SqlValue(*value) : SqlValue();
}
SqlValue whole(std::int64_t value) {
  return value;
}

const std::optional<TrainingOutcome>& training(const RunResult& r) {
  return r.job.training;
}

}  // namespace

const std::vector<Figure>& figures() {
  using R = const RunResult&;
  static const std::vector<Figure> list{
      {"model", "TEXT", [](R r) -> SqlValue { return r.job.model; }},
      {"schedule_name", "TEXT", [](R r) -> SqlValue { return r.job.schedule; }},
      {"cluster_name", "TEXT", [](R r) -> SqlValue { return r.cluster; }},
      {"stack_name", "TEXT", [](R r) -> SqlValue { return r.stack; }},
      {"workers", "INTEGER", [](R r) { return whole(static_cast<std::int64_t>(r.job.workers)); }},
      {"iteration_time_s", "REAL", [](R r) -> SqlValue { return r.job.iteration_time_s; }},
      {"uncertainty_s", "REAL", [](R r) -> SqlValue { return r.job.uncertainty_s; }},
      {"median_s", "REAL", [](R r) -> SqlValue { return r.job.median_s; }},
      {"p25_s", "REAL", [](R r) -> SqlValue { return r.job.p25_s; }},
      {"p75_s", "REAL", [](R r) -> SqlValue { return r.job.p75_s; }},
      {"compute_s", "REAL", [](R r) -> SqlValue { return r.job.time.compute_s(); }},
      {"forward_s", "REAL", [](R r) -> SqlValue { return r.job.time.forward_s; }},
      {"backward_s", "REAL", [](R r) -> SqlValue { return r.job.time.backward_s; }},
      {"update_s", "REAL", [](R r) -> SqlValue { return r.job.time.update_s; }},
      {"sparsification_s", "REAL", [](R r) -> SqlValue { return r.job.time.sparsification_s; }},
      {"arithmetic_s", "REAL", [](R r) -> SqlValue { return r.job.time.arithmetic_s; }},
      {"software_s", "REAL", [](R r) -> SqlValue { return r.job.time.software_s; }},
      {"exposed_communication_s", "REAL",
       [](R r) -> SqlValue { return r.job.time.exposed_communication_s; }},
      {"exposed_copies_s", "REAL", [](R r) -> SqlValue { return r.job.time.exposed_copies_s; }},
      {"waiting_s", "REAL", [](R r) -> SqlValue { return r.job.time.waiting_s; }},
      {"communication_s", "REAL",
       [](R r) { return r.job.overlap ? SqlValue(r.job.overlap->communication_s) : SqlValue(); }},
      {"overlap_efficiency", "REAL",
       [](R r) { return r.job.overlap ? maybe(r.job.overlap->efficiency) : SqlValue(); }},
      {"one_gpu_time_s", "REAL", [](R r) -> SqlValue { return r.job.one_gpu_time_s; }},
      {"speedup_over_one_gpu", "REAL", [](R r) -> SqlValue { return r.job.speedup_over_one_gpu; }},
      {"scaling_efficiency", "REAL", [](R r) -> SqlValue { return r.job.scaling_efficiency; }},
      {"samples_per_s", "REAL", [](R r) { return maybe(r.job.samples_per_s); }},
      {"sent_bytes", "REAL", [](R r) -> SqlValue { return static_cast<double>(r.job.sent_bytes); }},
      {"messages", "REAL", [](R r) -> SqlValue { return static_cast<double>(r.job.messages); }},
      {"memory_bytes", "REAL",
       [](R r) -> SqlValue {
         double most = 0;
         for (const MemoryUse& use : r.job.memory) most = std::max(most, use.total_bytes());
         return r.job.memory.empty() ? SqlValue() : SqlValue(most);
       }},
      {"busiest_link", "TEXT",
       [](R r) -> SqlValue {
         return r.links.empty() ? SqlValue() : SqlValue(r.links.front().name);
       }},
      {"busiest_link_utilisation", "REAL",
       [](R r) -> SqlValue {
         return r.links.empty() ? SqlValue() : SqlValue(r.links.front().utilisation);
       }},
      {"busiest_link_bytes", "REAL",
       [](R r) -> SqlValue {
         return r.links.empty() ? SqlValue() : SqlValue(static_cast<double>(r.links.front().bytes));
       }},
      {"final_loss", "REAL",
       [](R r) { return training(r) ? maybe(training(r)->final_loss) : SqlValue(); }},
      {"final_accuracy", "REAL",
       [](R r) { return training(r) ? maybe(training(r)->final_accuracy) : SqlValue(); }},
      {"time_to_target_s", "REAL",
       [](R r) { return training(r) ? maybe(training(r)->time_to_target_s) : SqlValue(); }},
      {"dollars_per_hour", "REAL",
       [](R r) { return r.cost ? SqlValue(r.cost->dollars_per_hour) : SqlValue(); }},
      {"dollars_per_iteration", "REAL",
       [](R r) { return r.cost ? SqlValue(r.cost->dollars_per_iteration) : SqlValue(); }},
      {"samples_per_dollar", "REAL",
       [](R r) { return r.cost ? maybe(r.cost->samples_per_dollar) : SqlValue(); }},
      {"dollars_to_target", "REAL",
       [](R r) { return r.cost ? maybe(r.cost->dollars_to_target) : SqlValue(); }},
      {"watts", "REAL", [](R r) { return r.energy ? SqlValue(r.energy->watts) : SqlValue(); }},
      {"joules_per_iteration", "REAL",
       [](R r) { return r.energy ? SqlValue(r.energy->joules_per_iteration) : SqlValue(); }},
      {"samples_per_joule", "REAL",
       [](R r) { return r.energy ? maybe(r.energy->samples_per_joule) : SqlValue(); }},
      {"joules_to_target", "REAL",
       [](R r) { return r.energy ? maybe(r.energy->joules_to_target) : SqlValue(); }},
      {"fidelity", "TEXT", [](R r) -> SqlValue { return r.fidelity; }},
      {"flow_error_bound", "REAL", [](R r) -> SqlValue { return r.flow_error_bound; }},
  };
  return list;
}

}  // namespace paceline
