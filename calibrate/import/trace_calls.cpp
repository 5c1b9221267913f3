#include "calibrate/import/trace_calls.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <string>
#include <string_view>

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

}  // namespace

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

std::optional<std::size_t> Windows::of(double date) const {
  if (steps.empty()) return 0;
  const auto after =
      std::upper_bound(steps.begin(), steps.end(), date,
                       [](double at, const TraceEvent& step) { return at < step.start; });
  if (after == steps.begin() || date >= std::prev(after)->end()) return {};
  return static_cast<std::size_t>(after - steps.begin()) - 1;
}

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

}  // namespace paceline
