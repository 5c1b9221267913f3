#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/page/section.hpp"
#include "studies/findings.hpp"

namespace paceline {

/// One of the schedules that a page compares, at a place.
struct PageRun {
  std::string name;
  std::size_t series = 0;  ///< its colour
  const FoundPoint* point = nullptr;
};

/// Loss against the cluster's time, of those that trained; without a figure if none did.
Section loss_section(const std::vector<PageRun>& runs, const Store& store,
                     const std::string& place);

/// When each computes and communicates in one cycle of its schedule: the stored experiments are run once more, where
/// that is next to nothing (no training, no SimGrid).
Section gantt_section(const std::vector<PageRun>& runs, const Store& store,
                      const std::string& place);

/// Times that were measured, beside the study's: a CSV file with columns of axes and `iteration_time_s` or
/// `samples_per_s`. Throws InputError for a row that fits no point.
Section measured_section(const std::filesystem::path& file, const Findings& found,
                         const std::vector<std::string>& axes, const std::vector<PageRun>& runs);

}  // namespace paceline
