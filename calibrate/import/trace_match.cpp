#include "calibrate/import/trace_match.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "calibrate/analytic/analytic.hpp"

namespace paceline {

void refuse_trace(const std::string& file, const std::string& why) {
  throw InputError(fmt::format("{}: {}", file, why));
}

namespace {

Timing timing_of(const std::vector<double>& samples) {
  if (samples.empty()) return {};
  const Quartiles q = quartiles(samples);
  if (samples.size() < 4) return {q.median, {}, {}};
  return {q.median, q.p25, q.p75};
}

}  // namespace

Matcher::Matcher(const std::string& file, const Model& model, const std::vector<Call>& calls,
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

std::map<Matcher::Kind, std::vector<std::vector<const Call*>>> Matcher::calls_by_kind(
    const std::vector<Call>& calls, const Windows& windows) {
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

std::optional<std::vector<double>> Matcher::seconds_of(const Demand& demand,
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
      refuse_trace(file_,
                   fmt::format("the trace has {} {} calls of {} per step, model '{}' has {}: it is "
                               "of another model, or not of whole steps",
                               calls_of(demand.kind, 0).size(), pass_of(demand.kind),
                               to_string(demand.kind.first), model_.name(), demand.groups.size()));
  }
  if (matched() == 0)
    refuse_trace(file_,
                 fmt::format("no step of the trace has all calls of model '{}': give whole steps",
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

std::vector<LayerTimes> Matcher::layers() const {
  std::vector<LayerTimes> layers;
  for (const std::size_t i : timed_operations(model_))
    layers.push_back(
        {model_.operations()[i].name, timing_of(forward_[i]), timing_of(backward_[i]), {}});
  return layers;
}

double Matcher::other_share(const GpuTime& time) const {
  double total = time.without_launch, used = 0;
  for (std::size_t w = 0; w < matched_.size(); ++w)
    if (matched_[w]) total += time.of_window[w], used += used_[w];
  return total > 0 ? std::max(0.0, 1 - used / total) : 0;
}

}  // namespace paceline
