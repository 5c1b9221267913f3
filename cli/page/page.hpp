#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/page/section.hpp"
#include "studies/store.hpp"

namespace paceline {

/// What a study says, in whatever form: the same bytes for the same store.
struct Report {
  std::string name, description;
  std::string answer;   ///< who wins, where, and by how much, with the interval
  std::string missing;  ///< how many points have been run, where not all have
  std::vector<Section> sections;
};
/// `measured`: a CSV file of measured times, or empty. Throws InputError if no point has been run.
Report report_of(Store& store, const Store::StudyInfo& study, const std::string& measured = "");
/// The first sentence alone.
std::string study_answer(Store& store, const Store::StudyInfo& study);

/// One HTML file that needs nothing else.
std::string html_of(const Report& report);
/// `drawing`: the name of the file of a section's figures.
std::string markdown_of(const Report& report,
                        const std::function<std::string(const Section&)>& drawing);
/// The section whose figures are called so. Throws InputError with those that there are.
const Section& figure_of(const Report& report, const std::string& name);

}  // namespace paceline
