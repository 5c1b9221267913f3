#include "cli/page/page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/page/chart.hpp"
#include "cli/page/runs.hpp"
#include "studies/findings.hpp"

namespace paceline {
namespace {

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
  Report report(const std::string& measured);

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

  struct Curves {
    const char *name, *heading, *up;
    bool over_down;
    Value value, half;  // half: height of the band; none: no band
    std::optional<double> most;
  };

  Section with_legend(const char* name, const char* heading) const;
  Section map() const;
  Section curves(const Curves& drawn) const;
  std::pair<Section, Section> times_and_links() const;
  [[nodiscard]] std::vector<PageRun> runs(std::size_t a, std::size_t d) const;
  Section tornado() const;
  Section table() const;
  Section provenance() const;

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
      fmt::format("{} times as fast as {} (one sigma of what is not known exactly{}: {} to {})",
                  times(overall.ratio), name(*overall.second),
                  found_.seeds() > 1 ? fmt::format(" and of {} seeds", found_.seeds()) : "",
                  times(low), times(high));
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

Section Page::with_legend(const char* name, const char* heading) const {
  Section section{.name = name, .heading = heading};
  for (const auto& [contender, colour] : series_)
    section.legend.emplace_back(colour, this->name(contender));
  if (const std::size_t others = found_.labels(found_.contender).size() - series_.size();
      others > 0)
    section.note = fmt::format("And {} more in the table.", others);
  return section;
}

Section Page::map() const {
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
  Section section = with_legend("map", "Who is fastest where");
  const std::string drawn = chart::svg(map);
  const bool numbers =
      drawn.find("</rect><text") != std::string::npos;  // many columns are too narrow
  section.figures.push_back(
      {"", drawn,
       fmt::format("Colour: the fastest {}{}; pale where one sigma of what is not known exactly{} "
                   "could turn it round.",
                   axis_name(found_.contender),
                   numbers ? ". Number: how many times as fast as the next one" : "",
                   found_.seeds() > 1 ? ", seeds among it," : "")});
  return section;
}

// One panel for each value (of some) of the axis that does not run across.
Section Page::curves(const Curves& drawn) const {
  const auto& [section_name, heading, up, over_down, value, half, most] = drawn;
  Section section = with_legend(section_name, heading);
  const std::size_t count = over_down ? found_.down_count() : found_.across_count();
  const std::size_t panels = over_down ? found_.across_count() : found_.down_count();
  const std::optional<std::size_t> axis = over_down ? found_.down : found_.across,
                                   other = over_down ? found_.across : found_.down;
  if (!axis || count < 2) return section;
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
        double mean = 0, band = 0;
        for (const FoundPoint* point : points) {
          mean += value(*point) / static_cast<double>(points.size());
          if (half) band += half(*point) / static_cast<double>(points.size());
        }
        line.values.push_back(points.empty() ? std::nullopt : std::optional(mean));
        if (half) line.sigmas.push_back(band);
      }
      lines.lines.push_back(std::move(line));
    }
    lines.logarithmic = !most && spans_decades(lines);
    section.figures.push_back({other ? axis_name(other) + " " + found_.labels(*other)[panel] : "",
                               chart::svg(lines), ""});
  }
  return section;
}

std::pair<Section, Section> Page::times_and_links() const {
  Section times{.name = "times", .heading = "Where the time of an iteration goes"};
  for (std::size_t p = 0; p < kParts.size(); ++p)
    times.legend.emplace_back(kPartSeries[p], kParts[p]);
  Section links{.name = "", .heading = "The busiest link"};
  links.table.columns = {{"at", false},
                         {axis_name(found_.contender), false},
                         {"link", false},
                         {"used", true},
                         {"bytes an iteration", true}};
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
        links.table.rows.push_back({place(a, d), name(contender), p.link,
                                    fmt::format("{:.1f} %", 100 * p.utilisation),
                                    fmt::format("{:.4g} MB", p.link_bytes / 1e6)});
    }
    if (!bars.bars.empty())
      times.figures.push_back(
          {place(a, d), chart::svg(bars), "milliseconds, mean over the workers"});
  }
  return {std::move(times), std::move(links)};
}

std::vector<PageRun> Page::runs(std::size_t a, std::size_t d) const {
  std::vector<PageRun> all;
  for (const std::size_t contender : contenders())
    if (const auto points = found_.at(contender, a, d); !points.empty())
      all.push_back({name(contender), series_.at(contender), points.front()});
  return all;
}

Section Page::tornado() const {
  Section section{.name = "tornado", .heading = "What is not known exactly"};
  const auto points =
      found_.at(found_.overall().winner, found_.across_count() / 2, found_.down_count() - 1);
  if (points.empty()) return section;
  const Json result = store_.result(points.front()->number);
  chart::Tornado tornado{"What each input that is not known exactly does", "ms", {}};
  for (const Json& influence : result.value("influences", Json::array()))
    tornado.rows.push_back(
        {influence.at("input").get<std::string>(), 1e3 * influence.at("change_s").get<double>()});
  std::sort(tornado.rows.begin(), tornado.rows.end(),
            [](const auto& a, const auto& b) { return std::abs(a.change) > std::abs(b.change); });
  if (tornado.rows.empty()) return section;
  section.figures.push_back(
      {"", chart::svg(tornado),
       fmt::format(
           "Milliseconds of an iteration that one standard deviation of each input moves, of {} "
           "at {}: {:.4g} ms",
           name(found_.overall().winner), place(found_.across_count() / 2, found_.down_count() - 1),
           1e3 * points.front()->time_s)});
  return section;
}

