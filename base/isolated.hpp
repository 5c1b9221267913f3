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

/// The same of `count` tasks that are known by their number, of which each answer is handed over as it comes:
/// `ended(i, answer)`, where `answer()` returns what task i did or throws its error. Once that returns false, no more
/// tasks are started.
void run_isolated(std::size_t count, const std::function<Json(std::size_t)>& task,
                  unsigned parallel,
                  const std::function<bool(std::size_t, const std::function<Json()>&)>& ended);

}  // namespace paceline
