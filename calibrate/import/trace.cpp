#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/text_file.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/import/import.hpp"
#include "calibrate/import/profile.hpp"
#include "calibrate/import/trace.hpp"
#include "platforms/gpus.hpp"

namespace paceline {
namespace {

struct KindNames {
  OpKind kind;
  std::vector<std::string> forward;   // aten calls
  std::vector<std::string> backward;  // autograd nodes, without the number at the end
};

const std::vector<KindNames>& kind_names() {
  static const std::vector<KindNames> names{
      {op_kind<Conv2dOp>, {"conv2d"}, {"ConvolutionBackward", "CudnnConvolutionBackward"}},
      {op_kind<DenseOp>, {"linear", "addmm"}, {"AddmmBackward", "LinearBackward", "MmBackward"}},
      {op_kind<BatchNormOp>,
       {"batch_norm"},
       {"CudnnBatchNormBackward", "NativeBatchNormBackward", "BatchNormBackward"}},
      {op_kind<LayerNormOp>, {"layer_norm"}, {"NativeLayerNormBackward"}},
      {op_kind<ReluOp>, {"relu", "relu_"}, {"ReluBackward"}},
      {op_kind<TanhOp>, {"tanh"}, {"TanhBackward"}},
      {op_kind<SigmoidOp>, {"sigmoid"}, {"SigmoidBackward"}},
      {op_kind<GeluOp>, {"gelu"}, {"GeluBackward"}},
      {op_kind<MaxPoolOp>, {"max_pool2d"}, {"MaxPool2DWithIndicesBackward", "MaxPool2DBackward"}},
      {op_kind<AvgPoolOp>, {"avg_pool2d"}, {"AvgPool2DBackward"}},
      {op_kind<GlobalAvgPoolOp>,
       {"adaptive_avg_pool2d"},
       {"AdaptiveAvgPool2DBackward", "MeanBackward"}},
      {op_kind<AddOp>, {"add", "add_"}, {"AddBackward"}},
      {op_kind<ConcatOp>, {"cat"}, {"CatBackward"}},
      {op_kind<DropoutOp>, {"dropout"}, {"NativeDropoutBackward", "FusedDropoutBackward"}},
      {op_kind<EmbeddingOp>, {"embedding"}, {"EmbeddingBackward"}},
      {op_kind<LstmOp>, {"lstm"}, {"CudnnRnnBackward"}},
      {op_kind<SoftmaxLossOp>, {"cross_entropy_loss"}, {"NllLossBackward", "LogSoftmaxBackward"}}};
  return names;
}

constexpr std::string_view kAutograd = "autograd::engine::evaluate_function: ";

constexpr double kManyOthers = 0.2;  // share of the GPU time that is worth a warning

// One operation of the framework as it ran, forward or backward.
struct Call {
  TraceEvent event;
  OpKind kind = op_kind<InputOp>;
  bool backward = false;
  bool counter = false;  // batch-norm's own count of batches, an addition of one
  double gpu_us = 0;
};

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw InputError(fmt::format("{}: {}", file, why));
}

// ---- calls and their kernels

std::optional<Call> call_of(const TraceEvent& event) {
  std::string name = event.name;
  const bool backward = name.starts_with(kAutograd);
  if (backward) {
    name.erase(0, kAutograd.size());
    while (!name.empty() && std::isdigit(static_cast<unsigned char>(name.back())) != 0)
      name.pop_back();
  } else if (name.starts_with("aten::")) {
    name.erase(0, 6);
  } else if (name.starts_with("Optimizer.")) {
    return Call{event, op_kind<InputOp>};  // hides the additions inside
  } else {
    return {};
  }
  for (const KindNames& names : kind_names()) {
    const auto& list = backward ? names.backward : names.forward;
    if (std::find(list.begin(), list.end(), name) != list.end())
      return Call{event, names.kind, backward};
  }
  return {};
}

// The calls of known kinds that lie in no other such call of their thread, in order of time.
std::vector<Call> outermost_calls(const Trace& trace) {
  std::vector<Call> calls;
  for (const TraceEvent& event : trace.operations)
    if (const auto call = call_of(event)) calls.push_back(*call);
  // Autograd nodes contain aten calls of the same kinds; a call that contains another starts first.
  std::stable_sort(calls.begin(), calls.end(), [](const Call& a, const Call& b) {
    return a.event.start != b.event.start ? a.event.start < b.event.start
                                          : a.event.duration > b.event.duration;
  });
  std::map<std::size_t, double> busy_until;
  std::map<std::size_t, std::size_t> last_of;  // call of each thread
  std::vector<Call> outermost;
  for (const Call& call : calls) {
    double& until = busy_until.try_emplace(call.event.thread, -INFINITY).first->second;
    if (call.event.start < until) continue;
    until = call.event.end();
    const auto last = last_of.find(call.event.thread);
    if (call.kind == op_kind<BatchNormOp> && last != last_of.end() &&
        outermost[last->second].event.name == "aten::add_")
      outermost[last->second].counter = true;
    last_of[call.event.thread] = outermost.size();
    outermost.push_back(call);
  }
  return outermost;
}

struct Windows {
  std::vector<TraceEvent> steps;  // empty: the whole trace is one
  [[nodiscard]] std::size_t size() const { return std::max<std::size_t>(1, steps.size()); }
  [[nodiscard]] std::optional<std::size_t> of(double date) const {
    if (steps.empty()) return 0;
    const auto after =
        std::upper_bound(steps.begin(), steps.end(), date,
                         [](double at, const TraceEvent& step) { return at < step.start; });
    if (after == steps.begin() || date >= std::prev(after)->end()) return {};
    return static_cast<std::size_t>(after - steps.begin()) - 1;
  }
};

struct GpuTime {
  std::vector<double> of_window;  // launched in it
  double without_launch = 0;
};

// Adds each kernel to the call that launched it.
GpuTime book_kernels(const Trace& trace, const Windows& windows, std::vector<Call>& calls) {
  std::map<std::size_t, std::vector<std::size_t>> by_thread;  // ascending in time
  for (std::size_t i = 0; i < calls.size(); ++i) by_thread[calls[i].event.thread].push_back(i);
  GpuTime time{std::vector<double>(windows.size(), 0.0)};
  for (const Trace::Kernel& kernel : trace.kernels) {
    const auto launch = trace.launches.find(kernel.correlation);
    if (launch == trace.launches.end()) {
      time.without_launch += kernel.duration;
      continue;
    }
    const TraceEvent& event = launch->second;
    if (const auto window = windows.of(event.start)) time.of_window[*window] += kernel.duration;
    const std::vector<std::size_t>& of_thread = by_thread[event.thread];
    const auto after =
        std::upper_bound(of_thread.begin(), of_thread.end(), event.start,
                         [&](double date, std::size_t i) { return date < calls[i].event.start; });
    if (after == of_thread.begin()) continue;
    Call& owner = calls[*std::prev(after)];
    if (event.start <= owner.event.end()) owner.gpu_us += kernel.duration;
  }
  return time;
}

// ---- calls and the model's operations

using Kind = std::pair<OpKind, bool>;  // and whether backward

// Of each kind the calls of each step, in order of time.
std::map<Kind, std::vector<std::vector<const Call*>>> calls_by_kind(const std::vector<Call>& calls,
                                                                    const Windows& windows) {
  std::map<Kind, std::vector<std::vector<const Call*>>> result;
  for (const Call& call : calls) {
    const auto window = windows.of(call.event.start);
    if (!window) continue;
    auto& of_kind = result[{call.kind, call.backward}];
    of_kind.resize(windows.size());
    of_kind[*window].push_back(&call);
  }
  return result;
}

// Each call of one kind times one group of the model's operations: one, or several LSTM layers.
struct Demand {
  Kind kind;
  bool has_parameters = false;
  std::vector<std::vector<std::size_t>> groups;  // in forward order
};

// Seconds of the groups in one step; nothing if the calls do not fit.
std::optional<std::vector<double>> seconds_of(const Demand& demand,
                                              const std::vector<const Call*>& calls) {
  const std::size_t expected = demand.groups.size();
  std::vector<double> seconds;
  for (const Call* call : calls) seconds.push_back(call->gpu_us * 1e-6);
  // Cross-entropy runs two nodes backward, log-softmax and its loss.
  if (demand.kind == Kind{op_kind<SoftmaxLossOp>, true} && calls.size() == 2 * expected) {
    for (std::size_t i = 0; i < expected; ++i) seconds[i] = seconds[2 * i] + seconds[2 * i + 1];
    seconds.resize(expected);
  }
  if (demand.kind == Kind{op_kind<AddOp>, false} && seconds.size() != expected) {
    seconds.clear();
    for (const Call* call : calls)
      if (!call->counter) seconds.push_back(call->gpu_us * 1e-6);
  }
  if (seconds.size() != expected) return {};
  if (demand.kind.second) std::reverse(seconds.begin(), seconds.end());
  return seconds;
}

class Matcher {
 public:
  Matcher(const std::string& file, const Model& model, const std::vector<Call>& calls,
          const Windows& windows)
      : file_(file),
        model_(model),
        calls_(calls_by_kind(calls, windows)),
        used_(windows.size(), 0.0),
        matched_(windows.size(), true),
        forward_(model.operations().size()),
        backward_(model.operations().size()) {
    make_demands();
    match_steps();
    for (const Demand& demand : demands_) take(demand);
  }

