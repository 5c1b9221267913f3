#pragma once

#include <string_view>

#include "base/json_fwd.hpp"

namespace paceline {

/// Applies one "--set" such as "network.bandwidth=25Gbps", "nodes[0].gpus=4", "nodes[*].pcie=inf"
/// or "network.topology={\"kind\": \"torus\", \"dimensions\": [4, 4]}" to the JSON of a file. The
/// value is taken as JSON if it is valid JSON and as a string otherwise. A missing key is made, so
/// that defaults can be overridden: whoever reads the JSON refuses keys it does not know. Below a
/// short form such as "pcie": "12GB/s" the string becomes {"bandwidth": string}. Throws InputError
/// for a malformed override and for an element that an array does not have.
void apply_override(Json& json, std::string_view assignment);

}  // namespace paceline
