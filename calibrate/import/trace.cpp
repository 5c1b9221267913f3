#include "calibrate/import/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"
#include "base/text_file.hpp"
#include "calibrate/import/import.hpp"
#include "calibrate/import/profile.hpp"
#include "calibrate/import/trace_match.hpp"
#include "platforms/gpus.hpp"

namespace paceline {
namespace {

constexpr double kManyOthers = 0.2;  // share of the GPU time that is worth a warning

// Not parse_json(): its check for equal keys takes time with the square of the number of events.
Json parse_events(std::string_view text, const std::string& name) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const auto at = static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    refuse_trace(name,
                 fmt::format("line {}, byte {}: not JSON; is the trace cut off?",
                             1 + std::count(text.begin(), text.begin() + at, '\n'), error.byte));
  } catch (const nlohmann::json::out_of_range& error) {
    refuse_trace(name, json_reason(error));  // a number that no double holds
  }
}

bool is_known(const std::string& gpu) {
  return known_gpu(gpu) != nullptr;
}

// Letters and digits in lower case.
std::string plain(const std::string& name) {
  std::string text;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// What there is to be said of the trace's card and --device: nothing where they are the same. A name
// that is in no table may be the user's own for the card.
std::string check_gpu(const std::string& file, const Trace& trace, const std::string& device) {
  if (trace.gpu.empty()) return "";
  if (is_known(device) &&
      (!is_known(trace.gpu) || find_gpu(trace.gpu).name != find_gpu(device).name))
    refuse_trace(file, fmt::format("was recorded on '{}', not on {} (--device)", trace.gpu,
                                   find_gpu(device).name));
  if (is_known(device) || plain(trace.gpu).find(plain(device)) != std::string::npos) return "";
  return fmt::format("was recorded on '{}', and is taken for '{}' (--device)", trace.gpu, device);
}

void check_times(const std::string& file, const BatchTimes& times) {
  double forward = 0, backward = 0;
  for (const LayerTimes& layer : times.layers)
    forward += layer.forward.median_s, backward += layer.backward_data.median_s;
  if (forward <= 0 || backward <= 0)
    refuse_trace(file, fmt::format("the {} pass takes 0 s: no kernels were launched in its calls",
                                   forward <= 0 ? "forward" : "backward"));
}

}  // namespace

Profile parse_trace(std::string_view text, const std::string& name, const Model& model,
                    const ImportOptions& options) {
  check_options(options);
  Trace trace = read_trace(parse_events(text, name), name);
  const std::string other_gpu = check_gpu(name, trace, options.device);
  std::vector<Call> calls = outermost_calls(trace);
  const Windows windows{std::move(trace.steps)};
  const GpuTime time = book_kernels(trace, windows, calls);
  Matcher matcher(name, model, calls, windows);
  BatchTimes times;
  times.layers = matcher.layers();
  check_times(name, times);
  if (!other_gpu.empty()) matcher.warnings.push_back(other_gpu);
  const double other = matcher.other_share(time);
  if (other > kManyOthers)
    matcher.warnings.push_back(
        fmt::format("{:.0f} % of the GPU time is in calls that are no layer", 100 * other));
  Profile profile = imported_profile(model, options, std::move(times));
  profile.description = fmt::format(
      "imported from a PyTorch trace, {} of its {} steps, matched by kind and order, {:.0f} % of "
      "the GPU time in other calls",
      matcher.matched(), windows.size(), 100 * other);
  if (!matcher.left_at_0.empty()) {
    std::size_t count = 0;
    for (const Json& kind : matcher.left_at_0) count += kind.at("operations").size();
    profile.description += fmt::format("; {} passes of layers left at 0 s", count);
  }
  if (!matcher.spread.empty()) profile.description += "; " + matcher.spread;
  *profile.metadata = {{"steps", matcher.matched()},   {"steps_in_trace", windows.size()},
                       {"unmatched_share", other},     {"left_at_0_s", matcher.left_at_0},
                       {"warnings", matcher.warnings}, {"trace", trace.record}};
  if (!matcher.spread.empty()) (*profile.metadata)["lstm"] = matcher.spread;
  return profile;
}

Profile import_trace(const std::filesystem::path& file, const Model& model,
                     const ImportOptions& options) {
  return parse_trace(read_text_file(file), file.string(), model, options);
}

}  // namespace paceline
