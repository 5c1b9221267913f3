#pragma once

#include <CLI/App.hpp>
#include <atomic>

namespace paceline {

/// Set by Ctrl-C; a second one ends the program at once.
extern std::atomic<bool> interrupted;

// `paceline calibrate --device ... --model ... --batch ...` itself, and each sub-command. Their
// callbacks do the work and throw InputError, CheckFailed, ...
void add_measure(CLI::App& app);
void add_check(CLI::App& app);
void add_network(CLI::App& app);
void add_transfer(CLI::App& app);
void add_anchors(CLI::App& app);
void add_import(CLI::App& app);

}  // namespace paceline
