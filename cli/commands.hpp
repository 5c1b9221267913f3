#pragma once

#include <CLI/App.hpp>

namespace paceline {

// Each adds one sub-command, whose callback does the work and throws InputError, CheckFailed, ...
void add_run(CLI::App& app);
void add_compare(CLI::App& app);
void add_bounds(CLI::App& app);
void add_complexity(CLI::App& app);
void add_list(CLI::App& app);
void add_show(CLI::App& app);
void add_fit(CLI::App& app);
void add_plot(CLI::App& app);

}  // namespace paceline