Section Page::table() const {
  Section section{.name = "", .heading = "Every point"};
  Section::Table& table = section.table;
  for (const std::string& axis : study_.axes) table.columns.emplace_back(axis, false);
  const bool seeds = found_.seeds() > 1;
  for (const char* column :
       {"iteration ms", "± ms", "speedup", "efficiency %", "exposed ms", "waiting ms"})
    table.columns.emplace_back(column, true);
  if (seeds) table.columns.emplace_back("95 % over seeds, ms", true);
  for (std::size_t i = 0; i < std::min(kTableRows, found_.points().size()); ++i) {
    const FoundPoint& p = found_.points()[i];
    std::vector<std::string> row = p.labels;
    for (const double value : {1e3 * p.time_s, 1e3 * p.sigma_s, p.speedup, 100 * p.efficiency,
                               1e3 * p.exposed_s, 1e3 * p.waiting_s})
      row.push_back(fmt::format("{:.4g}", value));
    if (seeds) row.push_back(p.seeds > 1 ? fmt::format("± {:.3g}", 1e3 * p.time_half_s) : "");
    table.rows.push_back(std::move(row));
  }
  table.fold = fmt::format("{} points", found_.points().size());
  if (found_.points().size() > kTableRows)
    table.more = fmt::format("The first {}; the store has the rest.", kTableRows);
  return section;
}

Section Page::provenance() const {
  const Json result = store_.result(found_.points().front().number);
  std::map<std::string, std::size_t> fidelities;
  Statement count(store_.database(),
                  "SELECT fidelity, count(*) FROM points WHERE error IS NULL GROUP BY fidelity");
  while (count.step()) fidelities[count.text(0)] = static_cast<std::size_t>(count.integer(1));
  std::vector<std::string> network;
  for (const auto& [fidelity, points] : fidelities)
    network.push_back(fmt::format("{} of {} points", fidelity, points));
  Section section{.name = "", .heading = "Where this comes from"};
  section.table.rows = {{"made by", "paceline " + study_.version},
                        {"points", fmt::format("{} of {} run", done_, study_.points)},
                        {"network fidelity", fmt::format("{}", fmt::join(network, ", "))}};
  const auto row = [&](const char* what, const Json& list, const auto& line) {
    std::string lines;
    for (const Json& item : list) lines += line(item) + '\n';
    if (!lines.empty()) section.table.rows.push_back({what, lines});
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
  section.listing_title = "The experiment that all points share";
  section.listing = study_.experiment.dump(2);
  return section;
}

Report Page::report(const std::string& measured) {
  const bool by_number = found_.down && found_.down_count() > 1, seeds = found_.seeds() > 1;
  Report report{study_.name, study_.description, answer(), "", {}};
  if (done_ < study_.points)
    report.missing = fmt::format("{} of {} points have been run so far.", done_, study_.points);
  const auto add = [&](Section section) {
    if (!section.figures.empty() || !section.table.rows.empty())
      report.sections.push_back(std::move(section));
  };
  add(map());
  Section speedup =
      curves({"speedup",
              "Speedup over one GPU",
              "speedup",
              by_number,
              [](const FoundPoint& p) { return p.speedup; },
              seeds ? Value([](const FoundPoint& p) { return p.speedup_half; })
                    : Value([](const FoundPoint& p) { return p.speedup * p.sigma_s / p.time_s; }),
              {}});
  for (Section::Figure& figure : speedup.figures)
    figure.caption =
        seeds ? fmt::format("Band: 95 % interval of the mean over {} seeds (Student's t).",
                            found_.seeds())
              : "Band: one sigma of what is not known exactly.";
  add(std::move(speedup));
  auto [times, links] = times_and_links();
  add(std::move(times));
  add(std::move(links));
  add(curves({"utilisation",
              "Use of the busiest link",
              "% of its bandwidth",
              false,
              [](const FoundPoint& p) { return 100 * p.utilisation; },
              {},
              100}));
  add(curves({"hidden",
              "How much of the communication is hidden",
              "% of it",
              false,
              [](const FoundPoint& p) { return 100 * p.overlap.value_or(0); },
              {},
              100}));
  const std::size_t a = found_.across_count() / 2, d = found_.down_count() - 1;
  add(loss_section(runs(a, d), store_, place(a, d)));
  add(gantt_section(runs(a, d), store_, place(a, d)));
  if (!measured.empty()) add(measured_section(measured, found_, study_.axes, runs(a, d)));
  add(tornado());
  add(table());
  add(provenance());
  return report;
}

}  // namespace

Report report_of(Store& store, const Store::StudyInfo& study, const std::string& measured) {
  return Page(store, study).report(measured);
}

std::string study_answer(Store& store, const Store::StudyInfo& study) {
  return Page(store, study).answer();
}

}  // namespace paceline
