#include "studies/schema.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/json.hpp"
#include "studies/figures.hpp"

namespace paceline {
namespace {

constexpr int kApplication = 0x5061636c;  // "Pacl"
constexpr int kSchema = 3, kBeforeColumns = 2;

std::string schema() {
  std::string columns;
  for (const Figure& figure : figures())
    columns += fmt::format(", {} {}", figure.name, figure.type);
  return fmt::format(
      "CREATE TABLE IF NOT EXISTS study(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
      "description TEXT NOT NULL, version TEXT NOT NULL, axes TEXT NOT NULL, points INTEGER NOT "
      "NULL, experiment TEXT NOT NULL, definition BLOB NOT NULL);"
      "CREATE TABLE IF NOT EXISTS key(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);"
      "CREATE TABLE IF NOT EXISTS baseline(study INTEGER NOT NULL REFERENCES study ON DELETE "
      "CASCADE, number INTEGER NOT NULL, result INTEGER NOT NULL, asked INTEGER NOT NULL, PRIMARY "
      "KEY(study, number, result)) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS result(id INTEGER PRIMARY KEY, version TEXT NOT NULL, error "
      "TEXT{});"
      "CREATE TABLE IF NOT EXISTS detail(key BLOB PRIMARY KEY, json BLOB NOT NULL);"
      "PRAGMA application_id = {}; PRAGMA user_version = {};",
      columns, kApplication, kSchema);
}

std::int64_t pragma(const Database& database, const char* name) {
  Statement statement(database, fmt::format("PRAGMA {}", name));
  return statement.step() ? statement.integer(0) : 0;
}

bool empty(const Database& database) {
  Statement tables(database, "SELECT count(*) FROM sqlite_schema");
  return tables.step() && tables.integer(0) == 0;
}

// Points had their labels as JSON, and keys in place of numbers.
void give_columns(Database& database) {
  std::vector<std::pair<std::int64_t, std::size_t>> studies;
  {
    Statement all(database, "SELECT id, axes FROM study");
    while (all.step())
      studies.emplace_back(all.integer(0), parse_json(all.text(1), database.file()).size());
  }
  std::string columns;
  for (const Figure& figure : figures()) columns += fmt::format(", {}", figure.name);
  database.execute(
      "DROP INDEX IF EXISTS point_key; ALTER TABLE point RENAME TO old_point; ALTER TABLE baseline "
      "RENAME TO old_baseline; ALTER TABLE result RENAME TO old_result;" +
      schema() +
      "INSERT OR IGNORE INTO key(key) SELECT key FROM old_point ORDER BY study, number;"
      "INSERT OR IGNORE INTO key(key) SELECT key FROM old_result;"
      "INSERT OR IGNORE INTO key(key) SELECT key FROM old_baseline;");
  database.execute(fmt::format(
      "INSERT INTO result(id, version, error{0}) SELECT k.id, version, error{0} FROM key k JOIN "
      "old_result USING(key) ORDER BY k.id; INSERT INTO baseline SELECT study, number, k.id, asked "
      "FROM old_baseline JOIN key k USING(key);",
      columns));
  for (const auto& [study, axes] : studies) {
    make_point_table(database, study, axes);
    std::string labels;
    for (std::size_t i = 0; i < axes; ++i)
      labels += fmt::format(", json_extract(labels, '$[{}]')", i);
    database.execute(
        fmt::format("INSERT INTO {} SELECT number, k.id{} FROM old_point JOIN key k USING(key) "
                    "WHERE study = {} ORDER BY number",
                    point_table(study), labels, study));
  }
  database.execute("DROP TABLE old_point; DROP TABLE old_baseline; DROP TABLE old_result");
}

void make_or_change(Database& database) {
  if (database.unwritable())
    throw InputError(
        fmt::format("{}: a store of an earlier version of paceline, and it cannot be written to be "
                    "brought up to this one's form",
                    database.file()));
  if (database.mode() == Database::Mode::read) database.execute("PRAGMA query_only = 0");
  Transaction transaction(database);
  if (pragma(database, "user_version") == kBeforeColumns)  // another process may have been first
    give_columns(database);
  else
    database.execute(schema());
  transaction.commit();
  if (database.mode() == Database::Mode::read) database.execute("PRAGMA query_only = 1");
}

}  // namespace

std::string point_table(std::int64_t study) {
  return fmt::format("main.point_{}", study);
}

std::string label_column(std::size_t axis) {
  return fmt::format("label_{}", axis);
}

void make_point_table(Database& database, std::int64_t study, std::size_t axes) {
  std::string labels;
  for (std::size_t i = 0; i < axes; ++i) labels += fmt::format(", {} TEXT", label_column(i));
  const std::string table = point_table(study);
  database.execute(fmt::format(
      "DROP TABLE IF EXISTS {0}; CREATE TABLE {0}(number INTEGER PRIMARY KEY, result INTEGER NOT "
      "NULL{2}); CREATE INDEX {0}_result ON point_{1}(result)",
      table, study, labels));
}

void prepare_store(Database& database) {
  const bool is_new = empty(database), reads = database.mode() == Database::Mode::read;
  const std::int64_t format = pragma(database, "user_version");
  if (!(is_new && !reads) && pragma(database, "application_id") != kApplication)
    throw InputError(fmt::format("{}: this is no store of 'paceline sweep'", database.file()));
  if (!is_new && format != kSchema && format != kBeforeColumns)
    throw InputError(
        fmt::format("{}: a store of another version of paceline (format {}, expected {})",
                    database.file(), format, kSchema));
  if (is_new || format == kBeforeColumns) make_or_change(database);
}

}  // namespace paceline
