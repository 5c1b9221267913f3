#include "table.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace paceline {
namespace {

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view text = value;
    return text.find("UTF-8") != std::string_view::npos ||
           text.find("utf8") != std::string_view::npos ||
           text.find("UTF8") != std::string_view::npos;
  }
  return false;
}

Terminal look() {
  Terminal found;
  if (::isatty(STDOUT_FILENO) == 0) return found;
  found.unicode = locale_is_utf8();
  winsize size{};
  found.width =
      ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  return found;
}

constexpr std::array<const char*, 6> kUnicodeSymbols{"█", "▓", "▒", "░", "∙", " "};
constexpr std::array<const char*, 6> kPlainSymbols{"#", "+", "=", "-", ".", " "};

constexpr std::size_t kNarrowest = 12;

// Lines of at most `width` columns, broken between words; a word that is longer is broken itself.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  if (display_width(text) <= width) return {text};
  std::vector<std::string> lines{""};
  std::size_t taken = 0, gap = std::string::npos;  // of the last line
  for (const char c : text) {
    const bool first_byte = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (first_byte && taken == width) {
      std::string rest;
      if (c != ' ' && gap != std::string::npos) {
        rest = lines.back().substr(gap + 1);
        lines.back().resize(gap);
      }
      lines.push_back(rest);
      taken = display_width(rest);
      gap = std::string::npos;
      if (c == ' ') continue;
    }
    if (c == ' ' && lines.back().empty()) continue;
    if (c == ' ') gap = lines.back().size();
    lines.back() += c;
    taken += first_byte;
  }
  for (std::string& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

// The widest column first, the first one never, until all fit. False: they cannot.
bool narrow(std::vector<std::size_t>& widths, std::size_t indent, std::size_t most) {
  std::size_t sum = indent + 2 * (widths.size() - 1);
  for (const std::size_t width : widths) sum += width;
  while (sum > most) {
    const auto widest = std::max_element(widths.begin() + 1, widths.end());
    if (widest == widths.end() || *widest <= kNarrowest) return false;
    --*widest;
    --sum;
  }
  return true;
}

}  // namespace

const Terminal& terminal() {
  static const Terminal found = look();
  return found;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

void Table::column(std::string header, Align align) {
  columns_.push_back({std::move(header), align});
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::gap() {
  rows_.emplace_back();
}

std::string Table::text(std::size_t indent, std::size_t most) const {
  std::vector<std::size_t> widths;
  bool headed = false;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = display_width(columns_[c].header);
    headed = headed || width > 0;
    for (const auto& row : rows_)
      if (!row.empty()) width = std::max(width, display_width(row[c]));
    widths.push_back(width);
  }
  if (most > 0 && !narrow(widths, indent, most)) return records(indent, most);
  std::string result;
  const auto print = [&](const auto& cell) {
    std::vector<std::vector<std::string>> cells;
    std::size_t lines = 0;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      cells.push_back(wrapped(cell(c), widths[c]));
      lines = std::max(lines, cells.back().size());
    }
    for (std::size_t line = 0; line < lines; ++line) {
      std::string text(indent, ' ');
      for (std::size_t c = 0; c < columns_.size(); ++c) {
        const std::string content = line < cells[c].size() ? cells[c][line] : "";
        const std::string pad(widths[c] - display_width(content), ' ');
        if (c > 0) text += "  ";
        text += columns_[c].align == Align::right ? pad + content : content + pad;
      }
      text.erase(text.find_last_not_of(' ') + 1);
      result += text + '\n';
    }
  };
  if (headed) print([&](std::size_t c) -> const std::string& { return columns_[c].header; });
  for (const auto& row : rows_) {
    if (row.empty())
      result += '\n';
    else
      print([&](std::size_t c) -> const std::string& { return row[c]; });
  }
  return result;
}

std::string Table::records(std::size_t indent, std::size_t most) const {
  const std::string margin(indent, ' ');
  std::string result;
  for (const auto& row : rows_) {
    if (row.empty()) continue;
    result += margin + row[0] + '\n';
    for (std::size_t c = 1; c < columns_.size(); ++c) {
      if (row[c].empty()) continue;
      const std::size_t left = most > indent + 4 + kNarrowest ? most - indent - 4 : kNarrowest;
      for (const std::string& line : wrapped(columns_[c].header + ": " + row[c], left))
        result += margin + "    " + line + '\n';
    }
  }
  return result;
}

std::string bar(double share, std::size_t cells) {
  static constexpr std::array<const char*, 8> kEighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double length = std::clamp(share, 0.0, 1.0) * static_cast<double>(cells);
  std::string text;
  if (!terminal().unicode) {
    text.assign(static_cast<std::size_t>(std::lround(length)), '#');
    return text;
  }
  const auto eighths = static_cast<std::size_t>(std::lround(length * 8));
  for (std::size_t i = 0; i < eighths / 8; ++i) text += "█";
  return text + kEighths[eighths % 8];
}

std::string bar_symbol(std::size_t i) {
  return terminal().unicode ? kUnicodeSymbols.at(i) : kPlainSymbols.at(i);
}

std::string stacked_bar(const std::vector<double>& shares, std::size_t cells) {
  std::string text;
  double sum = 0;
  std::size_t drawn = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    sum += shares[i];
    // Borders are rounded, not lengths: the whole bar is as long as the whole.
    const auto border = static_cast<std::size_t>(
        std::lround(std::clamp(sum, 0.0, 1.0) * static_cast<double>(cells)));
    for (; drawn < border; ++drawn) text += bar_symbol(i);
  }
  return text;
}

namespace {

bool lines_asked_for = false;  // by --progress

// Where nothing can be written over: the first one, and no more than one each few seconds.
void print_line(const std::string& text) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kBetween{5};
  static std::optional<Clock::time_point> last;
  if (last && Clock::now() - *last < kBetween) return;
  last = Clock::now();
  fmt::print(stderr, "paceline: {}\n", text);
}

}  // namespace

void ask_for_progress() {
  lines_asked_for = true;
}

bool progress_wanted() {
  return lines_asked_for || ::isatty(STDERR_FILENO) != 0;
}

void show_progress(const std::string& text) {
  if (::isatty(STDERR_FILENO) != 0)
    fmt::print(stderr, "\r\x1b[K{}", text);
  else if (lines_asked_for)
    print_line(text);
}

void end_progress() {
  if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\x1b[K");
}

std::string significant(double value, int decimals) {
  return std::abs(value) < std::pow(10.0, 1 - decimals) ? fmt::format("{:.2g}", value)
                                                        : fmt::format("{:.{}f}", value, decimals);
}

}  // namespace paceline
