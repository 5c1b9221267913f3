#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "base/files.hpp"
#include "cli/page/page.hpp"
#include "commands.hpp"

namespace paceline {
namespace {

struct ReportOptions {
  std::string store, study, out, measured;
};

void run(const ReportOptions& options) {
  Store store(options.store, Database::Mode::read);
  const Store::StudyInfo study = store.study(options.study);
  if (options.out.empty()) {
    std::cout << study_answer(store, study) << '\n';
    return;
  }
  check_writable("--out", options.out);
  save_text(options.out, study_page(store, study, options.measured));
  std::cout << study_answer(store, study) << '\n';
}

}  // namespace

void add_report(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("report", "The answer of a study: a sentence, and a page with charts");
  command->footer(
      "Examples:\n"
      "  paceline sweep network-1-to-400g -o network.db\n"
      "  paceline report network.db -o network.html");
  const auto options = std::make_shared<ReportOptions>();
  command->add_option("store", options->store, "store that 'paceline sweep' has written")
      ->required();
  command->add_option("--study", options->study, "name of the study (the only one)");
  command->add_option("-o,--out", options->out,
                      "HTML file, which needs no other; without it only the sentence is printed");
  command->add_option(
      "--measured", options->measured,
      "CSV of measured times: columns of axes, and iteration_time_s or samples_per_s");
  command->callback([options] { run(*options); });
}

}  // namespace paceline
