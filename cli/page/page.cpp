#include "cli/page/page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "base/json.hpp"
#include "cli/page/chart.hpp"
#include "cli/page/runs.hpp"
#include "cli/page/style.hpp"
#include "cli/plot/svg_parts.hpp"
#include "studies/findings.hpp"

namespace paceline {
namespace {

using svg::escaped;

constexpr std::size_t kPanels = 4, kTableRows = 2000, kLinks = 5;
const std::vector<std::string> kParts{"compute", "update and the schedule's operations",
                                      "exposed communication", "waiting"};
constexpr std::size_t kPartSeries[]{0, 7, 1, 4};  // their colours, as .p0 to .p3 have them

// Of so many, up to `most`, evenly chosen, the ends among them.
std::vector<std::size_t> some(std::size_t count, std::size_t most) {
  std::vector<std::size_t> chosen;
  if (count <= most) most = count;
  for (std::size_t i = 0; i < most; ++i)
    chosen.push_back(most == 1 ? 0 : (i * (count - 1) + (most - 1) / 2) / (most - 1));
  return chosen;
}

// Then small values would lie on the axis.
bool spans_decades(const chart::Lines& lines) {
  double least = INFINITY, greatest = 0;
  for (const chart::Line& line : lines.lines)
    for (const std::optional<double>& value : line.values)
      if (value) {
        least = std::min(least, *value);
        greatest = std::max(greatest, *value);
      }
  return least > 0 && greatest > 30 * least;
}

std::string times(double ratio) {
  return fmt::format("{:.{}f}", ratio, ratio < 1.1 ? 3 : 2);
}

class Page {
 public:
  Page(Store& store, const Store::StudyInfo& study)
      : store_(store), study_(study), found_(store, study), done_(store.done(study)) {
    const auto& labels = found_.labels(found_.contender);
    std::vector<std::size_t> won(labels.size(), 0);
    for (std::size_t d = 0; d < found_.down_count(); ++d)
      for (std::size_t a = 0; a < found_.across_count(); ++a)
        if (const auto& cell = found_.cell(a, d); cell.winner) ++won[*cell.winner];
    // In the order of the study; if there are too many for their colours, those that win most.
    std::vector<std::size_t> order(labels.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return won[a] > won[b]; });
    order.resize(std::min(order.size(), chart::kSeries));
    std::sort(order.begin(), order.end());
    for (const std::size_t i : order) series_.emplace(i, series_.size());
  }

  std::string answer() const;
  std::string html(const std::string& measured);

 private:
  using Value = std::function<double(const FoundPoint&)>;

  [[nodiscard]] const std::string& name(std::size_t contender) const {
    return found_.labels(found_.contender)[contender];
  }
  [[nodiscard]] std::string axis_name(const std::optional<std::size_t>& axis) const {
    return axis ? study_.axes[*axis] : "";
  }
  [[nodiscard]] std::string place(std::size_t a, std::size_t d) const {
    std::vector<std::string> parts;
    if (found_.across)
      parts.push_back(
          fmt::format("{} {}", axis_name(found_.across), found_.labels(*found_.across)[a]));
    if (found_.down)
      parts.push_back(fmt::format("{} {}", axis_name(found_.down), found_.labels(*found_.down)[d]));
    return parts.empty() ? study_.name : fmt::format("{}", fmt::join(parts, ", "));
  }
  [[nodiscard]] std::vector<std::size_t> contenders() const {
    std::vector<std::size_t> all;
    for (const auto& [contender, colour] : series_) all.push_back(contender);
    return all;
  }

  std::string legend() const;
  std::string map() const;
  std::string curves(const std::string& heading, const std::string& up, bool over_down,
                     const Value& value, bool with_bands, std::optional<double> most) const;
  std::string times_and_links() const;
  [[nodiscard]] std::vector<PageRun> runs(std::size_t a, std::size_t d) const;
  std::string tornado() const;
  std::string table() const;
  std::string provenance() const;

