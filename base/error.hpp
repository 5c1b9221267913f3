#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// The user's input is wrong (exit code 2). The message is one line that says where (file, JSON
/// path or option), what was found, and what was expected.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A check that the user asked for, or that we hold ourselves to, did not hold (exit code 3): a
/// simulated value below its floor, a validation row outside its tolerance.
class CheckFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The name in `candidates` with the smallest edit distance to `name`, or "" if none is near enough
/// to be what the user meant (more than half of the characters differ).
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// "unknown <what> 'nmae'; did you mean 'name'?" or, with nothing near, "...; known: a, b, c".
std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string>& candidates);

}  // namespace paceline
