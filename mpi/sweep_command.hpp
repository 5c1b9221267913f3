#pragma once

#include <CLI/App.hpp>

#include "mpi/world.hpp"

namespace paceline {

/// Adds `paceline-mpi sweep`: the points of a study by all ranks.
void add_study(CLI::App& app, const World& world);

}  // namespace paceline
