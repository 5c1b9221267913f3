#pragma once

#include "base/object_reader.hpp"
#include "models/operation.hpp"

namespace paceline {

/// The attributes of `kind` from the keys of an operation's JSON object. Throws InputError.
Attributes read_attributes(ObjectReader& reader, OpKind kind);
/// Adds the attributes' keys to `json`: the required ones and those that differ from their
/// defaults.
void write_attributes(Json& json, const Attributes& attributes);

}  // namespace paceline
