#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "calibrate/analytic.hpp"
#include "calibrate/import.hpp"
#include "calibrate/import_profile.hpp"
#include "calibrate/statistics.hpp"

namespace paceline {
namespace {

struct KindNames {
  OpKind kind;
  std::vector<std::string> forward;   // aten calls
  std::vector<std::string> backward;  // autograd nodes, without the number at the end
};

const std::vector<KindNames>& kind_names() {
  static const std::vector<KindNames> names{
      {OpKind::conv2d, {"conv2d"}, {"ConvolutionBackward", "CudnnConvolutionBackward"}},
      {OpKind::dense, {"linear", "addmm"}, {"AddmmBackward", "LinearBackward", "MmBackward"}},
      {OpKind::batch_norm,
       {"batch_norm"},
       {"CudnnBatchNormBackward", "NativeBatchNormBackward", "BatchNormBackward"}},
      {OpKind::layer_norm, {"layer_norm"}, {"NativeLayerNormBackward"}},
      {OpKind::relu, {"relu", "relu_"}, {"ReluBackward"}},
      {OpKind::tanh, {"tanh"}, {"TanhBackward"}},
      {OpKind::sigmoid, {"sigmoid"}, {"SigmoidBackward"}},
      {OpKind::gelu, {"gelu"}, {"GeluBackward"}},
      {OpKind::max_pool, {"max_pool2d"}, {"MaxPool2DWithIndicesBackward", "MaxPool2DBackward"}},
      {OpKind::avg_pool, {"avg_pool2d"}, {"AvgPool2DBackward"}},
      {OpKind::global_avg_pool,
       {"adaptive_avg_pool2d"},
       {"AdaptiveAvgPool2DBackward", "MeanBackward"}},
      {OpKind::add, {"add", "add_"}, {"AddBackward"}},
      {OpKind::concat, {"cat"}, {"CatBackward"}},
      {OpKind::dropout, {"dropout"}, {"NativeDropoutBackward", "FusedDropoutBackward"}},
      {OpKind::embedding, {"embedding"}, {"EmbeddingBackward"}},
      {OpKind::lstm, {"lstm"}, {"CudnnRnnBackward"}},
      {OpKind::softmax_loss, {"cross_entropy_loss"}, {"NllLossBackward", "LogSoftmaxBackward"}}};
  return names;
}

constexpr std::string_view kAutograd = "autograd::engine::evaluate_function: ";

struct Event {
  std::string name;
  double start = 0, duration = 0;  // microseconds
  std::int64_t thread = 0;
  [[nodiscard]] double end() const { return start + duration; }
};

// One operation of the framework as it ran, forward or backward.
struct Call {
  Event event;
  OpKind kind = OpKind::input;
  bool backward = false;
  double gpu_us = 0;
};

struct Trace {
  std::vector<Event> operations, steps;
  std::map<std::int64_t, Event> launches;  // by correlation
  struct Kernel {
    std::int64_t correlation;
    double duration;
  };
  std::vector<Kernel> kernels;
};

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw InputError(fmt::format("{}: {}", file, why));
}

double finite(const Json& event, const char* key, const std::string& file, std::size_t index) {
  const Json& value = event.at(key);
  if (!value.is_number() || !std::isfinite(value.get<double>()) ||
      (std::string_view(key) == "dur" && value.get<double>() < 0))
    throw InputError(fmt::format("{}: $.traceEvents[{}].{}: expected microseconds, found {}", file,
                                 index, key, value.dump()));
  return value.get<double>();
}

Trace read_trace(const Json& json, const std::string& file) {
  const Json* events = &json;
  if (json.is_object()) {
    if (!json.contains("traceEvents"))
      refuse(file, "$: expected 'traceEvents', as in a Chrome trace");
    events = &json.at("traceEvents");
  }
  if (!events->is_array()) refuse(file, "$.traceEvents: expected an array of events");
  Trace trace;
  for (std::size_t i = 0; i < events->size(); ++i) {
    const Json& event = (*events)[i];
    if (!event.is_object() || event.value("ph", "") != "X" || !event.contains("cat")) continue;
    if (!event.contains("ts") || !event.contains("dur"))
      refuse(file, fmt::format("$.traceEvents[{}]: expected 'ts' and 'dur'", i));
    const std::string cat = event.at("cat");
    Event read{event.value("name", ""), finite(event, "ts", file, i), finite(event, "dur", file, i),
               0};
    if (event.contains("tid") && event.at("tid").is_number()) read.thread = event.at("tid");
    std::optional<std::int64_t> correlation;
    if (event.contains("args") && event.at("args").contains("correlation"))
      correlation = event.at("args").at("correlation").get<std::int64_t>();
    if (cat == "kernel" || cat == "gpu_memset" || cat == "gpu_memcpy") {
      if (correlation) trace.kernels.push_back({*correlation, read.duration});
    } else if ((cat == "cuda_runtime" || cat == "cuda_driver") && correlation) {
      trace.launches[*correlation] = read;
    } else if (read.name.starts_with("ProfilerStep#") && cat != "gpu_user_annotation") {
      trace.steps.push_back(read);
    } else if (cat == "cpu_op" || cat == "user_annotation") {
      trace.operations.push_back(read);
    }
  }
  if (trace.kernels.empty())
    refuse(file,
           "there are no GPU events in the trace; record it with "
           "activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]");
  return trace;
}

std::optional<Call> call_of(const Event& event) {
  std::string name = event.name;
  const bool backward = name.starts_with(kAutograd);
  if (backward) {
    name.erase(0, kAutograd.size());
    while (!name.empty() && std::isdigit(static_cast<unsigned char>(name.back())) != 0)
      name.pop_back();
  } else if (name.starts_with("aten::")) {
    name.erase(0, 6);
  } else if (name.starts_with("Optimizer.")) {
    return Call{event, OpKind::input, false, 0};  // hides the additions inside
  } else {
    return {};
  }
  for (const KindNames& names : kind_names()) {
    const auto& list = backward ? names.backward : names.forward;
    if (std::find(list.begin(), list.end(), name) != list.end())
      return Call{event, names.kind, backward, 0};
  }
  return {};
}

// The calls of known kinds that lie in no other such call of their thread, in order of time.
std::vector<Call> outermost_calls(const Trace& trace) {
  std::vector<Call> calls;
  for (const Event& event : trace.operations)
    if (const auto call = call_of(event)) calls.push_back(*call);
  // Autograd nodes contain aten calls of the same kinds; a call that contains another starts first.
  std::stable_sort(calls.begin(), calls.end(), [](const Call& a, const Call& b) {
    return a.event.start != b.event.start ? a.event.start < b.event.start
                                          : a.event.duration > b.event.duration;
  });
  std::map<std::int64_t, double> busy_until;
  std::vector<Call> outermost;
  for (const Call& call : calls) {
    double& until = busy_until.try_emplace(call.event.thread, -INFINITY).first->second;
    if (call.event.start < until) continue;
    until = call.event.end();
    outermost.push_back(call);
  }
  return outermost;
}

// Adds each kernel to the call that launched it; returns the share of GPU time of no call.
double book_kernels(const Trace& trace, std::vector<Call>& calls) {
  std::map<std::int64_t, std::vector<std::size_t>> by_thread;  // ascending in time
  for (std::size_t i = 0; i < calls.size(); ++i) by_thread[calls[i].event.thread].push_back(i);
  double total = 0, unmatched = 0;
  for (const Trace::Kernel& kernel : trace.kernels) {
    total += kernel.duration;
    const auto launch = trace.launches.find(kernel.correlation);
    Call* owner = nullptr;
    if (launch != trace.launches.end()) {
      const std::vector<std::size_t>& of_thread = by_thread[launch->second.thread];
      const auto after =
          std::upper_bound(of_thread.begin(), of_thread.end(), launch->second.start,
                           [&](double date, std::size_t i) { return date < calls[i].event.start; });
      if (after != of_thread.begin()) owner = &calls[*std::prev(after)];
      if (owner != nullptr && launch->second.start > owner->event.end()) owner = nullptr;
    }
    if (owner != nullptr && owner->kind != OpKind::input)
      owner->gpu_us += kernel.duration;
    else
      unmatched += kernel.duration;
  }
  return total > 0 ? unmatched / total : 0;
}

struct Window {
  double from, to;
};

std::vector<Window> windows_of(const Trace& trace) {
  std::vector<Window> windows;
  for (const Event& step : trace.steps) windows.push_back({step.start, step.end()});
  if (windows.empty()) windows.push_back({-INFINITY, INFINITY});
  return windows;
}

// Seconds of the model's operations of one kind in one step; nothing if the calls do not fit.
std::optional<std::vector<double>> seconds_of(const std::vector<Call>& calls, const Window& window,
                                              OpKind kind, bool backward, std::size_t expected,
                                              std::size_t& found) {
  std::vector<double> seconds;
  for (const Call& call : calls)
    if (call.kind == kind && call.backward == backward && call.event.start >= window.from &&
        call.event.start < window.to)
      seconds.push_back(call.gpu_us * 1e-6);
  found = seconds.size();
  // Cross-entropy runs two nodes backward, log-softmax and its loss.
  if (kind == OpKind::softmax_loss && backward && found == 2 * expected) {
    for (std::size_t i = 0; i < expected; ++i) seconds[i] = seconds[2 * i] + seconds[2 * i + 1];
    seconds.resize(expected);
  }
  if (seconds.size() != expected) return {};
  if (backward) std::reverse(seconds.begin(), seconds.end());
  return seconds;
}

Timing timing_of(const std::vector<double>& samples) {
  if (samples.empty()) return {};
  const Quartiles q = quartiles(samples);
  if (samples.size() < 4) return {q.median, {}, {}};
  return {q.median, q.p25, q.p75};
}

}  // namespace

