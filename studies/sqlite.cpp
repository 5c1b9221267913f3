#include "studies/sqlite.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "experiments/axis_values.hpp"
#include "studies/interval.hpp"

namespace paceline {
namespace {

constexpr int kWait_ms = 60'000;  // for another process that writes
constexpr int kCache_KiB =
    65'536;  // of a reader, at most: a question may go through a store in any order

// quantity('10Gbps') in SI base units, for questions; NULL of what is no number.
void quantity(sqlite3_context* context, int, sqlite3_value** values) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
  std::optional<double> number;
  if (text != nullptr) number = number_of_label(text);
  if (number)
    sqlite3_result_double(context, *number);
  else
    sqlite3_result_null(context);
}

// interval95(x): half the 95 % interval of the mean of x over a group; NULL of fewer than two.
RunningMean* running_mean(sqlite3_context* context, int bytes) {
  static_assert(std::is_trivially_destructible_v<RunningMean>);
  return static_cast<RunningMean*>(sqlite3_aggregate_context(context, bytes));  // zeros: of none
}
void add_to_interval(sqlite3_context* context, int, sqlite3_value** values) {
  if (sqlite3_value_type(values[0]) == SQLITE_NULL) return;
  if (RunningMean* mean = running_mean(context, sizeof(RunningMean)))
    mean->add(sqlite3_value_double(values[0]));
}
void end_interval(sqlite3_context* context) {
  const RunningMean* mean = running_mean(context, 0);
  if (mean != nullptr && mean->count() > 1)
    sqlite3_result_double(context, mean->half95());
  else
    sqlite3_result_null(context);
}

}  // namespace

Database::Database(std::string file, Mode mode) : file_(std::move(file)), mode_(mode) {
  std::error_code ignored;
  if (mode == Mode::read && !std::filesystem::is_regular_file(file_, ignored))
    throw InputError(fmt::format("{}: there is no such store ('paceline sweep' makes one)", file_));
  if (std::filesystem::is_directory(file_, ignored))
    throw InputError(fmt::format("{}: a store is a file, and this is a folder", file_));
  const int flags =
      mode == Mode::read ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  // One connection, one thread.
  int error = sqlite3_open_v2(file_.c_str(), &handle_, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  if (error == SQLITE_OK && mode == Mode::read && sqlite3_db_readonly(handle_, "main") == 1)
    error = SQLITE_OK;
  if (error != SQLITE_OK) {
    const std::string reason = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(error);
    sqlite3_close(std::exchange(handle_, nullptr));
    throw InputError(fmt::format("{}: cannot be opened as a store: {}", file_, reason));
  }
  sqlite3_busy_timeout(handle_, kWait_ms);
  sqlite3_create_function(handle_, "quantity", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                          quantity, nullptr, nullptr);
  sqlite3_create_function(handle_, "interval95", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                          nullptr, add_to_interval, end_interval);
  try {
    if (mode == Mode::read) {
      execute(fmt::format("PRAGMA cache_size = -{}; PRAGMA query_only = 1", kCache_KiB));
    } else {
      // After a kill -9 the log holds whole transactions; a power cut may cost the last ones, and nothing else.
      execute("PRAGMA journal_mode = WAL");
      execute("PRAGMA synchronous = NORMAL");
      execute("PRAGMA foreign_keys = ON");
    }
  } catch (...) {
    sqlite3_close(std::exchange(handle_, nullptr));
    throw;
  }
}

Database::Database(Database&& other) noexcept
    : file_(std::move(other.file_)),
      mode_(other.mode_),
      handle_(std::exchange(other.handle_, nullptr)) {}

Database::~Database() {
  sqlite3_close(handle_);
}

void Database::fail(const std::string& what) const {
  if (sqlite3_errcode(handle_) == SQLITE_NOTADB || sqlite3_errcode(handle_) == SQLITE_CORRUPT)
    throw InputError(fmt::format("{}: this is no store of 'paceline sweep' ({})", file_,
                                 sqlite3_errmsg(handle_)));
  throw InputError(fmt::format("{}: {}: {}", file_, what, sqlite3_errmsg(handle_)));
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    fail("the store cannot be used");
}

bool Database::unwritable() const {
  return sqlite3_db_readonly(handle_, "main") == 1;
}

std::int64_t Database::last_insert() const {
  return sqlite3_last_insert_rowid(handle_);
}

Transaction::~Transaction() {
  // Where SQLite could not go on, it has done so itself: then there is none.
  if (open_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

Statement::Statement(const Database& database, std::string_view sql) : database_(&database) {
  const char* rest = nullptr;
  if (sqlite3_prepare_v2(database.handle(), sql.data(), static_cast<int>(sql.size()), &statement_,
                         &rest) != SQLITE_OK)
    database.fail("SQL");
  rest_.assign(rest, sql.data() + sql.size());
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      rest_(std::move(other.rest_)) {}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement& Statement::bind(int index, const SqlValue& value) {
  const auto length = [](const std::string& text) { return static_cast<int>(text.size()); };
  int error = SQLITE_OK;
  if (std::holds_alternative<std::monostate>(value)) error = sqlite3_bind_null(statement_, index);
  if (const auto* whole = std::get_if<std::int64_t>(&value))
    error = sqlite3_bind_int64(statement_, index, *whole);
  if (const auto* number = std::get_if<double>(&value))
    error = sqlite3_bind_double(statement_, index, *number);
  if (const auto* text = std::get_if<std::string>(&value))
    error = sqlite3_bind_text(statement_, index, text->c_str(), length(*text), SQLITE_TRANSIENT);
  if (const auto* blob = std::get_if<Blob>(&value))
    error = sqlite3_bind_blob(statement_, index, blob->bytes.data(), length(blob->bytes),
                              SQLITE_TRANSIENT);
  if (error != SQLITE_OK) database_->fail("SQL");
  return *this;
}

bool Statement::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) database_->fail(read_only() ? "SQL" : "cannot be written");
  return false;
}

void Statement::reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

int Statement::columns() const {
  return sqlite3_column_count(statement_);
}
std::string Statement::name(int column) const {
  return sqlite3_column_name(statement_, column);
}
std::string Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}
std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}
double Statement::number(int column) const {
  return sqlite3_column_double(statement_, column);
}
bool Statement::null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
SqlValue Statement::value(int column) const {
  switch (sqlite3_column_type(statement_, column)) {
    case SQLITE_INTEGER:
      return integer(column);
    case SQLITE_FLOAT:
      return number(column);
    case SQLITE_TEXT:
      return text(column);
    case SQLITE_BLOB:
      return Blob{text(column)};
    default:
      return std::monostate{};
  }
}
bool Statement::read_only() const {
  return sqlite3_stmt_readonly(statement_) != 0;
}

std::string quoted_name(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

}  // namespace paceline
