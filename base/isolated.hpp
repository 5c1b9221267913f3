#pragma once

#include <functional>
#include <vector>

#include "base/json.hpp"

namespace paceline {

/// Runs every task in a child process of its own, at most `parallel` at a time, and returns what
/// they returned, in the order of the tasks. Each child may use SimGrid's one engine. If tasks
/// fail, the error of the first failed one in order is thrown here with its type (InputError,
/// CheckFailed, else std::runtime_error); a child that crashes is a std::runtime_error naming the
/// signal. `done(n)` is called when n tasks have ended. Call it from a single-threaded process.
std::vector<Json> run_isolated(const std::vector<std::function<Json()>>& tasks, unsigned parallel,
                               const std::function<void(std::size_t)>& done = {});

}  // namespace paceline
