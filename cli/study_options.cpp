#include "study_options.hpp"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/json.hpp"
#include "studies/shipped.hpp"

namespace paceline {

StudyOptions::StudyOptions(CLI::App& command) : experiment(command) {
  command.add_option("--vary", axes.vary,
                     "an axis: KEY=VALUES with a key of the experiment or a field of the cluster");
  command.add_option("--skip", axes.skip,
                     "leave out points: AXIS=VALUES, or several with ';' that all hold");
  command.add_option("--only", axes.only, "leave out all other points");
  command.add_option("--name", name, "of the study in the store");
}

void StudyOptions::add_samples(CLI::App& command) {
  command.add_flag("--zip", axes.zip, "the axes of --vary go together, value by value");
  command
      .add_option("--sample", axes.sample,
                  "a Latin hypercube of so many points over the axes of --vary")
      ->check(CLI::PositiveNumber);
  command.add_option("--sample-seed", axes.seed, "of the sample (1)");
  command
      .add_option(
          "--seeds", axes.seeds,
          "every point so many times: the axis seed=1..N, last ('query --over-seeds', 'report')")
      ->check(CLI::PositiveNumber);
}

Study StudyOptions::study(StudyUse use) const {
  ExperimentText text{Json{{"format", "paceline-experiment-1"}}, "command line"};
  if (!experiment.file().empty()) text = load_study(experiment.file());
  Study study = Study::read(text.json, text.file, use);
  experiment.override(study.experiment);
  study.add(axes);
  study.finish();
  if (!name.empty()) study.name = name;
  if (study.name.empty() && text.file != "command line")
    study.name = std::filesystem::path(text.file).stem().string();
  return study;
}

}  // namespace paceline
