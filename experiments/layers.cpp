#include "experiments/layers.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"

namespace paceline {
namespace {

using Operation = LayerLog::Operation;
using Transfer = LayerLog::Transfer;

struct Window {
  double from, until;
};

// "layer1.0.conv1.weight" -> "layer1.0.conv1".
std::string layer_of(const std::string& tensor) {
  const std::size_t dot = tensor.rfind('.');
  return dot == std::string::npos ? tensor : tensor.substr(0, dot);
}

// Operations of the last pass of a kind that began in the window: earlier micro-batches come before it.
std::vector<Operation> last_pass(const LayerLog& log, const Window& step, Activity activity,
                                 std::int64_t accumulation) {
  std::vector<Operation> pass;
  double work = 0;
  for (const Operation& operation : log.operations) {
    if (operation.activity != activity || operation.started < step.from ||
        operation.started >= step.until)
      continue;
    pass.push_back(operation);
    work += operation.work;
  }
  const double whole = work / static_cast<double>(accumulation);
  double taken = 0;
  std::size_t first = pass.size();
  while (first > 0 && taken < whole * (1 - 1e-9)) taken += pass[--first].work;
  pass.erase(pass.begin(), pass.begin() + static_cast<std::ptrdiff_t>(first));
  return pass;
}

// The date at which so much of a pass' work is done.
class PassDates {
 public:
  explicit PassDates(std::vector<Operation> pass) : pass_(std::move(pass)) {
    for (const Operation& operation : pass_) whole_ += operation.work;
  }
  [[nodiscard]] bool empty() const { return pass_.empty(); }
  [[nodiscard]] double whole() const { return whole_; }
  /// `start`: of what begins there, else of what ends.
  [[nodiscard]] double at(double work, bool start) const {
    const double slack = 1e-12 * whole_;
    double before = 0;
    for (const Operation& operation : pass_) {
      const double end = before + operation.work;
      if (start ? work < end - slack : work <= end + slack) {
        if (operation.work <= 0) return operation.started;
        const double share = std::clamp((work - before) / operation.work, 0.0, 1.0);
        return operation.started + share * (operation.ended - operation.started);
      }
      before = end;
    }
    return pass_.back().ended;
  }

