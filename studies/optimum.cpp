#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "base/json.hpp"
#include "studies/optimize.hpp"

namespace paceline {

std::string setting_text(const std::vector<std::string>& axes,
                         const std::vector<std::string>& labels) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < labels.size(); ++i) parts.push_back(axes[i] + " " + labels[i]);
  return fmt::format("{}", fmt::join(parts, ", "));
}

Json to_json(const Optimization& found, const std::string& store) {
  const auto maybe = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json();
  };
  Json json{{"format", "paceline-optimum-1"},
            {"study", found.study},
            {"store", store},
            {"objective",
             {{"column", found.objective.column},
              {"goal", found.objective.maximize ? "maximize" : "minimize"}}},
            {"each", found.each},
            {"simulations", found.simulations},
            {"found", found.found},
            {"constraints", Json::array()},
            {"optima", Json::array()}};
  for (const Constraint& constraint : found.constraints)
    json["constraints"].push_back(
        {{"column", constraint.column}, {constraint.at_most ? "most" : "least", constraint.bound}});
  for (const Optimum& optimum : found.optima) {
    Json labels = Json::object(), bounded = Json::object();
    for (std::size_t i = 0; i < optimum.labels.size(); ++i)
      labels[found.axes[i]] = optimum.labels[i];
    for (std::size_t i = 0; i < optimum.bounded.size(); ++i)
      bounded[found.constraints[i].column] = maybe(optimum.bounded[i]);
    json["optima"].push_back({{"each", optimum.each},
                              {"setting", std::move(labels)},
                              {"number", optimum.number},
                              {"value", maybe(optimum.value)},
                              {"uncertainty_s", optimum.sigma_s},
                              {"constrained", std::move(bounded)},
                              {"settings", optimum.settings},
                              {"all_settings", optimum.all},
                              {"no_neighbour_better", optimum.no_neighbour}});
  }
  return json;
}

void require_optima(const Optimization& found) {
  for (const Optimum& optimum : found.optima) {
    if (optimum.value) continue;
    const std::string beside =
        found.each.empty() ? "" : setting_text(found.each, optimum.each) + ": ";
    if (optimum.labels.empty())
      throw InputError(fmt::format("{}the filters leave no setting", beside));
    std::string why;
    for (std::size_t i = 0; i < optimum.bounded.size(); ++i)
      if (optimum.bounded[i])
        why += fmt::format("; {} asked for, {:.5g} there", found.constraints[i].text,
                           *optimum.bounded[i]);
    if (why.empty() && !found.first_failure.empty()) why = "; " + found.first_failure;
    throw InputError(fmt::format("{}none of {} settings is allowed; nearest is {}{}", beside,
                                 optimum.settings, setting_text(found.axes, optimum.labels), why));
  }
}

}  // namespace paceline
