#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/files.hpp"
#include "calibrate/analytic.hpp"
#include "calibrate/csv.hpp"
#include "calibrate/import.hpp"
#include "calibrate/import_profile.hpp"

namespace paceline {
namespace {

double time_of(const CsvTable& table, std::size_t row, std::string_view column) {
  const double seconds = table.number(row, column);
  if (seconds < 0)
    throw InputError(fmt::format("{}:{}: expected a time of 0 s or more in column '{}', found '{}'",
                                 table.file(), table.line(row), column, table.text(row, column)));
  return seconds;
}

}  // namespace

std::string read_text(const std::filesystem::path& file) {
  return read_file(file);
}

Profile imported_profile(const Model& model, const ImportOptions& options, BatchTimes times) {
  if (options.batch < 1)
    throw InputError(fmt::format("the batch must be 1 or more, found {}", options.batch));
  Profile profile;
  profile.source = ProfileSource::measured;
  profile.uncertainty = options.uncertainty;
  profile.device = options.device;
  profile.model = model.name();
  profile.precision = options.precision;
  times.batch = options.batch;
  profile.batches.push_back(std::move(times));
  return profile;
}

Profile parse_import_csv(std::string_view text, const std::string& name, const Model& model,
                         const ImportOptions& options) {
  const CsvTable table(text, name);
  for (const char* column : {"operation", "forward_s", "backward_s"})
    if (!table.has_column(column))
      throw InputError(fmt::format(
          "{}:1: expected the columns operation, forward_s, backward_s; '{}' is missing", name,
          column));
  std::vector<std::string> names;
  for (const std::size_t i : timed_operations(model)) names.push_back(model.operations()[i].name);
  std::map<std::string, std::size_t> rows;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string& operation = table.text(row, "operation");
    if (std::find(names.begin(), names.end(), operation) == names.end())
      throw InputError(fmt::format("{}:{}: {}", name, table.line(row),
                                   unknown_name("operation of " + model.name(), operation, names)));
    if (!rows.emplace(operation, row).second)
      throw InputError(fmt::format("{}:{}: '{}' appears twice", name, table.line(row), operation));
  }
  BatchTimes times;
  for (const std::string& operation : names) {
    const auto found = rows.find(operation);
    if (found == rows.end())
      throw InputError(
          fmt::format("{}: operation '{}' of {} is missing", name, operation, model.name()));
    times.layers.push_back({operation,
                            {time_of(table, found->second, "forward_s"), {}, {}},
                            {time_of(table, found->second, "backward_s"), {}, {}},
                            {}});
  }
  Profile profile = imported_profile(model, options, std::move(times));
  profile.description = "imported from a table of layer times";
  return profile;
}

Profile import_csv(const std::filesystem::path& file, const Model& model,
                   const ImportOptions& options) {
  return parse_import_csv(read_text(file), file.string(), model, options);
}

}  // namespace paceline