Profile parse_trace(std::string_view text, const std::string& name, const Model& model,
                    const ImportOptions& options) {
  const Trace trace = read_trace(parse_json(text, name), name);
  std::vector<Call> calls = outermost_calls(trace);
  const double unmatched = book_kernels(trace, calls);

  std::map<OpKind, std::vector<std::size_t>> of_kind;  // the model's, in forward order
  for (const std::size_t i : timed_operations(model))
    of_kind[model.operations()[i].kind].push_back(i);
  const std::size_t count = model.operations().size();
  std::vector<std::vector<double>> forward(count), backward(count);
  Json left_out = Json::array();
  const std::vector<Window> windows = windows_of(trace);
  for (const auto& [kind, operations] : of_kind) {
    const bool has_parameters = !model.operations()[operations[0]].parameters.empty();
    for (const bool back : {false, true}) {
      std::vector<std::size_t> wanted = operations;
      if (back)
        std::erase_if(wanted, [&](std::size_t i) { return !model.operations()[i].needs_gradient; });
      bool fits = false;
      std::size_t found = 0;
      for (const Window& window : windows) {
        const auto seconds = seconds_of(calls, window, kind, back, wanted.size(), found);
        if (!seconds) continue;
        fits = true;
        for (std::size_t i = 0; i < wanted.size(); ++i)
          (back ? backward : forward)[wanted[i]].push_back((*seconds)[i]);
      }
      if (fits || wanted.empty()) continue;
      if (has_parameters)
        refuse(name,
               fmt::format("the trace has {} {} calls of {} per step, model '{}' has {}: it is "
                           "of another model, or not of whole steps",
                           found, back ? "backward" : "forward", to_string(kind), model.name(),
                           wanted.size()));
      left_out.push_back(fmt::format("{} {}", to_string(kind), back ? "backward" : "forward"));
    }
  }
  BatchTimes times;
  for (const std::size_t i : timed_operations(model))
    times.layers.push_back(
        {model.operations()[i].name, timing_of(forward[i]), timing_of(backward[i]), {}});
  Profile profile = imported_profile(model, options, std::move(times));
  profile.description = fmt::format(
      "imported from a PyTorch trace of {} steps, matched by kind and order, {:.0f} % of the GPU "
      "time in other calls",
      windows.size(), 100 * unmatched);
  profile.metadata = {{"steps", windows.size()},
                      {"unmatched_share", unmatched},
                      {"kinds_left_at_0_s", std::move(left_out)}};
  return profile;
}

Profile import_trace(const std::filesystem::path& file, const Model& model,
                     const ImportOptions& options) {
  return parse_trace(read_text(file), file.string(), model, options);
}

}  // namespace paceline
