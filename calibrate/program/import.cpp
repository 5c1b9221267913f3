#include "calibrate/import/import.hpp"
#include "base/json.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/date.hpp"
#include "base/text_file.hpp"
#include "base/units.hpp"
#include "base/version.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "calibrate/program/commands.hpp"
#include "models/model_file.hpp"

namespace paceline {
namespace {

struct ImportArguments {
  std::string file, model, out;
  ImportOptions options;
  bool json = false;
};

bool is_table(const std::string& file) {
  std::string extension = std::filesystem::path(file).extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".csv";
}

Profile imported(const ImportArguments& arguments, const Model& model) {
  const std::string text = read_text_file(arguments.file);
  Profile profile = is_table(arguments.file)
                        ? parse_import_csv(text, arguments.file, model, arguments.options)
                        : parse_trace(text, arguments.file, model, arguments.options);
  profile.software["tool"] = fmt::format("paceline-calibrate {}", version());
  (*profile.metadata)["date"] = utc_now();
  (*profile.metadata)["source_file"] = std::filesystem::path(arguments.file).filename().string();
  (*profile.metadata)["source_hash"] = text_hash(text);
  return profile;
}

void import(const ImportArguments& arguments) {
  const Model model = find_model(arguments.model);
  const Profile profile = imported(arguments, model);
  const StepCosts costs = step_costs(model, profile, arguments.options.batch);
  for (const Json& warning : profile.metadata->value("warnings", Json::array()))
    fmt::print(stderr, "paceline-calibrate: warning: {}\n", warning.get<std::string>());
  if (!arguments.out.empty()) {
    read_profile(profile_json(profile), arguments.out);  // never write what nobody can read
    save_profile(arguments.out, profile);
  }
  if (arguments.json)
    std::cout << profile_json(profile).dump(2) << '\n';
  else
    std::cout << fmt::format("{} on {}: {}\nforward {}, backward {}\n", profile.model,
                             profile.device, profile.description,
                             format_duration(costs.forward_s()),
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
  command->add_option("--model", arguments->model, "network it is of: a name, or a model file")
      ->required();
  command->add_option("--batch", arguments->options.batch, "samples per step")->required();
  command->add_option("--device", arguments->options.device, "GPU it was recorded on")->required();
  command->add_option("--precision", arguments->options.precision, "fp32, tf32, fp16, bf16")
      ->capture_default_str();
  command
      ->add_option("--uncertainty", arguments->options.uncertainty,
                   "relative sigma of the step time, 0 to 10")
      ->capture_default_str();
  command->add_option("--out", arguments->out, "profile file to write");
  command->add_flag("--json", arguments->json, "print the profile as JSON");
  command->footer(
      "Example:\n  paceline calibrate import trace.json --model resnet50 --batch 32 "
      "--device V100 --out resnet50-v100.json");
  command->callback([arguments] { import(*arguments); });
}

}  // namespace paceline
