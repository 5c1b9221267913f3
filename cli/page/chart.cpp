#include "cli/page/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/plot/svg_parts.hpp"

namespace paceline::chart {
namespace {

using svg::escaped;
using svg::text_at;

constexpr std::size_t kSlanted = 20;              // characters of a slanting label
constexpr double kWidth = 480, kCharacter = 7.4;  // of a label of 12 units
constexpr double kOnAPhone =
    14.0 / 12;                       // as many times as wide: kPageStyle has larger letters there
constexpr std::size_t kNumber = 10;  // characters of a number with its unit: 21.54Gbps

std::string cut(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // not inside a character
  return text.substr(0, end) + "…";
}

std::string opened(const std::string& title, double height) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                     height, escaped(title));
}

std::string short_number(double value) {
  if (value != 0 && (std::abs(value) >= 1e5 || std::abs(value) < 1e-3))
    return fmt::format("{:.2g}", value);
  return fmt::format("{:.4g}", value);
}

// Where the positions of a horizontal axis lie between `left` and `right`, and which labels have room.
class Across {
 public:
  Across(const std::vector<Position>& positions, double left, double right) {
    std::vector<double> numbers;
    for (const Position& position : positions)
      if (position.number) numbers.push_back(*position.number);
    const bool numeric = numbers.size() == positions.size() && numbers.size() > 1;
    const auto [least, most] = std::minmax_element(numbers.begin(), numbers.end());
    const bool log = numeric && *least > 0 && *most / *least > 4;
    const auto scaled = [&](double value) { return log ? std::log(value) : value; };
    for (std::size_t i = 0; i < positions.size(); ++i) {
      double share = positions.size() < 2
                         ? 0.5
                         : static_cast<double>(i) / static_cast<double>(positions.size() - 1);
      if (numeric && *most > *least)
        share = (scaled(numbers[i]) - scaled(*least)) / (scaled(*most) - scaled(*least));
      at_.push_back(left + share * (right - left));
    }
    order_.resize(at_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::sort(order_.begin(), order_.end(),
              [this](std::size_t a, std::size_t b) { return at_[a] < at_[b]; });
  }
  [[nodiscard]] double operator[](std::size_t i) const { return at_[i]; }
  [[nodiscard]] const std::vector<std::size_t>& order() const { return order_; }
  /// Those that have room; names slant, as they would be cut to nothing side by side.
  [[nodiscard]] std::string labels(const std::vector<Position>& positions, double y,
                                   bool slanted) const {
    std::string text;
    double free_from = -1;
    for (const std::size_t i : order_) {
      if (slanted) {
        if (at_[i] < free_from) continue;
        text += fmt::format(
            "<text transform=\"translate({:.1f} {:.1f}) rotate(-35)\" "
            "text-anchor=\"end\">{}</text>\n",
            at_[i] + 4, y - 4, escaped(cut(positions[i].label, kSlanted)));
        free_from = at_[i] + 13;
        continue;
      }
      const std::string label = cut(positions[i].label, std::max(kNumber, 72 / positions.size()));
      const double half = kOnAPhone * kCharacter * static_cast<double>(label.size()) / 2,
                   x = std::min(at_[i], kWidth - half);
      if (x - half < free_from) continue;
      text += text_at(x, y, "middle", label);
      free_from = x + half + 6;
    }
    return text;
  }

 private:
  std::vector<double> at_;
  std::vector<std::size_t> order_;
};

bool names(const std::vector<Position>& positions) {
  return std::any_of(positions.begin(), positions.end(),
                     [](const Position& position) { return !position.number; });
}

// Height of slanting labels, and of others.
double room_below(const std::vector<Position>& positions) {
  if (!names(positions)) return 44;
  std::size_t longest = 0;
  for (const Position& position : positions)
    longest = std::max(longest, std::min(kSlanted, position.label.size()));
  return 34 + 0.6 * kCharacter * static_cast<double>(longest);
}

struct Extent {
  double least = INFINITY, most = -INFINITY;
  void add(double value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

std::string band(const Line& line, const Across& across, const std::vector<double>& low,
                 const std::vector<double>& high) {
  std::string there, back;
  for (const std::size_t i : across.order()) {
    if (!line.values[i]) continue;
    there += fmt::format("{:.1f},{:.1f} ", across[i], high[i]);
    back.insert(0, fmt::format("{:.1f},{:.1f} ", across[i], low[i]));
  }
  return fmt::format("<polygon class=\"band s{}\" points=\"{}{}\"/>\n", line.series, there, back);
}

}  // namespace

std::string svg(const Lines& lines) {
  constexpr double kLeft = 52, kRight = kWidth - 14, kTop = 14, kBottom = 256;
  const double height = kBottom + room_below(lines.positions);
  Extent extent;
  for (const Line& line : lines.lines)
    for (std::size_t i = 0; i < line.values.size(); ++i)
      if (line.values[i]) {
        const double sigma = line.sigmas.empty() ? 0 : line.sigmas[i];
        extent.add(*line.values[i] + sigma);
        extent.add(lines.logarithmic ? std::max(*line.values[i] - sigma, *line.values[i] / 2)
                                     : *line.values[i] - sigma);
      }
  if (!(extent.least <= extent.most)) extent = {0, 1};
  const svg::Axis up(lines.logarithmic ? extent.least : 0, lines.most.value_or(extent.most), 5,
                     lines.logarithmic);
  const auto y_of = [&](double value) {
    return kBottom - std::clamp(up.share(value), 0.0, 1.0) * (kBottom - kTop);
  };
  const Across across(lines.positions, kLeft + 8, kRight - 8);
  std::string text = opened(lines.title, height);
  for (const double tick : up.ticks()) {
    text +=
        fmt::format("<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
                    kLeft, kRight, y_of(tick));
    text += text_at(kLeft - 6, y_of(tick) + 4, "end", up.label(tick));
  }
  text += across.labels(lines.positions, kBottom + 18, names(lines.positions));
  text += text_at((kLeft + kRight) / 2, height - 6, "middle", lines.across, " class=\"axis\"");
  text += fmt::format(
      "<text class=\"axis\" transform=\"translate(14 {:.1f}) rotate(-90)\" "
      "text-anchor=\"middle\">{}</text>\n",
      (kTop + kBottom) / 2, escaped(lines.up));
  for (const Line& line : lines.lines) {
    std::string path, marks;
    std::vector<double> low(line.values.size()), high(line.values.size());
    bool begun = false;
    for (const std::size_t i : across.order()) {
      if (!line.values[i]) continue;
      const double sigma = line.sigmas.empty() ? 0 : line.sigmas[i];
      low[i] =
          y_of(std::max(*line.values[i] - sigma, lines.logarithmic ? extent.least : -INFINITY));
      high[i] = y_of(*line.values[i] + sigma);
      path += fmt::format("{}{:.1f} {:.1f} ", begun ? "L" : "M", across[i], y_of(*line.values[i]));
      begun = true;
      marks += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{} at {}: {}{}</title></circle>",
          across[i], y_of(*line.values[i]), escaped(line.name), escaped(lines.positions[i].label),
          short_number(*line.values[i]),
          sigma > 0 ? fmt::format(" ± {}", short_number(sigma)) : "");
    }
    if (!line.sigmas.empty()) text += band(line, across, low, high);
    text += fmt::format("<g class=\"line s{}\"><path d=\"{}\"/>{}</g>\n", line.series, path, marks);
  }
  return text + "</svg>\n";
}

std::string svg(const Map& map) {
  std::size_t longest = 4;
  for (const std::string& row : map.rows)
    longest = std::max(longest, std::min<std::size_t>(24, row.size()));
  const double left = 24 + kCharacter * static_cast<double>(longest), top = 8,
               row_height = map.rows.size() > 12 ? 22 : 34;
  const double bottom = top + row_height * static_cast<double>(map.rows.size()),
               height = bottom + 44;
  const double width =
      (kWidth - left - 4) / static_cast<double>(std::max<std::size_t>(1, map.columns.size()));
  std::vector<Position> columns;
  for (const std::string& column : map.columns) columns.push_back({column, {}});
  std::string text = opened(map.title, height);
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    const double y = top + row_height * static_cast<double>(r);
    text += text_at(left - 6, y + row_height / 2 + 4, "end", cut(map.rows[r], 24));
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const Map::Cell& cell = map.cells[r * map.columns.size() + c];
      const double x = left + width * static_cast<double>(c);
      text += fmt::format(
          "<g class=\"cell {}{}\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\" rx=\"3\">"
          "<title>{}</title></rect>",
          cell.empty ? "none" : fmt::format("s{}", cell.series), cell.clear ? "" : " unclear",
          x + 1, y + 1, width - 2, row_height - 2, escaped(cell.tooltip));
      if (width > 7 * static_cast<double>(cell.text.size()))
        text += text_at(x + width / 2, y + row_height / 2 + 4, "middle", cell.text);
      text += "</g>\n";
    }
  }
  text +=
      Across(columns, left + width / 2, kWidth - 4 - width / 2).labels(columns, bottom + 18, false);
  text += text_at((left + kWidth) / 2, height - 6, "middle", map.across, " class=\"axis\"");
  text += fmt::format(
      "<text class=\"axis\" transform=\"translate(14 {:.1f}) rotate(-90)\" "
      "text-anchor=\"middle\">{}</text>\n",
      (top + bottom) / 2, escaped(map.down));
  return text + "</svg>\n";
}

