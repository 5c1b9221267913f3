#include "cli/page/section.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cli/page/style.hpp"
#include "cli/plot/svg_parts.hpp"

namespace paceline {
namespace {

using svg::escaped;
using svg::text_at;

std::string in_lines(const std::string& text) {
  std::string lines;
  for (const char c : escaped(text)) lines += c == '\n' ? std::string("<br>") : std::string(1, c);
  return lines;
}

std::string html_table(const Section::Table& table) {
  std::string text = "<div class=\"table\"><table>";
  if (!table.columns.empty()) {
    text += "<thead><tr>";
    for (const auto& [name, number] : table.columns)
      text += fmt::format("<th{}>{}</th>", number ? " class=\"n\"" : "", escaped(name));
    text += "</tr></thead>";
  }
  text += "<tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    text += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool number = i < table.columns.size() && table.columns[i].second;
      const char* const cell = table.columns.empty() && i == 0 ? "th" : "td";
      text +=
          fmt::format("<{0}{1}>{2}</{0}>", cell, number ? " class=\"n\"" : "", in_lines(row[i]));
    }
    text += "</tr>\n";
  }
  text += "</tbody></table></div>";
  if (!table.more.empty()) text += fmt::format("<p class=\"note\">{}</p>", escaped(table.more));
  if (table.fold.empty()) return text;
  return fmt::format("<details><summary>{}</summary>{}</details>", escaped(table.fold), text);
}

std::string html_figure(const Section::Figure& figure) {
  std::string text = "<figure>";
  if (!figure.title.empty()) text += fmt::format("<h3>{}</h3>", escaped(figure.title));
  text += figure.wide ? fmt::format("<div class=\"wide\" tabindex=\"0\">{}</div>", figure.svg)
                      : figure.svg;
  if (!figure.caption.empty())
    text += fmt::format("<figcaption>{}</figcaption>", escaped(figure.caption));
  return text + "</figure>\n";
}

// What Markdown takes for its own.
std::string marked(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '\n') {
      safe += "<br>";
      continue;
    }
    if (std::string_view("\\`*_|<>#[]").find(c) != std::string_view::npos) safe += '\\';
    safe += c;
  }
  return safe;
}

std::string markdown_table(const Section::Table& table) {
  std::string text = "|", rule = "|";
  const std::size_t width =
      table.columns.empty() ? table.rows.front().size() : table.columns.size();
  for (std::size_t i = 0; i < width; ++i) {
    const bool named = i < table.columns.size();
    text += fmt::format(" {} |", named ? marked(table.columns[i].first) : "");
    rule += named && table.columns[i].second ? "---:|" : "---|";
  }
  text += "\n" + rule + "\n";
  for (const std::vector<std::string>& row : table.rows) {
    text += "|";
    for (std::string cell : row) {
      while (cell.ends_with('\n')) cell.pop_back();
      text += fmt::format(" {} |", marked(cell));
    }
    text += "\n";
  }
  if (!table.more.empty()) text += fmt::format("\n{}\n", marked(table.more));
  return text + "\n";
}

// ---- one drawing of several charts

constexpr double kChart = 480, kGap = 24, kMargin = 16, kCharacter = 7.2;

// "<svg viewBox="0 0 480 300" ...": its height when it is `width` wide, and itself placed.
double height_of(const std::string& chart, double width) {
  const std::string begin = "viewBox=\"0 0 ";
  const auto at = chart.find(begin);
  std::size_t end = 0;
  const double own = std::stod(chart.substr(at + begin.size()), &end);
  return std::stod(chart.substr(at + begin.size() + end)) * width / own;
}

std::string placed(const std::string& chart, double x, double y, double width) {
  return fmt::format("<svg x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" {}", x, y,
                     width, height_of(chart, width), chart.substr(std::string("<svg ").size()));
}

std::vector<std::string> wrapped(const std::string& text, double width) {
  std::vector<std::string> lines(1);
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t blank = std::min(text.find(' ', from), text.size());
    const std::string word = text.substr(from, blank - from);
    if (!lines.back().empty() &&
        static_cast<double>(lines.back().size() + word.size() + 1) * kCharacter > width)
      lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    from = blank + 1;
  }
  return lines;
}

class Drawing {
 public:
  explicit Drawing(double width) : width_(width) {}

