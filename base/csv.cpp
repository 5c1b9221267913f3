#include "base/csv.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/text_file.hpp"

namespace paceline {
namespace {

// RFC 4180, as csv_line of the programs writes it, and what spreadsheets make of it: blanks around
// a field do not count, those in quotes do.
class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] std::size_t line() const { return line_; }

  std::vector<std::string> record() {
    std::vector<std::string> fields{field()};
    while (!at_end() && text_[at_] == ',') {
      ++at_;
      fields.push_back(field());
    }
    if (!at_end()) {
      ++at_;
      ++line_;
    }
    return fields;
  }

 private:
  // Up to a comma, the end of the line or of the text.
  std::string field() {
    std::string content;
    std::size_t kept = 0;  // what was quoted ends here: blanks before it stay
    for (; !at_end() && text_[at_] != ',' && text_[at_] != '\n'; ++at_) {
      if (text_[at_] == '"') {
        if (kept == 0) content = std::string(trimmed(content));
        append_quoted(content);
        kept = content.size();
      } else {
        content += text_[at_];
      }
    }
    const std::string_view rest = std::string_view(content).substr(kept);
    if (kept == 0) return std::string(trimmed(rest));
    return content.substr(0, kept) + (trimmed(rest).empty() ? "" : std::string(rest));
  }

  // Stops at the closing quote.
  void append_quoted(std::string& content) {
    const std::size_t first_line = line_;
    for (++at_; !at_end(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') return;
        ++at_;
      }
      if (c == '\n') ++line_;
      content += c;
    }
    throw InputError(fmt::format("{}:{}: a quote is not closed", file_, first_line));
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0, line_ = 1;
};

bool parse(std::string_view field, double& value) {
  const std::string_view text = trimmed(field);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
}

}  // namespace

CsvTable::CsvTable(const std::filesystem::path& file)
    : CsvTable(read_text_file(file), file.string()) {}

CsvTable::CsvTable(std::string_view text, std::string name) : file_(std::move(name)) {
  Reader reader(text, file_);
  if (reader.at_end()) throw InputError(fmt::format("{}: the file is empty", file_));
  const std::vector<std::string> header = reader.record();
  for (std::size_t i = 0; i < header.size(); ++i)
    if (!columns_.emplace(header[i], i).second)
      throw InputError(fmt::format("{}:1: the column '{}' appears twice", file_, header[i]));
  while (!reader.at_end()) {
    const std::size_t line = reader.line();
    std::vector<std::string> fields = reader.record();
    if (fields.size() == 1 && fields[0].empty()) continue;
    if (fields.size() != header.size())
      throw InputError(fmt::format("{}:{}: {} fields, but the header has {}", file_, line,
                                   fields.size(), header.size()));
    rows_.push_back(std::move(fields));
    lines_.push_back(line);
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

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += ',';
    if (fields[i].find_first_of(",\"\n\r") == std::string::npos &&
        trimmed(fields[i]).size() == fields[i].size()) {
      line += fields[i];
      continue;
    }
    line += '"';
    for (const char c : fields[i]) {
      if (c == '"') line += '"';
      line += c;
    }
    line += '"';
  }
  return line + '\n';
}

}  // namespace paceline
