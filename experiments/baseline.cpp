#include "experiments/baseline.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "experiments/axes.hpp"
#include "experiments/floors.hpp"

namespace paceline {
namespace {

constexpr const char* kSSgd = "s-sgd";
const std::vector<std::string> kRules{"none", "wfbp", "mg-wfbp", "optimal", "ddp", "horovod"};

Json with_rule(const std::string& rule) {
  return {{"name", kSSgd}, {"overlap", rule}};
}

Experiment with_schedule(const Experiment& experiment, const Json& schedule) {
  Experiment baseline = experiment;
  for (JobDescription& job : baseline.jobs) {
    job.clips = job.training && job.training->clip_norm > 0;
    job.training.reset();
  }
  baseline.jobs.front().schedule = schedule;
  baseline.baseline = nullptr;
  return baseline;
}

}  // namespace

Baseline baseline_of(const Experiment& experiment) {
  Baseline baseline;
  const Json& asked = experiment.baseline;
  if (asked == "none") return baseline;
  if (asked == "best")
    for (const std::string& rule : kRules)
      baseline.experiments.push_back(with_schedule(experiment, with_rule(rule)));
  else
    baseline.experiments.push_back(
        with_schedule(experiment, asked.is_null() ? with_rule("ddp") : asked));
  baseline.only_if_run =
      asked.is_null() && experiment.jobs.front().schedule.value("name", "") == kSSgd;
  return baseline;
}

Json read_baseline(const Json& value, const std::string& file) {
  const auto fail = [&](const std::string& why) -> InputError {
    return InputError(fmt::format("{}: $.baseline: {}", file, why));
  };
  Json schedule = value;
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    if (text == "none" || text == "best") return value;
    const std::string name = text.substr(0, text.find(':'));
    if (std::find(kRules.begin(), kRules.end(), name) != kRules.end()) {
      schedule = schedule_from_option(text);
      schedule["name"] = kSSgd;
      schedule["overlap"] = name;
    } else {
      schedule = schedule_from_option(text);
    }
  }
  if (!schedule.is_object() || schedule.value("name", Json()) != kSSgd) {
    std::vector<std::string> names{kSSgd, "best"};
    names.insert(names.end(), kRules.begin(), kRules.end());
    throw fail(value.is_string() ? unknown_name("S-SGD baseline", value.get<std::string>(), names)
                                 : "expected none, best, a merging rule of s-sgd, or s-sgd");
  }
  return schedule;
}

std::string schedule_option(const Experiment& experiment) {
  const Json& schedule = experiment.jobs.front().schedule;
  std::string text = schedule.value("name", "");
  for (const auto& [key, value] : schedule.items())
    if (key != "name")
      text +=
          fmt::format(":{}={}", key, value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

void compare_with_baseline(RunResult& result, const std::string& baseline, double baseline_s) {
  result.job.s_sgd_baseline = baseline;
  result.job.s_sgd_time_s = baseline_s;
  if (result.job.iteration_time_s > 0)
    result.job.speedup_over_s_sgd = baseline_s / result.job.iteration_time_s;
  compare_bounds(result.job);
}

}  // namespace paceline