 private:
  std::vector<Operation> pass_;
  double whole_ = 0;
};

// Seconds of each transfer, inside the window, in which the worker computes nothing; those that are
// under way together share them.
std::vector<double> exposed_seconds(const LayerLog& log, const Window& window) {
  std::vector<double> dates{window.from, window.until};
  const auto clamped = [&](double date) { return std::clamp(date, window.from, window.until); };
  for (const Operation& o : log.operations)
    if (o.ended > window.from && o.started < window.until)
      dates.insert(dates.end(), {clamped(o.started), clamped(o.ended)});
  for (const Transfer& t : log.transfers)
    if (t.ended > window.from && t.started < window.until)
      dates.insert(dates.end(), {clamped(t.started), clamped(t.ended)});
  std::sort(dates.begin(), dates.end());
  dates.erase(std::unique(dates.begin(), dates.end()), dates.end());
  // Operations are in order of their dates; transfers in order of their ends.
  std::vector<double> exposed(log.transfers.size(), 0);
  std::size_t operation = 0, transfer = 0;
  for (std::size_t i = 0; i + 1 < dates.size(); ++i) {
    const double from = dates[i], until = dates[i + 1];
    while (operation < log.operations.size() && log.operations[operation].ended <= from)
      ++operation;
    if (operation < log.operations.size() && log.operations[operation].started <= from) continue;
    while (transfer < log.transfers.size() && log.transfers[transfer].ended <= from) ++transfer;
    std::vector<std::size_t> on_wire;
    for (std::size_t t = transfer; t < log.transfers.size(); ++t)
      if (log.transfers[t].started <= from && log.transfers[t].ended >= until) on_wire.push_back(t);
    for (const std::size_t t : on_wire)
      exposed[t] += (until - from) / static_cast<double>(on_wire.size());
  }
  return exposed;
}

void add_transfers(const LayerLog& log, const Window& window, const ModelShape& model,
                   const std::vector<std::size_t>& layer_of_tensor, LayerTable& table) {
  const std::vector<double> exposed = exposed_seconds(log, window);
  for (std::size_t t = 0; t < log.transfers.size(); ++t) {
    const Transfer& transfer = log.transfers[t];
    const bool begins = transfer.started >= window.from && transfer.started < window.until;
    if (!begins && exposed[t] == 0) continue;
    const double elements = static_cast<double>(std::max<std::int64_t>(1, transfer.elements));
    for (std::size_t i = 0; i < model.tensors.size(); ++i) {
      const ModelShape::Item& tensor = model.tensors[i];
      const std::int64_t common =
          std::min(tensor.offset + tensor.elements, transfer.offset + transfer.elements) -
          std::max(tensor.offset, transfer.offset);
      if (common <= 0) continue;
      LayerRow& row = table.layers[layer_of_tensor[i]];
      const double share = static_cast<double>(common) / elements;
      row.exposed_s += share * exposed[t];
      if (!begins) continue;
      row.sent_bytes += share * transfer.bytes;
      const double from = transfer.started - window.from, until = transfer.ended - window.from;
      row.sent_from_s = std::min(row.sent_from_s.value_or(from), from);
      row.sent_until_s = std::max(row.sent_until_s.value_or(until), until);
    }
  }
}

void add_passes(const LayerLog& log, const Window& step, double origin, const JobSpec& spec,
                const std::vector<std::size_t>& layer_of_tensor, LayerTable& table) {
  const PassDates forward(last_pass(log, step, Activity::forward, spec.accumulation)),
      backward(last_pass(log, step, Activity::backward, spec.accumulation));
  const auto place = [&](std::optional<double>& from, std::optional<double>& until, double first,
                         double last) {
    from = std::min(from.value_or(first - origin), first - origin);
    until = std::max(until.value_or(last - origin), last - origin);
  };
  double forward_s = 0, backward_s = 0;
  for (const ModelShape::Item& tensor : spec.model.tensors) {
    forward_s += tensor.forward_s;
    backward_s += tensor.backward_s;
  }
  // What a step pays once comes before its first layer.
  const double overhead = std::min(spec.step_overhead_s, forward.whole());
  double done = 0;
  if (!forward.empty() && forward_s > 0)
    for (std::size_t i = 0; i < spec.model.tensors.size(); ++i) {
      const double scale = (forward.whole() - overhead) / forward_s;
      const double from = overhead + scale * done;
      done += spec.model.tensors[i].forward_s;
      LayerRow& row = table.layers[layer_of_tensor[i]];
      place(row.forward_from_s, row.forward_until_s, forward.at(from, true),
            forward.at(overhead + scale * done, false));
    }
  done = 0;
  if (!backward.empty() && backward_s > 0)
    for (const TensorId tensor : spec.model.backward_order) {
      const double scale = backward.whole() / backward_s;
      const double from = scale * done;
      done += spec.model.tensors[tensor].backward_s;
      LayerRow& row = table.layers[layer_of_tensor[tensor]];
      if (spec.model.tensors[tensor].backward_s == 0) continue;
      place(row.backward_from_s, row.backward_until_s, backward.at(from, true),
            backward.at(scale * done, false));
    }
}

}  // namespace

LayerTable layer_table(const LayerLog& log, const JobSpec& spec) {
  const std::int64_t cycle = std::max<std::int64_t>(1, spec.schedule.cycle);
  const std::int64_t until =
      std::min<std::int64_t>(log.measured_until, std::ssize(log.borders) - 1);
  const std::int64_t from = std::max<std::int64_t>(0, until - cycle);
  if (until <= from)
    throw InputError("--layers: no whole iteration was measured; give it more --steps");
  LayerTable table;
  table.steps = until - from;
  const auto border = [&](std::int64_t i) { return log.borders[static_cast<std::size_t>(i)]; };
  const Window window{border(from), border(until)};
  table.seconds = window.until - window.from;
  std::vector<std::size_t> layer_of_tensor;
  for (const ModelShape::Item& tensor : spec.model.tensors) {
    const std::string layer = layer_of(tensor.name);
    if (table.layers.empty() || table.layers.back().layer != layer)
      table.layers.emplace_back().layer = layer;
    table.layers.back().elements += tensor.elements;
    layer_of_tensor.push_back(table.layers.size() - 1);
  }
  add_passes(log, {window.from, border(from + 1)}, window.from, spec, layer_of_tensor, table);
  add_transfers(log, window, spec.model, layer_of_tensor, table);
  return table;
}

}  // namespace paceline
