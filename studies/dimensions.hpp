#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "studies/study.hpp"

namespace paceline {

/// The "axes" of a study: objects with "axis" and "values" or "variants", with "zip", or with
/// "sample"; `fine` as of values_of_text. Throws InputError.
std::vector<Dimension> read_dimensions(const Json& study, const std::string& file,
                                       std::size_t fine = 0);
/// Of an axis with the variants of an experiment's "vary".
Dimension dimension_of(const Axis& axis);
/// Rows of several axes one by one. Throws InputError unless all have equally many.
Dimension zipped(const std::vector<Dimension>& axes, const std::string& where);

/// An axis to be sampled: a field, and a range or a list.
struct SampledAxis {
  std::string name, field, values;
};
/// Latin hypercube (McKay, Beckman and Conover 1979): of each axis' `count` equal strata every one
/// is taken once, in an order of its own. Throws InputError.
Dimension latin_hypercube(const std::vector<SampledAxis>& axes, std::uint64_t count,
                          std::uint64_t seed, const std::string& where);

/// "network.bandwidth=1Gbps,10Gbps" as field and values. Throws InputError.
SampledAxis axis_option(const std::string& option, const std::string& flag);

}  // namespace paceline
