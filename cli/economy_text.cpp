#include "economy_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>
#include <vector>

#include "base/units.hpp"
#include "report.hpp"

namespace paceline {

std::string overlap_text(const JobOutcome& job) {
  const Overlap& overlap = *job.overlap;
  const auto time = [&](double seconds) { return seconds_like(seconds, job.iteration_time_s); };
  std::string text = fmt::format("{:.1f} % of {} communication hidden", 100 * *overlap.efficiency,
                                 time(overlap.communication_s));
  std::vector<std::string> by;
  for (const auto& [what, seconds] : {std::pair("forward", overlap.hidden_by_forward_s),
                                      std::pair("backward", overlap.hidden_by_backward_s),
                                      std::pair("other operations", overlap.hidden_by_rest_s)})
    if (seconds > 1e-4 * overlap.communication_s)
      by.push_back(fmt::format("{} behind {}", time(seconds), what));
  return by.empty() ? text : fmt::format("{}: {}", text, fmt::join(by, ", "));
}

std::string cost_text(const Cost& cost) {
  std::string text = fmt::format("{:.4g} USD an hour", cost.dollars_per_hour);
  if (cost.samples_per_dollar)
    text += fmt::format(", {} samples per dollar", format_count(*cost.samples_per_dollar));
  if (cost.dollars_to_target)
    text += fmt::format(", {:.4g} USD to the target", *cost.dollars_to_target);
  return text;
}

std::string energy_text(const Energy& energy) {
  std::string text =
      fmt::format("{:.4g} W, {:.4g} J an iteration", energy.watts, energy.joules_per_iteration);
  if (energy.samples_per_joule)
    text += fmt::format(", {:.4g} samples per joule", *energy.samples_per_joule);
  if (energy.joules_to_target)
    text += fmt::format(", {:.4g} kWh to the target", *energy.joules_to_target / 3.6e6);
  return text;
}

}  // namespace paceline
