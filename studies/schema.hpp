#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "studies/sqlite.hpp"

namespace paceline {

// The tables of a store. A row of `key` is a number for what decides a result, given where it is first met; under
// that number are its figures, and what names it: the points and the baselines. So rows of points and of their
// results lie in one order, and a question goes through both once. `detail` has whole results, under the key itself.

/// Sees that it is a store, makes the tables of an empty one, and brings one of an earlier version to this form, in
/// one transaction; what a reader may not do where the file cannot be written. Throws InputError.
void prepare_store(Database& database);

/// The points of a study: number, result (of `key`), and the labels of its axes.
std::string point_table(std::int64_t study);
std::string label_column(std::size_t axis);
void make_point_table(Database& database, std::int64_t study, std::size_t axes);

}  // namespace paceline
