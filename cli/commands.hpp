#pragma once

#include <CLI/App.hpp>

namespace paceline {

/// Adds one sub-command, whose callback does the work and throws InputError, CheckFailed, ...
using AddCommand = void(CLI::App& app);

// A command is a file of its own and its name here.
AddCommand add_run, add_compare, add_bounds, add_complexity, add_validate, add_diagnose, add_list,
    add_show, add_fit, add_plot, add_sweep, add_optimize, add_query, add_report, add_compare_trace,
    add_calibrate;  // the last for the help, and `calibrate stack`
inline constexpr AddCommand* kCommands[]{
    add_run,   add_compare, add_bounds,        add_complexity, add_validate, add_diagnose,
    add_list,  add_show,    add_fit,           add_plot,       add_sweep,    add_optimize,
    add_query, add_report,  add_compare_trace, add_calibrate};

/// Adds `calibrate stack`, which simulates and so is no part of paceline-calibrate.
void add_calibrate_stack(CLI::App& calibrate);

/// Becomes `paceline-calibrate`, which lies beside this program, with everything after "calibrate":
/// `arguments` is argv from there on. Throws std::runtime_error if it cannot be started.
[[noreturn]] void run_calibrate(char** arguments);

}  // namespace paceline
