#pragma once

#include <string>

#include "studies/query.hpp"

namespace paceline {

/// The rows of a store that a question asks for, in the forms of `paceline query`. Seconds with
/// four digits in the table; all of them in CSV and JSON.
std::string rows_table(Store& store, const Question& question);
void print_rows_csv(Store& store, const Question& question);
/// One object a line.
void print_rows_json(Store& store, const Question& question);
/// One whole result a line, with "number" and "labels" beside it.
void print_results(Store& store, const Question& question);

}  // namespace paceline
