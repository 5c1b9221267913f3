#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace paceline {

/// A value of a row. Bytes are a string of their own type.
struct Blob {
  std::string bytes;
};
using SqlValue = std::variant<std::monostate, std::int64_t, double, std::string, Blob>;

/// An SQLite database. Every failure throws InputError "<file>: <what>: <SQLite's reason>".
class Database {
 public:
  enum class Mode { write, read };  ///< write: made where there is none, with a write-ahead log
  Database(std::string file, Mode mode);
  Database(Database&& other) noexcept;
  Database& operator=(Database&&) = delete;
  ~Database();

  void execute(const std::string& sql);
  [[nodiscard]] std::int64_t last_insert() const;  ///< the number of the row
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] Mode mode() const { return mode_; }
  [[nodiscard]] bool unwritable() const;  ///< the file is
  [[nodiscard]] sqlite3* handle() const { return handle_; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string file_;
  Mode mode_;
  sqlite3* handle_ = nullptr;
};

/// A prepared statement. `bind` counts from 1.
class Statement {
 public:
  Statement(const Database& database, std::string_view sql);
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& bind(int index, const SqlValue& value);
  bool step();   ///< true: there is a row
  void reset();  ///< to be run again, with new values
  void run() {   ///< of what gives no rows
    step();
    reset();
  }
  [[nodiscard]] int columns() const;
  [[nodiscard]] std::string name(int column) const;
  [[nodiscard]] SqlValue value(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] double number(int column) const;
  [[nodiscard]] bool null(int column) const;
  /// Whether it would write: such a statement is no question.
  [[nodiscard]] bool read_only() const;
  [[nodiscard]] const std::string& rest() const { return rest_; }  ///< text behind the statement

 private:
  const Database* database_;
  sqlite3_stmt* statement_ = nullptr;
  std::string rest_;
};

/// Of one that writes: undone at its end unless it has been committed.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) {
    database_.execute("BEGIN IMMEDIATE");
  }
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

/// `"name"` as SQL has it.
std::string quoted_name(std::string_view name);

}  // namespace paceline
