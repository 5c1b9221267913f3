#include "calibrate/measure/measure.hpp"
#include "base/json.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/interrupt.hpp"
#include "base/units.hpp"
#include "calibrate/measure/host.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "calibrate/program/commands.hpp"
#include "calibrate/program/device.hpp"
#include "calibrate/program/output_file.hpp"
#include "models/model_file.hpp"

namespace paceline {
namespace {

constexpr double kTolerance = 0.05;
constexpr double kMostSeconds = 86400;

struct MeasureArguments {
  std::string device = "cpu", engine, model, data, out;
  std::vector<std::int64_t> batches;
  double seconds = 10;
  std::string precision = "fp32", operations_from, most_elements = "100M";
  bool again = false, json = false, no_operators = false;
};

void show_progress(const MeasureProgress& progress) {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r{:<78}", progress_text(progress));
}

void check_seconds(double seconds) {
  if (!(seconds > 0 && seconds <= kMostSeconds))
    throw InputError(fmt::format("--seconds: expected more than 0 and at most {}, found {}",
                                 kMostSeconds, seconds));
}

// A short measurement also warms up for a shorter time.
void set_seconds(MeasureOptions& options, double seconds) {
  options.seconds = seconds;
  options.warm_up_seconds = std::min(options.warm_up_seconds, seconds / 2);
}

std::string summary(const Profile& profile) {
  std::string text =
      fmt::format("{} on {} ({})\n{:>8}{:>14}{:>14}{:>14}{:>10}\n", profile.model, profile.device,
                  profile.description, "batch", "iteration", "quartiles", "", "closure");
  for (const BatchTimes& times : profile.batches) {
    const double closure = times.closure_ratio.value_or(1);
    text += fmt::format("{:>8}{:>14}{:>14}{:>14}{:>10.3f}{}\n", *times.batch,
                        format_duration(times.iteration->median_s),
                        format_duration(times.iteration->p25_s.value_or(0)),
                        format_duration(times.iteration->p75_s.value_or(0)), closure,
                        std::abs(closure - 1) > kTolerance
                            ? "  the layers miss the iteration by more than 5 %"
                            : "");
  }
  return text;
}

std::optional<Profile> earlier(const MeasureArguments& arguments) {
  std::error_code ignored;
  if (arguments.again || arguments.out.empty() || !std::filesystem::exists(arguments.out, ignored))
    return {};
  return load_profile(arguments.out);
}

void measure(const MeasureArguments& arguments) {
  if (arguments.model.empty() || arguments.batches.empty())
    throw InputError("--model and --batch are required (see --help)");
  check_seconds(arguments.seconds);
  const double most_elements = parse_count(arguments.most_elements);
  if (!(most_elements >= 1 && most_elements <= 1e9))
    throw InputError(
        fmt::format("--most-elements: expected 1 to 1G, found '{}'", arguments.most_elements));
  const Model model = find_model(arguments.model);
  std::optional<OutputFile> file;  // held before it is read, so that two do not go on with the same
  if (!arguments.out.empty()) file.emplace(arguments.out);
  const std::optional<Profile> known = earlier(arguments);
  ChosenDevice device(arguments.device, arguments.engine);
  device.options.precision = arguments.precision;
  device.options.most_elements = static_cast<std::size_t>(most_elements);
  if (!arguments.operations_from.empty())
    device.options.operations_from = load_profile(arguments.operations_from);
  if (!arguments.data.empty()) device.use_data(arguments.data, model);
  set_seconds(device.options, arguments.seconds);
  device.options.progress = show_progress;
  device.options.operators = !arguments.no_operators;
  if (file) device.options.measured = [&](const Profile& profile) { file->save(profile); };
  const Profile profile =
      measure_profile(model, device.backend(), arguments.batches, device.options, known);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r{: <79}\r", "");
  if (profile.batches.empty()) return;  // interrupted before the first was measured
  if (file)
    interrupt_note(
        fmt::format("what was measured is in {}; the same command goes on", arguments.out));
  std::cout << (arguments.json ? profile_json(profile).dump(2) + "\n" : summary(profile));
  if (!arguments.json && !arguments.out.empty())
    std::cout << fmt::format("written to {}\n", arguments.out);
}

struct CheckArguments {
  std::string profile, model, device = "cpu", engine, data;
  double seconds = 10;
  bool json = false;
};

// A measurement says nothing of another device; a prediction for one may be meant.
void check_device(const Profile& profile, ChosenDevice& device) {
  const std::string here = device.options.device.empty() ? cpu_name() : device.options.device;
  use_precision(profile.precision, device.backend());
  if (profile.device == here) return;
  const std::string message =
      fmt::format("the profile is of '{}', and this is '{}'", profile.device, here);
  if (profile.source == ProfileSource::measured)
    throw InputError(message + ": measure one here first");
  fmt::print(stderr, "paceline-calibrate: {} ({} times are compared)\n", message,
             to_string(profile.source));
}

void check(const CheckArguments& arguments) {
  check_seconds(arguments.seconds);
  const Profile profile = load_profile(arguments.profile);
  if (!profile.batches.front().batch)
    throw InputError(fmt::format("{}: its source states no batch, so there is none to train with",
                                 arguments.profile));
  const Model model = find_model(arguments.model.empty() ? profile.model : arguments.model);
  if (profile.model != model.name())
    throw InputError(fmt::format("{}: it is of the model '{}', not of '{}'", arguments.profile,
                                 profile.model, model.name()));
  ChosenDevice device(arguments.device, arguments.engine);
  check_device(profile, device);
  for (const BatchTimes& times : profile.batches)
    check_fits_memory(model, device.backend(), *times.batch);
  if (!arguments.data.empty()) device.use_data(arguments.data, model);
  set_seconds(device.options, arguments.seconds);
  const OperationCosts operations = operation_costs(profile);
  Json rows = Json::array();
  if (!arguments.json)
    std::cout << fmt::format("{:>8}{:>14}{:>14}{:>14}{:>10}{:>8}{:>9}  clock\n", "batch",
                             "predicted", "measured", "IQR", "error", "steps", "dropped");
  for (const BatchTimes& times : profile.batches) {
    if (interrupted) break;
    const double predicted = step_costs(model, profile, *times.batch).step_s() +
                             operations.optimizer_update(static_cast<double>(model.parameters()));
    const TrainingLoopTime measured =
        time_training_loop(model, device.backend(), *times.batch, device.options);
    const double median = measured.step.median_s, error = predicted / median - 1;
    const double spread = *measured.step.p75_s - *measured.step.p25_s;
    const char* clock = measured.cpu_time ? "CPU time" : "wall";
    if (!arguments.json)
      std::cout << fmt::format("{:>8}{:>14}{:>14}{:>14}{:>+9.1f}%{:>8}{:>9}  {}\n", *times.batch,
                               format_duration(predicted), format_duration(median),
                               format_duration(spread), 100 * error, measured.steps,
                               measured.dropped, clock);
    rows.push_back({{"batch", *times.batch},
                    {"predicted_s", predicted},
                    {"measured_s", median},
                    {"iqr_s", spread},
                    {"error", error},
                    {"steps", measured.steps},
                    {"dropped", measured.dropped},
                    {"clock", clock}});
  }
  if (arguments.json) std::cout << rows.dump(2) << '\n';
}

}  // namespace

void add_measure(CLI::App& app) {
  auto arguments = std::make_shared<MeasureArguments>();
  app.add_option("--device", arguments->device, "cpu or cuda:N")->capture_default_str();
  app.add_option("--engine", arguments->engine,
                 "CPU backend: onednn or reference (default: fastest)");
  app.add_option("--model", arguments->model,
                 "network to train: a name such as resnet50, or a model file");
  app.add_option("--batch", arguments->batches, "samples per step; several: 16,32,64")
      ->delimiter(',');
  app.add_option("--data", arguments->data,
                 "count the making of batches of this data set (digits, textures, grammar)");
  app.add_option("--out", arguments->out, "profile file; one that is there is gone on with");
  app.add_option("--seconds", arguments->seconds, "of sampling per batch")->capture_default_str();
  app.add_option("--precision", arguments->precision,
                 "fp32, or on a GPU tf32: products and convolutions may round what they read")
      ->capture_default_str();
  app.add_option("--operations-from", arguments->operations_from,
                 "GPU: take copies and schedules' operations from this profile of the same GPU");
  app.add_option("--most-elements", arguments->most_elements,
                 "GPU: the largest vector to time schedules' operations on, such as 1M")
      ->capture_default_str();
  app.add_flag("--again", arguments->again, "measure batches anew that the file has");
  app.add_flag("--no-operators", arguments->no_operators,
               "GPU: do not also time each layer alone, with cold and hot caches");
  app.add_flag("--json", arguments->json, "print the profile as JSON");
  app.callback([&app, arguments] {
    if (app.get_subcommands().empty()) measure(*arguments);
  });
}

void add_check(CLI::App& app) {
  auto arguments = std::make_shared<CheckArguments>();
  CLI::App* command = app.add_subcommand(
      "check", "Predicted against measured: times a training loop at each batch of a profile");
  command->add_option("profile", arguments->profile, "profile file")->required();
  command->add_option("--model", arguments->model,
                      "file of its model, if that is not a shipped one");
  command->add_option("--device", arguments->device, "cpu or cuda:N")->capture_default_str();
  command->add_option("--engine", arguments->engine, "CPU backend (default: fastest)");
  command->add_option("--data", arguments->data, "as it was given for the profile");
  command->add_option("--seconds", arguments->seconds, "per batch")->capture_default_str();
  command->add_flag("--json", arguments->json, "print as JSON");
  command->footer("Example:\n  paceline calibrate check lenet5.json");
  command->callback([arguments] { check(*arguments); });
}

}  // namespace paceline
