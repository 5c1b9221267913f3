#pragma once

#include <string>

#include "studies/store.hpp"

namespace paceline {

/// The report of a study: one HTML file that needs nothing else. The same bytes for the same store. `measured`: a
/// CSV file of measured times, or empty. Throws InputError if no point has been run.
std::string study_page(Store& store, const Store::StudyInfo& study,
                       const std::string& measured = "");

/// Its first sentence: who wins, where, and by how much, with the interval.
std::string study_answer(Store& store, const Store::StudyInfo& study);

}  // namespace paceline