std::string svg(const Bars& bars) {
  constexpr double kRow = 40, kTop = 4, kRight = kWidth - 66;
  const double height = kTop + kRow * static_cast<double>(bars.bars.size()) + 4;
  double most = 0;
  for (const Bars::Bar& bar : bars.bars) {
    double sum = 0;
    for (const double part : bar.parts) sum += part;
    most = std::max(most, sum);
  }
  std::string text = opened(bars.title, height);
  for (std::size_t i = 0; i < bars.bars.size(); ++i) {
    const Bars::Bar& bar = bars.bars[i];
    const double y = kTop + kRow * static_cast<double>(i);
    text += text_at(0, y + 12, "start", cut(bar.name, 70));
    double x = 0, sum = 0;
    for (std::size_t p = 0; p < bar.parts.size(); ++p) {
      const double width = most > 0 ? bar.parts[p] / most * kRight : 0;
      text += fmt::format(
          "<rect class=\"part p{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
          "height=\"18\"><title>{}: {} {} "
          "{}</title></rect>\n",
          p, x, y + 17, width, escaped(bar.name), escaped(bars.parts[p]),
          short_number(bar.parts[p]), escaped(bars.unit));
      x += width;
      sum += bar.parts[p];
    }
    text += text_at(x + 6, y + 30, "start", short_number(sum));
  }
  return text + "</svg>\n";
}

