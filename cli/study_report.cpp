#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/files.hpp"
#include "cli/page/page.hpp"
#include "cli/plot/png.hpp"
#include "commands.hpp"

namespace paceline {
namespace {

struct ReportOptions {
  std::string store, study, out, measured, format, figure;
};

constexpr const char* kFormats[]{"html", "md", "svg", "png"};

// What was asked for, else what the file's name ends in, else HTML.
std::string format_of(const ReportOptions& options) {
  if (!options.format.empty()) return options.format;
  for (const char* format : kFormats)
    if (options.out.ends_with(std::string(".") + format)) return format;
  return "html";
}

// Beside page.md: page-map.svg, ...
void save_markdown(const Report& report, const std::filesystem::path& out) {
  const std::string stem = out.stem().string();
  save_text(out, markdown_of(report, [&](const Section& section) {
              const std::string name = stem + "-" + section.name + ".svg";
              if (!section.figures.empty())
                save_text(out.parent_path() / name, drawing_of(section));
              return name;
            }));
}

void run(const ReportOptions& options) {
  const std::string format = format_of(options);
  const bool picture = format == "svg" || format == "png";
  if (!options.figure.empty() && !picture)
    throw InputError("--figure: chooses a picture, of --format svg or png");
  if (!options.format.empty() && options.out.empty())
    throw InputError("--format: into which file? --out FILE");
  Store store(options.store, Database::Mode::read);
  const Store::StudyInfo study = store.study(options.study);
  if (options.out.empty()) {
    std::cout << study_answer(store, study) << '\n';
    return;
  }
  check_writable("--out", options.out);
  const Report report = report_of(store, study, options.measured);
  if (picture) {
    const std::string drawing = drawing_of(figure_of(report, options.figure));
    save_text(options.out, format == "png" ? png_picture(drawing) : drawing);
  } else if (format == "md") {
    save_markdown(report, options.out);
  } else {
    save_text(options.out, html_of(report));
  }
  std::cout << report.answer << '\n';
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "The answer of a study: a sentence, and a page with charts");
  command->footer(
      "Examples:\n"
      "  paceline sweep network-1-to-400g -o network.db\n"
      "  paceline report network.db -o network.html\n"
      "  paceline report network.db -o network.md\n"
      "  paceline report network.db -o map.png --figure map");
  const auto options = std::make_shared<ReportOptions>();
  command->add_option("store", options->store, "store that 'paceline sweep' has written")
      ->required();
  command->add_option("--study", options->study, "name of the study (the only one)");
  command->add_option("-o,--out", options->out,
                      "HTML file, which needs no other, or .md, .svg, .png; without it only the "
                      "sentence is printed");
  command
      ->add_option(
          "--format", options->format,
          "html, md (with its figures as SVG files beside it), svg or png of one figure (as "
          "FILE ends)")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kFormats), std::end(kFormats))));
  command->add_option("--figure", options->figure,
                      "of svg and png: map, speedup, times, utilisation, hidden, loss, gantt, "
                      "measured or tornado");
  command->add_option(
      "--measured", options->measured,
      "CSV of measured times: columns of axes, and iteration_time_s or samples_per_s");
  command->callback([options] { run(*options); });
}

}  // namespace paceline
