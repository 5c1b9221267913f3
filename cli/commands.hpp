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
void add_calibrate(CLI::App& app);  // for the help only

/// Becomes `paceline-calibrate`, which lies beside this program, with everything after "calibrate":
/// `arguments` is argv from there on. Throws std::runtime_error if it cannot be started.
[[noreturn]] void run_calibrate(char** arguments);

}  // namespace paceline
