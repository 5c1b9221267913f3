#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/import/trace.hpp"

namespace paceline {
namespace {

// Dates count from boot or from 1970, and are whole numbers of microseconds in a double.
constexpr double kMostMicroseconds = 9e15;

enum class Category { other, kernel, runtime, driver, operation };

// The names that Kineto gives, and those of PyTorch 1.8 to 1.10.
Category category_of(const std::string& cat) {
  static const std::map<std::string, Category> names{{"kernel", Category::kernel},
                                                     {"gpu_memset", Category::kernel},
                                                     {"gpu_memcpy", Category::kernel},
                                                     {"Kernel", Category::kernel},
                                                     {"Memset", Category::kernel},
                                                     {"Memcpy", Category::kernel},
                                                     {"cuda_runtime", Category::runtime},
                                                     {"Runtime", Category::runtime},
                                                     {"cuda_driver", Category::driver},
                                                     {"cpu_op", Category::operation},
                                                     {"user_annotation", Category::operation},
                                                     {"Operator", Category::operation}};
  const auto found = names.find(cat);
  return found == names.end() ? Category::other : found->second;
}

// The first date of the trace, which all others count from.
double first_date(const Json& events) {
  double first = HUGE_VAL;
  for (const Json& event : events)
    if (event.is_object())
      if (const auto date = event.find("ts"); date != event.end() && date->is_number())
        if (const auto phase = event.find("ph"); phase != event.end() && *phase == "X")
          first = std::min(first, date->get<double>());
  return std::isfinite(first) ? first : 0;
}

class TraceReader {
 public:
  TraceReader(const std::string& file, double first) : file_(file), first_(first) {}

  void read(const Json& event, std::size_t index) {
    index_ = index;
    if (!event.is_object()) refuse("", "an event", event);
    if (text(event, "ph") != "X" || !event.contains("cat")) return;
    const Category category = category_of(text(event, "cat"));
    if (category == Category::other) return;
    TraceEvent read{text(event, "name"), time(event, "ts") - first_, time(event, "dur"),
                    thread(event)};
    if (category == Category::kernel)
      kernel(event, read);
    else if (category != Category::operation)
      launch(event, category, read);
    else if (read.name.starts_with("ProfilerStep#"))
      step(read);
    else
      operation(event, read);
  }

  Trace finish() {
    const auto refuse = [&](const std::string& why) {
      throw InputError(fmt::format("{}: {}", file_, why));
    };
    if (trace_.kernels.empty())
      refuse(
          "there are no GPU events in the trace; record it with "
          "activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]");
    if (trace_.launches.empty())
      refuse(
          "there are kernels, but no cuda_runtime events that launched them; record it with "
          "activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]");
    if (processes_.size() > 1)
      refuse(fmt::format("holds events of {} processes (pid {}); expected the trace of one",
                         processes_.size(), fmt::join(processes_, ", ")));
    if (devices_.size() > 1)
      refuse(fmt::format("holds kernels of {} GPUs ({}); expected the trace of one",
                         devices_.size(), fmt::join(devices_, ", ")));
    std::sort(trace_.steps.begin(), trace_.steps.end(),
              [](const TraceEvent& a, const TraceEvent& b) { return a.start < b.start; });
    return std::move(trace_);
  }

 private:
  [[noreturn]] void refuse(const std::string& key, const std::string& expected,
                           const Json& found) const {
    throw InputError(fmt::format("{}: $.traceEvents[{}]{}{}: expected {}, found {}", file_, index_,
                                 key.empty() ? "" : ".", key, expected, found.dump()));
  }

  std::string text(const Json& event, const char* key) const {
    const auto found = event.find(key);
    if (found == event.end()) return "";
    if (!found->is_string()) refuse(key, "a string", *found);
    return found->get<std::string>();
  }

  double time(const Json& event, const char* key) const {
    const auto found = event.find(key);
    if (found == event.end())
      throw InputError(
          fmt::format("{}: $.traceEvents[{}]: expected 'ts' and 'dur'", file_, index_));
    const double value = found->is_number() ? found->get<double>() : NAN;
    if (!(std::abs(value) <= kMostMicroseconds) || (key[0] == 'd' && value < 0))
      refuse(key, "microseconds", *found);
    return value;
  }

