#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text_file.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/import/import.hpp"
#include "calibrate/import/profile.hpp"

namespace paceline {
namespace {

constexpr double kMostSeconds = 86400;

double time_of(const CsvTable& table, std::size_t row, std::string_view column) {
  const double seconds = table.number(row, column);
  if (seconds < 0 || seconds > kMostSeconds)
    throw InputError(fmt::format(
        "{}:{}: expected a time of 0 s or more, at most a day, in column '{}', found '{}'",
        table.file(), table.line(row), column, table.text(row, column)));
  return seconds;
}

}  // namespace

void check_options(const ImportOptions& options) {
  if (options.batch < 1)
    throw InputError(fmt::format("the batch must be 1 or more, found {}", options.batch));
  if (!(options.uncertainty >= 0 && options.uncertainty <= 10))
    throw InputError(fmt::format("the uncertainty must be 0 to 10 (0.05 is 5 %), found {}",
                                 options.uncertainty));
  if (trimmed(options.device).empty())
    throw InputError("the device must have a name: the GPU that was timed");
  static const std::vector<std::string> precisions{"fp32", "tf32", "fp16", "bf16"};
  if (std::find(precisions.begin(), precisions.end(), options.precision) == precisions.end())
    throw InputError(unknown_name("precision", options.precision, precisions));
}

Profile imported_profile(const Model& model, const ImportOptions& options, BatchTimes times) {
  check_options(options);
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
  check_options(options);
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
  double sum = 0;
  for (const std::string& operation : names) {
    const auto found = rows.find(operation);
    if (found == rows.end())
      throw InputError(
          fmt::format("{}: operation '{}' of {} is missing", name, operation, model.name()));
    times.layers.push_back({operation,
                            {time_of(table, found->second, "forward_s"), {}, {}},
                            {time_of(table, found->second, "backward_s"), {}, {}},
                            {}});
    sum += times.layers.back().forward.median_s + times.layers.back().backward_data.median_s;
  }
  if (sum <= 0) throw InputError(fmt::format("{}: all times are 0 s", name));
  Profile profile = imported_profile(model, options, std::move(times));
  profile.description = "imported from a table of layer times";
  return profile;
}

Profile import_csv(const std::filesystem::path& file, const Model& model,
                   const ImportOptions& options) {
  return parse_import_csv(read_text_file(file), file.string(), model, options);
}

}  // namespace paceline