  [[nodiscard]] std::vector<LayerTimes> layers() const;
  [[nodiscard]] std::size_t matched() const {
    return static_cast<std::size_t>(std::count(matched_.begin(), matched_.end(), true));
  }
  // Share of the GPU time of the matched steps that is in no layer.
  [[nodiscard]] double other_share(const GpuTime& time) const {
    double total = time.without_launch, used = 0;
    for (std::size_t w = 0; w < matched_.size(); ++w)
      if (matched_[w]) total += time.of_window[w], used += used_[w];
    return total > 0 ? std::max(0.0, 1 - used / total) : 0;
  }

  Json left_at_0 = Json::array();
  std::vector<std::string> warnings;
  std::string spread;  // how LSTM calls were spread, "" if one is one layer

 private:
  void make_demands();
  std::size_t lstm_layers_per_call(std::size_t layers) const;
  void match_steps();
  void take(const Demand& demand);
  void leave_out(const Demand& demand, std::size_t found);
  [[nodiscard]] const std::vector<const Call*>& calls_of(const Kind& kind, std::size_t w) const {
    static const std::vector<const Call*> none;
    const auto found = calls_.find(kind);
    return found == calls_.end() ? none : found->second[w];
  }
  [[nodiscard]] std::string pass_of(const Kind& kind) const {
    return kind.second ? "backward" : "forward";
  }