  static std::string plain(const Json& event, const char* key) {
    const auto found = event.find(key);
    return found == event.end() ? "" : found->dump();
  }

  std::size_t thread(const Json& event) {
    return threads_.try_emplace({plain(event, "pid"), plain(event, "tid")}, threads_.size())
        .first->second;
  }

  // Whole numbers below "args"; nothing if the key is absent.
  std::optional<std::int64_t> argument(const Json& event, const char* key) const {
    const auto args = event.find("args");
    if (args == event.end()) return {};
    if (!args->is_object()) refuse("args", "an object", *args);
    const auto found = args->find(key);
    if (found == args->end()) return {};
    if (!found->is_number_integer()) refuse(fmt::format("args.{}", key), "a whole number", *found);
    return found->get<std::int64_t>();
  }

  void kernel(const Json& event, const TraceEvent& read) {
    const auto correlation = argument(event, "correlation");
    if (!correlation) return;
    if (const auto device = argument(event, "device")) devices_.insert(*device);
    if (!seen_.emplace(*correlation, read.start, read.thread, read.name).second)
      refuse("", "each kernel once (are these two traces, or one twice?)", event);
    trace_.kernels.push_back({*correlation, read.duration});
  }

  void launch(const Json& event, Category category, const TraceEvent& read) {
    const auto correlation = argument(event, "correlation");
    if (!correlation) return;
    const auto [before, fresh] = trace_.launches.try_emplace(*correlation, read);
    // A driver call may stand inside the runtime call of the same number.
    if (!fresh && category == Category::runtime && before->second.start != read.start &&
        before->second.name == read.name)
      refuse("args.correlation", "each launch once (are these two traces?)",
             event.at("args").at("correlation"));
  }

  void step(const TraceEvent& read) {
    if (steps_.insert(read.name).second) trace_.steps.push_back(read);
  }

  void operation(const Json& event, const TraceEvent& read) {
    if (read.name.starts_with("aten::")) processes_.insert(plain(event, "pid"));
    trace_.operations.push_back(read);
  }

  std::string file_;
  double first_;
  std::size_t index_ = 0;
  Trace trace_;
  std::map<std::pair<std::string, std::string>, std::size_t> threads_;
  std::set<std::string> processes_, steps_;
  std::set<std::int64_t> devices_;
  std::set<std::tuple<std::int64_t, double, std::size_t, std::string>> seen_;
};

// Kineto's own record: {"deviceProperties": [{"id": 0, "name": "Tesla T4", ...}], ...}.
void read_record(const Json& json, Trace& trace) {
  if (!json.is_object()) return;
  for (const char* key : {"cuda_runtime_version", "cuda_driver_version", "cupti_version"})
    if (json.contains(key)) trace.record[key] = json.at(key);
  const auto properties = json.find("deviceProperties");
  if (properties == json.end() || !properties->is_array()) return;
  for (const Json& device : *properties) {
    if (!device.is_object() || !device.contains("name") || !device.at("name").is_string()) continue;
    if (trace.gpu.empty()) trace.gpu = device.at("name").get<std::string>();
    trace.record["gpus"].push_back(device.at("name"));
  }
  // Of different ones we do not know which was used.
  for (const Json& name : trace.record.value("gpus", Json::array()))
    if (name != trace.gpu) trace.gpu.clear();
}

}  // namespace

Trace read_trace(const Json& json, const std::string& file) {
  const Json* events = &json;
  if (json.is_object()) {
    if (!json.contains("traceEvents"))
      throw InputError(file + ": $: expected 'traceEvents', as in a Chrome trace");
    events = &json.at("traceEvents");
  }
  if (!events->is_array()) throw InputError(file + ": $.traceEvents: expected an array of events");
  TraceReader reader(file, first_date(*events));
  for (std::size_t i = 0; i < events->size(); ++i) reader.read((*events)[i], i);
  Trace trace = reader.finish();
  read_record(json, trace);
  return trace;
}

}  // namespace paceline
