#include "calibrate/import.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "base/units.hpp"
#include "calibrate/program/commands.hpp"
#include "calibrate/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

struct ImportArguments {
  std::string file, model, out;
  ImportOptions options;
  bool json = false;
};

void import(const ImportArguments& arguments) {
  const Model model = make_model(arguments.model);
  const Profile profile = arguments.file.ends_with(".csv")
                              ? import_csv(arguments.file, model, arguments.options)
                              : import_trace(arguments.file, model, arguments.options);
  if (!arguments.out.empty()) save_profile(arguments.out, profile);
  if (arguments.json) {
    std::cout << profile_json(profile).dump(2) << '\n';
    return;
  }
  const StepCosts costs = step_costs(model, profile, arguments.options.batch);
  std::cout << fmt::format("{} on {}: {}\nforward {}, backward {}\n", profile.model, profile.device,
                           profile.description, format_duration(costs.forward_s()),
                           format_duration(costs.backward_s()));
}

}  // namespace

void add_import(CLI::App& app) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command = app.add_subcommand(
      "import", "A profile from a PyTorch profiler trace or a table of layer times");
  command
      ->add_option("file", arguments->file,
                   "Chrome trace (.json), or .csv with operation,forward_s,backward_s")
      ->required();
  command->add_option("--model", arguments->model, "network it is of")->required();
  command->add_option("--batch", arguments->options.batch, "samples per step")->required();
  command->add_option("--device", arguments->options.device, "GPU it was recorded on")->required();
  command->add_option("--precision", arguments->options.precision, "fp32, tf32, fp16")
      ->capture_default_str();
  command->add_option("--uncertainty", arguments->options.uncertainty, "sigma of the step time")
      ->capture_default_str();
  command->add_option("--out", arguments->out, "profile file to write");
  command->add_flag("--json", arguments->json, "print the profile as JSON");
  command->footer(
      "Example:\n  paceline calibrate import trace.json --model resnet50 --batch 32 "
      "--device V100 --out resnet50-v100.json");
  command->callback([arguments] { import(*arguments); });
}

}  // namespace paceline
