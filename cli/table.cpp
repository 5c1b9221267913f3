#include "table.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

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

constexpr std::string_view kDots = "...";
constexpr std::size_t kNarrowest = 12;

// The first characters of a UTF-8 text.
std::string cut(const std::string& text, std::size_t width) {
  if (display_width(text) <= width) return text;
  std::string result;
  std::size_t taken = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && ++taken > width - kDots.size()) break;
    result += c;
  }
  result.erase(result.find_last_not_of(' ') + 1);
  return result.append(kDots);
}

// The widest column first, until all fit.
void narrow(std::vector<std::size_t>& widths, std::size_t indent, std::size_t most) {
  std::size_t sum = indent + 2 * (widths.size() - 1);
  for (const std::size_t width : widths) sum += width;
  while (sum > most) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kNarrowest) return;
    --*widest;
    --sum;
  }
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
  if (most > 0) narrow(widths, indent, most);
  std::string result;
  const auto line = [&](const auto& cell) {
    std::string text(indent, ' ');
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string content = cut(cell(c), widths[c]);
      const std::string pad(widths[c] - display_width(content), ' ');
      if (c > 0) text += "  ";
      text += columns_[c].align == Align::right ? pad + content : content + pad;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    result += text + '\n';
  };
  if (headed) line([&](std::size_t c) -> const std::string& { return columns_[c].header; });
  for (const auto& row : rows_) {
    if (row.empty())
      result += '\n';
    else
      line([&](std::size_t c) -> const std::string& { return row[c]; });
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

void show_progress(const std::string& text) {
  if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\x1b[K{}", text);
}

void end_progress() {
  if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace paceline