  std::string file_;
  const Model& model_;
  std::map<Kind, std::vector<std::vector<const Call*>>> calls_;
  std::vector<Demand> demands_;
  std::vector<double> used_;                             // microseconds in layers, of each step
  std::vector<bool> matched_;                            // each step
  std::vector<std::vector<double>> forward_, backward_;  // samples of each operation
};

// How many LSTM operations of the model one call runs: nn.LSTM(num_layers=2) is one call.
std::size_t Matcher::lstm_layers_per_call(std::size_t layers) const {
  const auto found = calls_.find({op_kind<LstmOp>, false});
  if (found == calls_.end()) return 1;
  for (const auto& calls : found->second)
    if (!calls.empty())
      return layers > calls.size() && layers % calls.size() == 0 ? layers / calls.size() : 1;
  return 1;
}

void Matcher::make_demands() {
  std::map<OpKind, std::vector<std::size_t>> of_kind;  // in forward order
  for (const std::size_t i : timed_operations(model_))
    of_kind[model_.operations()[i].kind()].push_back(i);
  std::vector<bool> inside(model_.operations().size(), false);  // of one LSTM call
  std::vector<std::vector<std::size_t>> stacks;
  if (const auto lstm = of_kind.find(op_kind<LstmOp>); lstm != of_kind.end()) {
    const std::size_t per_call = lstm_layers_per_call(lstm->second.size());
    for (std::size_t i = 0; i < lstm->second.size(); i += per_call) {
      const auto first = lstm->second.begin() + static_cast<std::ptrdiff_t>(i);
      stacks.emplace_back(first, first + static_cast<std::ptrdiff_t>(per_call));
      for (std::size_t op = stacks.back().front(); op < stacks.back().back(); ++op)
        inside[op] = model_.operations()[op].is<DropoutOp>();
    }
    if (per_call > 1)
      spread = fmt::format(
          "one LSTM call of the trace is {} layers of the model, spread in "
          "proportion to their FLOPs; dropout between them is in it",
          per_call);
  }
  for (const auto& [kind, operations] : of_kind)
    for (const bool back : {false, true}) {
      Demand demand{{kind, back}, !model_.operations()[operations[0]].parameters.empty(), {}};
      for (const std::size_t i : operations)
        if (kind != op_kind<LstmOp> && !inside[i] &&
            (!back || model_.operations()[i].needs_gradient))
          demand.groups.push_back({i});
      if (kind == op_kind<LstmOp>) demand.groups = stacks;
      if (!demand.groups.empty()) demands_.push_back(std::move(demand));
    }
}

// A step is used if every kind with parameters fits.
void Matcher::match_steps() {
  for (const Demand& demand : demands_) {
    if (!demand.has_parameters) continue;
    bool fits = false;
    for (std::size_t w = 0; w < matched_.size(); ++w) {
      const bool of_step = seconds_of(demand, calls_of(demand.kind, w)).has_value();
      matched_[w] = matched_[w] && of_step;
      fits |= of_step;
    }
    if (!fits)
      refuse(file_,
             fmt::format("the trace has {} {} calls of {} per step, model '{}' has {}: it is "
                         "of another model, or not of whole steps",
                         calls_of(demand.kind, 0).size(), pass_of(demand.kind),
                         to_string(demand.kind.first), model_.name(), demand.groups.size()));
  }
  if (matched() == 0)
    refuse(file_, fmt::format("no step of the trace has all calls of model '{}': give whole steps",
                              model_.name()));
}

void Matcher::take(const Demand& demand) {
  const auto& operations = model_.operations();
  auto& samples = demand.kind.second ? backward_ : forward_;
  bool fits = false;
  std::size_t found = 0;
  for (std::size_t w = 0; w < matched_.size(); ++w) {
    if (!matched_[w]) continue;
    const auto& calls = calls_of(demand.kind, w);
    const auto seconds = seconds_of(demand, calls);
    if (!seconds) {
      found = calls.size();
      continue;
    }
    fits = true;
    for (std::size_t g = 0; g < demand.groups.size(); ++g) {
      used_[w] += (*seconds)[g] * 1e6;
      double flops = 0;
      for (const std::size_t i : demand.groups[g]) flops += operations[i].forward_flops;
      for (const std::size_t i : demand.groups[g]) {
        const auto layers = static_cast<double>(demand.groups[g].size());
        const double share = flops > 0 ? operations[i].forward_flops / flops : 1 / layers;
        samples[i].push_back((*seconds)[g] * share);
      }
    }
  }
  if (!fits) leave_out(demand, found);
}

void Matcher::leave_out(const Demand& demand, std::size_t found) {
  std::vector<std::string> names;
  for (const auto& group : demand.groups) names.push_back(model_.operations()[group[0]].name);
  const std::string kind = to_string(demand.kind.first);
  left_at_0.push_back({{"kind", kind},
                       {"pass", pass_of(demand.kind)},
                       {"calls", found},
                       {"expected", names.size()},
                       {"operations", names}});
  const std::size_t shown = std::min<std::size_t>(5, names.size());
  warnings.push_back(fmt::format(
      "{} {} left at 0 s: the trace has {} calls per step, model '{}' has {} ({}{})", kind,
      pass_of(demand.kind), found, model_.name(), names.size(),
      fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
      names.size() > shown ? ", ..." : ""));
}

Timing timing_of(const std::vector<double>& samples) {
  if (samples.empty()) return {};
  const Quartiles q = quartiles(samples);
  if (samples.size() < 4) return {q.median, {}, {}};
  return {q.median, q.p25, q.p75};
}

std::vector<LayerTimes> Matcher::layers() const {
  std::vector<LayerTimes> layers;
  for (const std::size_t i : timed_operations(model_))
    layers.push_back(
        {model_.operations()[i].name, timing_of(forward_[i]), timing_of(backward_[i]), {}});
  return layers;
}

// ---- what the trace says of itself

// Not parse_json(): its check for equal keys takes time with the square of the number of events.
Json parse_events(std::string_view text, const std::string& name) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const auto at = static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    refuse(name, fmt::format("line {}, byte {}: not JSON; is the trace cut off?",
                             1 + std::count(text.begin(), text.begin() + at, '\n'), error.byte));
  }
}

