#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "cli/page/page.hpp"
#include "cli/page/style.hpp"
#include "cli/plot/svg_parts.hpp"

namespace paceline {

std::string html_of(const Report& report) {
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>{0}</title><style>{1}</style></"
      "head><body>\n"
      "<main><h1>{0}</h1><p class=\"soft\">{2}</p><p class=\"answer\">{3}</p>\n",
      svg::escaped(report.name), kPageStyle, svg::escaped(report.description),
      svg::escaped(report.answer));
  if (!report.missing.empty())
    text += fmt::format("<p class=\"note\">{}</p>\n", svg::escaped(report.missing));
  for (const Section& section : report.sections) text += html_of(section);
  return text + "</main></body></html>\n";
}

std::string markdown_of(const Report& report,
                        const std::function<std::string(const Section&)>& drawing) {
  std::string text =
      fmt::format("# {}\n\n{}\n\n**{}**\n\n", report.name, report.description, report.answer);
  if (!report.missing.empty()) text += report.missing + "\n\n";
  for (const Section& section : report.sections) text += markdown_of(section, drawing(section));
  return text;
}

const Section& figure_of(const Report& report, const std::string& name) {
  std::vector<std::string> names;
  for (const Section& section : report.sections) {
    if (section.figures.empty()) continue;
    if (section.name == name) return section;
    names.push_back(section.name);
  }
  throw InputError(
      name.empty()
          ? fmt::format("--figure: which of {}? A picture has one", fmt::join(names, ", "))
          : fmt::format("--figure: {}", unknown_name("figure of this study", name, names)));
}

}  // namespace paceline