  Store& store_;
  const Store::StudyInfo& study_;
  Findings found_;
  std::uint64_t done_;
  std::map<std::size_t, std::size_t> series_;  // colour by contender
};

std::string Page::answer() const {
  const Findings::Overall& overall = found_.overall();
  const std::string what = axis_name(found_.contender);
  if (!overall.second)
    return fmt::format("There is one {} only, {}: {} points.", what, name(overall.winner),
                       found_.points().size());
  const double low = overall.ratio * std::exp(-overall.sigma),
               high = overall.ratio * std::exp(overall.sigma);
  const std::string ratio =
      fmt::format("{} times as fast as {} (one sigma of what is not known exactly: {} to {})",
                  times(overall.ratio), name(*overall.second), times(low), times(high));
  const std::string where =
      overall.places == 1 ? "" : fmt::format(" at {} of {} settings", overall.won, overall.places);
  if (overall.ratio < 1)
    return fmt::format("{} is fastest most often{}, but over all settings {} is ahead: {} is {}.",
                       name(overall.winner), where, name(*overall.second), name(overall.winner),
                       ratio);
  if (low <= 1)
    return fmt::format("{} is fastest{}, but not clearly: over all settings it is {}.",
                       name(overall.winner), where, ratio);
  return fmt::format("{} is fastest{}: {}{}.", name(overall.winner), where,
                     overall.places == 1 ? "" : "over all settings it is ", ratio);
}

std::string Page::legend() const {
  std::string text = "<ul class=\"legend\">";
  for (const auto& [contender, colour] : series_)
    text += fmt::format("<li><i class=\"s{}\"></i>{}</li>", colour, escaped(name(contender)));
  if (const std::size_t others = found_.labels(found_.contender).size() - series_.size();
      others > 0)
    text += fmt::format("<li class=\"soft\">and {} more in the table</li>", others);
  return text + "</ul>\n";
}

std::string Page::map() const {
  chart::Map map{
      "Who is fastest where", axis_name(found_.across), axis_name(found_.down), {}, {}, {}};
  map.columns = found_.across ? found_.labels(*found_.across) : std::vector<std::string>{""};
  map.rows = found_.down ? found_.labels(*found_.down) : std::vector<std::string>{""};
  for (std::size_t d = 0; d < found_.down_count(); ++d)
    for (std::size_t a = 0; a < found_.across_count(); ++a) {
      const Findings::Cell& cell = found_.cell(a, d);
      chart::Map::Cell drawn;
      drawn.empty = !cell.winner || !series_.contains(*cell.winner);
      if (cell.winner) {
        if (!drawn.empty) drawn.series = series_.at(*cell.winner);
        drawn.tooltip = fmt::format("{}: {}", place(a, d), name(*cell.winner));
        if (cell.second) {
          drawn.text = times(cell.ratio);
          drawn.clear = cell.clear();
          drawn.tooltip +=
              fmt::format(", {} times as fast as {}{}", times(cell.ratio), name(*cell.second),
                          drawn.clear ? "" : ", within the uncertainty");
        }
      }
      map.cells.push_back(std::move(drawn));
    }
  if (!found_.down) {  // one below the other: names have room
    std::swap(map.columns, map.rows);
    std::swap(map.across, map.down);
  }
  return fmt::format(
      "<section><h2>Who is fastest where</h2>{}<div class=\"charts\"><figure>{}<figcaption>Colour: "
      "the fastest {}. "
      "Number: how many times as fast as the next one; pale where one sigma of what is not known "
      "exactly could turn "
      "it round.</figcaption></figure></div></section>\n",
      legend(), chart::svg(map), escaped(axis_name(found_.contender)));
}

// One panel for each value (of some) of the axis that does not run across.
std::string Page::curves(const std::string& heading, const std::string& up, bool over_down,
                         const Value& value, bool with_bands, std::optional<double> most) const {
  const std::size_t count = over_down ? found_.down_count() : found_.across_count();
  const std::size_t panels = over_down ? found_.across_count() : found_.down_count();
  const std::optional<std::size_t> axis = over_down ? found_.down : found_.across,
                                   other = over_down ? found_.across : found_.down;
  if (!axis || count < 2) return "";
  std::string text = fmt::format("<section><h2>{}</h2>{}<div class=\"charts\">", heading, legend());
  for (const std::size_t panel : some(panels, kPanels)) {
    chart::Lines lines{heading, axis_name(axis), up, {}, {}, most, false};
    for (std::size_t i = 0; i < count; ++i) {
      chart::Position position{found_.labels(*axis)[i], {}};
      if (found_.numeric(*axis)) position.number = found_.numbers(*axis)[i];
      lines.positions.push_back(std::move(position));
    }
    for (const std::size_t contender : contenders()) {
      chart::Line line{name(contender), series_.at(contender), {}, {}};
      for (std::size_t i = 0; i < count; ++i) {
        const auto points =
            over_down ? found_.at(contender, panel, i) : found_.at(contender, i, panel);
        double mean = 0, sigma = 0;
        for (const FoundPoint* point : points) {
          mean += value(*point) / static_cast<double>(points.size());
          sigma +=
              value(*point) * point->sigma_s / point->time_s / static_cast<double>(points.size());
        }
        line.values.push_back(points.empty() ? std::nullopt : std::optional(mean));
        if (with_bands) line.sigmas.push_back(sigma);
      }
      lines.lines.push_back(std::move(line));
    }
    lines.logarithmic = !most && spans_decades(lines);
    text += "<figure>";
    if (other)
      text += fmt::format("<h3>{} {}</h3>", escaped(axis_name(other)),
                          escaped(found_.labels(*other)[panel]));
    text += chart::svg(lines) + "</figure>";
  }
  return text + "</div></section>\n";
}

std::string Page::times_and_links() const {
  std::string text = "<section><h2>Where the time of an iteration goes</h2><ul class=\"legend\">";
  for (std::size_t p = 0; p < kParts.size(); ++p)
    text += fmt::format("<li><i class=\"s{}\"></i>{}</li>", kPartSeries[p], escaped(kParts[p]));
  text += "</ul><div class=\"charts\">";
  std::string links;
  for (const std::size_t a : some(found_.across_count(), kPanels)) {
    const std::size_t d = found_.down_count() - 1;
    chart::Bars bars{"Where the time goes at " + place(a, d), "ms", kParts, {}};
    for (const std::size_t contender : contenders()) {
      const auto points = found_.at(contender, a, d);
      if (points.empty()) continue;
      const FoundPoint& p = *points.front();
      bars.bars.push_back(
          {name(contender),
           {1e3 * p.compute_s, 1e3 * p.other_s, 1e3 * p.exposed_s, 1e3 * p.waiting_s}});
      if (!p.link.empty())
        links += fmt::format(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{:.1f} %</td><td "
            "class=\"n\">{:.4g} MB</td></tr>",
            escaped(place(a, d)), escaped(name(contender)), escaped(p.link), 100 * p.utilisation,
            p.link_bytes / 1e6);
    }
    if (bars.bars.empty()) continue;
    text += fmt::format(
        "<figure><h3>{}</h3>{}<figcaption>milliseconds, mean over the "
        "workers</figcaption></figure>",
        escaped(place(a, d)), chart::svg(bars));
  }
  text += "</div></section>\n";
  if (!links.empty())
    text += fmt::format(
        "<section><h2>The busiest link</h2><div "
        "class=\"table\"><table><thead><tr><th>at</th><th>{}</th><th>link</th>"
        "<th class=\"n\">used</th><th class=\"n\">bytes an "
        "iteration</th></tr></thead><tbody>{}</tbody></table></div>"
        "</section>\n",
        escaped(axis_name(found_.contender)), links);
  return text;
}

std::vector<PageRun> Page::runs(std::size_t a, std::size_t d) const {
  std::vector<PageRun> all;
  for (const std::size_t contender : contenders())
    if (const auto points = found_.at(contender, a, d); !points.empty())
      all.push_back({name(contender), series_.at(contender), points.front()});
  return all;
}

std::string Page::tornado() const {
  const auto points =
      found_.at(found_.overall().winner, found_.across_count() / 2, found_.down_count() - 1);
  if (points.empty()) return "";
  const Json result = store_.result(points.front()->number);
  chart::Tornado tornado{"What each input that is not known exactly does", "ms", {}};
  for (const Json& influence : result.value("influences", Json::array()))
    tornado.rows.push_back(
        {influence.at("input").get<std::string>(), 1e3 * influence.at("change_s").get<double>()});
  std::sort(tornado.rows.begin(), tornado.rows.end(),
            [](const auto& a, const auto& b) { return std::abs(a.change) > std::abs(b.change); });
  if (tornado.rows.empty()) return "";
  return fmt::format(
      "<section><h2>What is not known exactly</h2><div "
      "class=\"charts\"><figure>{}<figcaption>Milliseconds of an "
      "iteration that one standard deviation of each input moves, of {} at {}: {:.4g} "
      "ms</figcaption></figure></div>"
      "</section>\n",
      chart::svg(tornado), escaped(name(found_.overall().winner)),
      escaped(place(found_.across_count() / 2, found_.down_count() - 1)),
      1e3 * points.front()->time_s);
}

std::string Page::table() const {
  std::string text = fmt::format(
      "<section><h2>Every point</h2><details><summary>{} points</summary><div "
      "class=\"table\"><table>"
      "<thead><tr>",
      found_.points().size());
  for (const std::string& axis : study_.axes) text += fmt::format("<th>{}</th>", escaped(axis));
  for (const char* column :
       {"iteration ms", "± ms", "speedup", "efficiency %", "exposed ms", "waiting ms"})
    text += fmt::format("<th class=\"n\">{}</th>", column);
  text += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < std::min(kTableRows, found_.points().size()); ++i) {
    const FoundPoint& p = found_.points()[i];
    text += "<tr>";
    for (const std::string& label : p.labels) text += fmt::format("<td>{}</td>", escaped(label));
    for (const double value : {1e3 * p.time_s, 1e3 * p.sigma_s, p.speedup, 100 * p.efficiency,
                               1e3 * p.exposed_s, 1e3 * p.waiting_s})
      text += fmt::format("<td class=\"n\">{:.4g}</td>", value);
    text += "</tr>\n";
  }
  text += "</tbody></table></div>";
  if (found_.points().size() > kTableRows)
    text += fmt::format("<p class=\"note\">The first {}; the store has the rest.</p>", kTableRows);
  return text + "</details></section>\n";
}