void check_gpu(const std::string& file, const Trace& trace, const std::string& device) {
  std::string recorded, given;
  try {
    recorded = find_gpu(trace.gpu).name;
    given = find_gpu(device).name;
  } catch (const InputError&) {
    return;  // not in the table: names cannot be compared
  }
  if (recorded != given)
    refuse(file, fmt::format("was recorded on '{}', not on {} (--device)", trace.gpu, given));
}

void check_times(const std::string& file, const BatchTimes& times) {
  double forward = 0, backward = 0;
  for (const LayerTimes& layer : times.layers)
    forward += layer.forward.median_s, backward += layer.backward_data.median_s;
  if (forward <= 0 || backward <= 0)
    refuse(file, fmt::format("the {} pass takes 0 s: no kernels were launched in its calls",
                             forward <= 0 ? "forward" : "backward"));
}

}  // namespace

Profile parse_trace(std::string_view text, const std::string& name, const Model& model,
                    const ImportOptions& options) {
  check_options(options);
  Trace trace = read_trace(parse_events(text, name), name);
  check_gpu(name, trace, options.device);
  std::vector<Call> calls = outermost_calls(trace);
  const Windows windows{std::move(trace.steps)};
  const GpuTime time = book_kernels(trace, windows, calls);
  Matcher matcher(name, model, calls, windows);
  BatchTimes times;
  times.layers = matcher.layers();
  check_times(name, times);
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
  profile.metadata = {{"steps", matcher.matched()},   {"steps_in_trace", windows.size()},
                      {"unmatched_share", other},     {"left_at_0_s", matcher.left_at_0},
                      {"warnings", matcher.warnings}, {"trace", trace.record}};
  if (!matcher.spread.empty()) profile.metadata["lstm"] = matcher.spread;
  return profile;
}

Profile import_trace(const std::filesystem::path& file, const Model& model,
                     const ImportOptions& options) {
  return parse_trace(read_text_file(file), file.string(), model, options);
}

}  // namespace paceline
