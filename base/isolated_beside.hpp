#pragma once

#include <functional>

#include "base/json_fwd.hpp"

namespace paceline {

/// Runs one task in a child process of its own and returns what it returned, or throws its error, as run_isolated does
/// (base/isolated.hpp). Meanwhile `beside` is called about every millisecond.
Json run_isolated_beside(const std::function<Json()>& task, const std::function<void()>& beside);

}  // namespace paceline
