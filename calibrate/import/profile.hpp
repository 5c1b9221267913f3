#pragma once

#include "calibrate/import/import.hpp"

// Shared by the importers.
namespace paceline {

/// Throws InputError for options that would make a profile nobody can read.
void check_options(const ImportOptions& options);
/// A profile of one batch.
Profile imported_profile(const Model& model, const ImportOptions& options, BatchTimes times);

}  // namespace paceline
