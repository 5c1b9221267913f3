#include "base/csv.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <sstream>

#include "base/error.hpp"
#include "base/text_file.hpp"

namespace paceline {
namespace {

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  for (std::string& field : fields) field = std::string(trimmed(field));
  return fields;
}

bool parse(const std::string& text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
}

}  // namespace

CsvTable::CsvTable(const std::filesystem::path& file)
    : CsvTable(read_text_file(file), file.string()) {}

CsvTable::CsvTable(std::string_view text, std::string name) : file_(std::move(name)) {
  std::istringstream in{std::string(text)};
  read(in);
}

void CsvTable::read(std::istream& in) {
  std::string line;
  if (!std::getline(in, line)) throw InputError(fmt::format("{}: the file is empty", file_));
  const std::vector<std::string> header = split(line);
  for (std::size_t i = 0; i < header.size(); ++i)
    if (!columns_.emplace(header[i], i).second)
      throw InputError(fmt::format("{}:1: the column '{}' appears twice", file_, header[i]));
  for (std::size_t number = 2; std::getline(in, line); ++number) {
    if (trimmed(line).empty()) continue;
    rows_.push_back(split(line));
    lines_.push_back(number);
    if (rows_.back().size() != header.size())
      throw InputError(fmt::format("{}:{}: {} fields, but the header has {}", file_, number,
                                   rows_.back().size(), header.size()));
  }
}

const std::string& CsvTable::text(std::size_t row, std::string_view column) const {
  const auto found = columns_.find(column);
  if (found == columns_.end())
    throw InputError(fmt::format("{}: there is no column '{}'", file_, column));
  return rows_.at(row)[found->second];
}

double CsvTable::number(std::size_t row, std::string_view column) const {
  double value = 0;
  if (!parse(text(row, column), value))
    throw InputError(fmt::format("{}:{}: '{}' of column '{}' is not a number", file_,
                                 lines_.at(row), text(row, column), column));
  return value;
}

bool CsvTable::is_number(std::size_t row, std::string_view column) const {
  double value = 0;
  return parse(text(row, column), value);
}

}  // namespace paceline
