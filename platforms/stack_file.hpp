#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "platforms/stack.hpp"

namespace paceline {

/// The JSON form, "format": "paceline-stack-1": name, description and "constants", an object of
/// {"value", "source", "uncertainty"} by stack_fields(). What is not there is off. Throws
/// InputError at the JSON path, with the nearest key. `overrides` as for load_stack.
Stack read_stack(const Json& json, const std::string& file,
                 const std::vector<std::string>& overrides = {});
/// Throws InputError with the nearest key.
const StackField& find_stack_field(const std::string& key);
/// What read_stack reads: the stated constants.
Json write_stack(const Stack& stack);

}  // namespace paceline
