#pragma once

#include "calibrate/import.hpp"

// Shared by the importers.
namespace paceline {

std::string read_text(const std::filesystem::path& file);
/// A profile of one batch. Throws InputError if options.batch < 1.
Profile imported_profile(const Model& model, const ImportOptions& options, BatchTimes times);

}  // namespace paceline
