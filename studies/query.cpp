#include "studies/query.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "experiments/axis_values.hpp"

namespace paceline {
namespace {

std::string quoted_text(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

const std::string& known(const std::string& name, const std::vector<std::string>& columns,
                         const char* option) {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end())
    throw InputError(fmt::format("{} {}", option, unknown_name("column", name, columns)));
  return *found;
}

// "workers=8..64" as SQL.
std::string condition(const std::string& part, const std::vector<std::string>& columns) {
  const auto equals = part.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == part.size())
    throw InputError(
        fmt::format("--where '{}': expected COLUMN=VALUE,VALUE... or COLUMN=A..B", part));
  const std::string column = quoted_name(known(part.substr(0, equals), columns, "--where:"));
  std::vector<std::string> any;
  for (const std::string& text : split_outside_brackets(part.substr(equals + 1), ',')) {
    if (const std::optional<ValueRange> range = ValueRange::from_text(text, "--where " + part))
      any.push_back(fmt::format("quantity({}) BETWEEN quantity('{}{}') AND quantity('{}{}')",
                                column, range->first, range->unit, range->last, range->unit));
    else if (text.find('*') != std::string::npos)
      any.push_back(fmt::format("{} GLOB {}", column, quoted_text(text)));
    else
      any.push_back(fmt::format("CAST({} AS TEXT) = {}", column, quoted_text(text)));
  }
  return fmt::format("({})", fmt::join(any, " OR "));
}

const char* view_of(const Question& question) {
  return question.over_seeds ? "over_seeds" : "points";
}

std::string sql_of(const Question& question, const std::vector<std::string>& columns, bool errors) {
  std::vector<std::string> selected, where;
  for (const std::string& name : question.columns.empty() ? columns : question.columns)
    selected.push_back(quoted_name(known(name, columns, "--columns:")));
  for (const std::string& option : question.where)
    for (const std::string& part : split_outside_brackets(option, ';'))
      where.push_back(condition(part, columns));
  if (!errors) where.push_back("error IS NULL");
  std::string sql = fmt::format("SELECT {} FROM {}", fmt::join(selected, ", "), view_of(question));
  if (!where.empty()) sql += fmt::format(" WHERE {}", fmt::join(where, " AND "));
  sql += question.sort.empty() ? " ORDER BY number"
                               : fmt::format(" ORDER BY {} {}, number",
                                             quoted_name(known(question.sort, columns, "--sort:")),
                                             question.descending ? "DESC" : "ASC");
  if (question.limit > 0) sql += fmt::format(" LIMIT {}", question.limit);
  return sql;
}

bool names_errors(const Question& question) {
  const auto names = [](const std::string& text) {
    return text.find("error") == 0 || text.find(";error") != text.npos;
  };
  return std::any_of(question.where.begin(), question.where.end(), names) ||
         std::any_of(question.columns.begin(), question.columns.end(), names);
}

}  // namespace

void ask(Store& store, const Question& question, const RowSink& sink) {
  std::string sql = question.sql;
  if (sql.empty() || !question.study.empty() || store.studies().size() == 1) {
    store.view_points(store.study(question.study));
    std::vector<std::string> columns;
    const Statement view(store.database(), fmt::format("SELECT * FROM {}", view_of(question)));
    for (int i = 0; i < view.columns(); ++i) columns.push_back(view.name(i));
    if (sql.empty()) sql = sql_of(question, columns, names_errors(question));
  }
  Statement statement(store.database(), sql);
  if (!statement.read_only() || statement.columns() == 0)
    throw InputError("--sql: expected one statement that reads, SELECT ...");
  if (statement.rest().find_first_not_of(" \t\n;") != std::string::npos)
    throw InputError("--sql: expected one statement, and there is more behind it");
  std::vector<std::string> names;
  for (int i = 0; i < statement.columns(); ++i) names.push_back(statement.name(i));
  sink.header(names);
  std::vector<SqlValue> row(names.size());
  while (statement.step()) {
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = statement.value(static_cast<int>(i));
    sink.row(row);
  }
}

std::string to_text(const SqlValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* blob = std::get_if<Blob>(&value)) {
    std::string hex;
    for (const char c : blob->bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return hex;
  }
  return "";
}

}  // namespace paceline
