#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// A comma-separated table with a header line, read as RFC 4180 has it and the programs write it:
/// fields may be quoted ("10.45,22.3"), with "" for a quote and with line ends in them. Blanks
/// around fields do not count.
class CsvTable {
 public:
  /// Throws InputError naming file and line if a row has not the header's number of fields, the
  /// header the same column twice, or a quote no end.
  explicit CsvTable(const std::filesystem::path& file);
  /// The same of `text`; `name` stands for the file in messages.
  CsvTable(std::string_view text, std::string name);

  [[nodiscard]] std::size_t rows() const { return rows_.size(); }
  [[nodiscard]] bool has_column(std::string_view column) const { return columns_.contains(column); }
  /// Line of the file on which the row stands, from 1.
  [[nodiscard]] std::size_t line(std::size_t row) const { return lines_.at(row); }
  [[nodiscard]] const std::string& file() const { return file_; }
  /// Throws InputError for an unknown column.
  [[nodiscard]] const std::string& text(std::size_t row, std::string_view column) const;
  /// Throws InputError naming file and line if the field is not a finite number.
  [[nodiscard]] double number(std::size_t row, std::string_view column) const;
  [[nodiscard]] bool is_number(std::size_t row, std::string_view column) const;

 private:
  std::string file_;
  std::map<std::string, std::size_t, std::less<>> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> lines_;
};

/// One line of comma-separated values, quoted where necessary (RFC 4180).
std::string csv_line(const std::vector<std::string>& fields);

}  // namespace paceline