std::string Page::provenance() const {
  const Json result = store_.result(found_.points().front().number);
  std::map<std::string, std::size_t> fidelities;
  Statement count(store_.database(),
                  "SELECT fidelity, count(*) FROM points WHERE error IS NULL GROUP BY fidelity");
  while (count.step()) fidelities[count.text(0)] = static_cast<std::size_t>(count.integer(1));
  std::vector<std::string> network;
  for (const auto& [fidelity, points] : fidelities)
    network.push_back(fmt::format("{} of {} points", fidelity, points));
  std::string text = fmt::format(
      "<section><h2>Where this comes from</h2><div class=\"table\"><table><tbody>"
      "<tr><th>made by</th><td>paceline {}</td></tr><tr><th>points</th><td>{} of {} run</td></tr>"
      "<tr><th>network fidelity</th><td>{}</td></tr>",
      escaped(study_.version), done_, study_.points, fmt::join(network, ", "));
  const auto row = [&](const char* what, const Json& list, const auto& line) {
    std::string lines;
    for (const Json& item : list) lines += escaped(line(item)) + "<br>";
    if (!lines.empty()) text += fmt::format("<tr><th>{}</th><td>{}</td></tr>", what, lines);
  };
  row("times (first point)", result.value("profiles", Json::array()), [](const Json& p) {
    return fmt::format("{}: {}; sigma {:.0f} %", p.value("source", ""), p.value("description", ""),
                       100 * p.value("relative_uncertainty", 0.0));
  });
  row("assumed (first point)", result.value("assumptions", Json::array()), [](const Json& a) {
    return fmt::format("{}: {} ({})", a.value("name", ""), a.value("value", ""),
                       a.value("why", ""));
  });
  row("warnings (first point)", result.value("warnings", Json::array()),
      [](const Json& w) { return w.get<std::string>(); });
  return text + fmt::format(
                    "</tbody></table></div><details><summary>The experiment that all points "
                    "share</summary><pre>{}</pre>"
                    "</details></section>\n",
                    escaped(study_.experiment.dump(2)));
}