  void text(const std::string& text, const char* classes) {
    if (text.empty()) return;
    for (const std::string& line : wrapped(text, width_)) {
      y_ += 20;
      parts_ += text_at(kMargin, y_, "start", line, fmt::format(" class=\"{}\"", classes));
    }
    y_ += 8;
  }
  void legend(const std::vector<std::pair<std::size_t, std::string>>& entries) {
    if (entries.empty()) return;
    double x = kMargin;
    y_ += 20;
    for (const auto& [colour, name] : entries) {
      const double wide = 32 + kCharacter * static_cast<double>(name.size());
      if (x > kMargin && x + wide > kMargin + width_) {
        x = kMargin;
        y_ += 20;
      }
      parts_ += fmt::format(
          "<g class=\"cell s{}\"><rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"10\" height=\"10\" "
          "rx=\"2\"/></g>\n",
          colour, x, y_ - 10);
      parts_ += text_at(x + 16, y_, "start", name);
      x += wide;
    }
    y_ += 8;
  }
  // Side by side as far as there is room.
  void figures(const std::vector<Section::Figure>& figures) {
    double x = kMargin, below = y_;
    for (const Section::Figure& figure : figures) {
      const double wide = figure.wide ? 2 * kChart : kChart;
      if (x > kMargin && x + wide > kMargin + width_ + 1) {
        x = kMargin;
        y_ = below;
      }
      double y = y_;
      if (!figure.title.empty())
        parts_ += text_at(x, y += 20, "start", figure.title, " class=\"title\"");
      y += 8;
      parts_ += placed(figure.svg, x, y, wide);
      y += height_of(figure.svg, wide);
      for (const std::string& line : wrapped(figure.caption, wide))
        if (!line.empty()) parts_ += text_at(x, y += 18, "start", line, " class=\"axis\"");
      below = std::max(below, y + 12);
      x += wide + kGap;
    }
    y_ = below;
  }
  [[nodiscard]] std::string document() const {
    const double width = width_ + 2 * kMargin, height = y_ + kMargin;
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
        "width=\"{0:.0f}\" "
        "height=\"{1:.0f}\"><style>{2}</style>\n<rect width=\"{0:.0f}\" height=\"{1:.0f}\" "
        "fill=\"#fff\"/>\n{3}</svg>\n",
        width, height, drawing_style(), parts_);
  }

 private:
  double width_, y_ = 8;
  std::string parts_;
};

}  // namespace

std::string html_of(const Section& section) {
  std::string text = fmt::format("<section><h2>{}</h2>", escaped(section.heading));
  if (!section.legend.empty()) {
    text += "<ul class=\"legend\">";
    for (const auto& [colour, name] : section.legend)
      text += fmt::format("<li><i class=\"s{}\"></i>{}</li>", colour, escaped(name));
    text += "</ul>\n";
  }
  if (!section.note.empty()) text += fmt::format("<p class=\"note\">{}</p>", escaped(section.note));
  const bool side_by_side = !section.figures.empty() && !section.figures.front().wide;
  if (side_by_side) text += "<div class=\"charts\">";
  for (const Section::Figure& figure : section.figures) text += html_figure(figure);
  if (side_by_side) text += "</div>";
  if (!section.table.rows.empty()) text += html_table(section.table);
  if (!section.listing.empty())
    text += fmt::format("<details><summary>{}</summary><pre>{}</pre></details>",
                        escaped(section.listing_title), escaped(section.listing));
  return text + "</section>\n";
}

std::string markdown_of(const Section& section, const std::string& drawing) {
  std::string text = fmt::format("## {}\n\n", marked(section.heading));
  if (!section.figures.empty()) {
    text += fmt::format("![{}]({})\n\n", marked(section.heading), drawing);
  } else if (!section.note.empty()) {
    text += marked(section.note) + "\n\n";
  }
  if (!section.table.rows.empty()) text += markdown_table(section.table);
  if (!section.listing.empty())
    text +=
        fmt::format("{}:\n\n```json\n{}\n```\n\n", marked(section.listing_title), section.listing);
  return text;
}

std::string drawing_of(const Section& section) {
  const bool two = section.figures.size() > 1 ||
                   std::any_of(section.figures.begin(), section.figures.end(),
                               [](const Section::Figure& figure) { return figure.wide; });
  Drawing drawing(two ? 2 * kChart + kGap : kChart);
  drawing.text(section.heading, "heading");
  drawing.legend(section.legend);
  drawing.text(section.note, "axis");
  drawing.figures(section.figures);
  return drawing.document();
}

}  // namespace paceline
