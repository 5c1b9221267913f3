#include "calibrate/transfer/anchors.hpp"
#include "base/json.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "base/error.hpp"
#include "base/file_lock.hpp"
#include "base/files.hpp"
#include "base/interrupt.hpp"
#include "base/units.hpp"
#include "calibrate/program/commands.hpp"
#include "calibrate/program/device.hpp"

namespace paceline {
namespace {

struct AnchorArguments {
  std::string device = "cuda:0", engine, out;
  std::int64_t limit = 0;
  double seconds = 2;
  bool again = false, json = false;
};

void show_anchor(const AnchorProgress& progress) {
  if (isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r{} of {} kernels, about {} left   ", progress.done, progress.of,
             format_duration(std::round(progress.left_seconds)));
}

std::string summary(const AnchorSet& set) {
  std::map<std::string, int> laws;
  for (const MeasuredAnchor& anchor : set.kernels) ++laws[anchor.law];
  std::string text = fmt::format("{} kernels of DeepBench on {}\n", set.kernels.size(), set.device);
  for (const auto& [law, count] : laws) text += fmt::format("{:<28}{:>5}\n", law, count);
  for (const Json& failed : set.metadata.value("failed", Json::array()))
    text += fmt::format("left out: {} {}: {}\n", failed.at("law").get<std::string>(),
                        failed.at("key").get<std::string>(), failed.at("error").get<std::string>());
  return text;
}

void measure_anchors(const AnchorArguments& arguments) {
  check_writable("--out", arguments.out);
  const FileLock lock(arguments.out, "paceline-calibrate is measuring into it");
  std::error_code ignored;
  std::optional<AnchorSet> known;
  if (!arguments.again && std::filesystem::exists(arguments.out, ignored))
    known = load_anchors(arguments.out);
  ChosenDevice device(arguments.device, arguments.engine);
  AnchorOptions options;
  if (arguments.limit > 0) options.most_kernels = static_cast<std::size_t>(arguments.limit);
  options.seconds = arguments.seconds;
  options.tool = device.options.tool;
  options.device = device.options.device;
  options.software = device.options.software;
  options.device_record = device.options.device_record;
  options.stop = &interrupted;
  options.progress = show_anchor;
  options.measured = [&](const AnchorSet& set) { save_json(arguments.out, anchors_json(set)); };
  const AnchorSet set = paceline::measure_anchors(device.backend(), options, known);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r{: <79}\r", "");
  if (!set.kernels.empty())
    interrupt_note(
        fmt::format("what was measured is in {}; the same command goes on", arguments.out));
  if (set.kernels.empty()) throw InputError("no kernel was measured");
  std::cout << (arguments.json ? anchors_json(set).dump(2) + "\n"
                               : summary(set) + fmt::format("written to {}\n", arguments.out));
}

}  // namespace

void add_anchors(CLI::App& app) {
  auto arguments = std::make_shared<AnchorArguments>();
  CLI::App* command = app.add_subcommand(
      "anchors", "Times DeepBench's kernels here, which correct a transfer to GPUs that it timed");
  command->add_option("--device", arguments->device, "cuda:N or cpu")->capture_default_str();
  command->add_option("--engine", arguments->engine, "CPU backend (default: fastest)");
  command->add_option("--out", arguments->out, "file of anchors; one that is there is gone on with")
      ->required();
  command->add_option("--limit", arguments->limit, "only so many kernels, those of the least work")
      ->check(CLI::PositiveNumber);
  command->add_option("--seconds", arguments->seconds, "of sampling per kernel, at most")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--again", arguments->again, "measure anew what the file has");
  command->add_flag("--json", arguments->json, "print the anchors as JSON");
  command->footer(
      "Examples:\n"
      "  paceline calibrate anchors --device cuda:0 --out h200-anchors.json\n"
      "  paceline calibrate transfer --from h200.json --anchors h200-anchors.json --to gtx-1080ti");
  command->callback([arguments] { measure_anchors(*arguments); });
}

}  // namespace paceline