std::string Page::html(const std::string& measured) {
  const bool by_number = found_.down && found_.down_count() > 1;
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>{0}</title><style>{1}</style></"
      "head><body>\n"
      "<main><h1>{0}</h1><p class=\"soft\">{2}</p><p class=\"answer\">{3}</p>\n",
      escaped(study_.name), kPageStyle, escaped(study_.description), escaped(answer()));
  if (done_ < study_.points)
    text += fmt::format("<p class=\"note\">{} of {} points have been run so far.</p>\n", done_,
                        study_.points);
  text += map();
  text += curves("Speedup over one GPU", "speedup", by_number,
                 [](const FoundPoint& p) { return p.speedup; }, true, {});
  text += times_and_links();
  text += curves(
      "Use of the busiest link", "% of its bandwidth", false,
      [](const FoundPoint& p) { return 100 * p.utilisation; }, false, 100);
  text += curves(
      "How much of the communication is hidden", "% of it", false,
      [](const FoundPoint& p) { return 100 * p.overlap.value_or(0); }, false, 100);
  const std::size_t a = found_.across_count() / 2, d = found_.down_count() - 1;
  text += loss_section(runs(a, d), store_, place(a, d));
  text += gantt_section(runs(a, d), store_, place(a, d));
  if (!measured.empty()) text += measured_section(measured, found_, study_.axes, runs(a, d));
  text += tornado() + table() + provenance();
  return text + "</main></body></html>\n";
}

}  // namespace

std::string study_page(Store& store, const Store::StudyInfo& study, const std::string& measured) {
  return Page(store, study).html(measured);
}

std::string study_answer(Store& store, const Store::StudyInfo& study) {
  return Page(store, study).answer();
}

}  // namespace paceline