std::string svg(const Tornado& tornado) {
  constexpr double kRow = 28, kLeft = 190, kTop = 4;
  const double height = kTop + kRow * static_cast<double>(tornado.rows.size()) + 4,
               middle = (kLeft + kWidth - 4) / 2;
  double most = 0;
  for (const Tornado::Row& row : tornado.rows) most = std::max(most, std::abs(row.change));
  std::string text = opened(tornado.title, height);
  for (std::size_t i = 0; i < tornado.rows.size(); ++i) {
    const Tornado::Row& row = tornado.rows[i];
    const double y = kTop + kRow * static_cast<double>(i),
                 half = most > 0 ? std::abs(row.change) / most * 84 : 0;
    text += text_at(kLeft - 8, y + 17, "end", cut(row.name, 28));
    text += fmt::format(
        "<rect class=\"part p1\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
        "height=\"18\"><title>{}: ± {} {}</title>"
        "</rect>\n",
        middle - half, y + 3, 2 * half, escaped(row.name), short_number(std::abs(row.change)),
        escaped(tornado.unit));
    text += text_at(middle + half + 6, y + 17, "start", "± " + short_number(std::abs(row.change)));
  }
  text += fmt::format(
      "<line class=\"rule\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2:.1f}\"/>\n", middle,
      kTop, height - 4);
  return text + "</svg>\n";
}

}  // namespace paceline::chart
