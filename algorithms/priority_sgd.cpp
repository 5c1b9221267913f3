// S-SGD with priorities (P3, ByteScheduler, over all-reduce): gradients leave in slices, those of
// the front layers first because the next forward pass needs them first; forward of a layer starts
// when its own slices are home. Jayarajan et al., MLSys 2019; Peng et al., SOSP 2019.

#include <fmt/format.h>

#include "algorithms/registry.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

using Slices = std::vector<Pending<Tensor>>;

Slices send(Worker& w, TensorId tensor, std::int64_t slice) {
  Slices sent;
  const Tensor gradient = w.gradient({tensor, tensor});
  for (std::int64_t at = 0; at < gradient.elements(); at += slice)
    sent.push_back(w.all_reduce_mean(gradient.slice(at, std::min(slice, gradient.elements() - at)),
                                     SendOptions(0, -static_cast<int>(tensor))));
  return sent;
}

Program priority_sgd(Worker& w, std::int64_t slice) {
  const auto tensors = static_cast<TensorId>(w.model().tensors.size());
  std::vector<Slices> arriving(tensors);
  for (const Step step : w.steps()) {
    for (TensorId t = 0; t < tensors; ++t) {
      if (step.index > 0) {
        co_await all(arriving[t]);
        w.update(arriving[t], step.index - 1);
      }
      w.forward(t);
    }
    for (const TensorId t : w.model().backward_order) {
      co_await w.backward(t);
      arriving[t] = send(w, t, slice);
    }
    if (step.index + 1 == w.step_count())
      for (const Slices& slices : arriving) {
        co_await all(slices);
        co_await w.update(slices);
      }
  }
}

std::vector<PaperBound> priority_bounds(const BoundInputs& in) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  return {linear_speedup("definition: communication is free", c),
          time_bound("perfect overlap", "max(c, m)",
                     "backward and forward both hide communication; one message's start-up "
                     "[derived]",
                     std::max(c, m))};
}

Schedule make_priority(ObjectReader& options, const ScheduleContext&) {
  const double slice = options.bytes("slice", 4e6);
  const double credit = options.bytes("credit", 0.0);
  const double negotiation = options.duration("negotiation", 0.0);
  if (slice < 4) options.fail_at("slice", "expected at least one element, 4B");
  if (credit > 0 && credit < slice)
    options.fail_at("credit", "expected 0B (one slice at a time) or at least one slice");
  options.finish();
  const auto elements = static_cast<std::int64_t>(slice / 4);
  Schedule s;
  s.name = "priority-sgd";
  s.description = fmt::format("slices of {} by priority, {}", format_bytes(slice),
                              credit > 0 ? "credit " + format_bytes(credit) : "one at a time");
  s.worker = [elements](Worker& w) { return priority_sgd(w, elements); };
  s.bounds = priority_bounds;
  s.wire_s = [](const BoundInputs& in) { return in.dense_wire_s(); };
  s.streams.front().coordinated = true;
  s.streams.front().fusion_bytes = credit;
  s.streams.front().negotiation_s = negotiation;
  s.warm_up = 1;  // its forward pass waits for nothing
  s.rounds_formula = "T (every iteration) [paper]";
  return s;
}

}  // namespace

extern const ScheduleEntry priority_sgd_entry{
    "priority-sgd", "S-SGD with priorities: front layers first, as P3 and ByteScheduler",
    "Jayarajan et al., MLSys 2019; Peng et al., SOSP 2019",
    "slice (4MB, fp32); credit: bytes that may leave together (0B: one slice); "
    "negotiation (0s)",
    make_priority};

}  // namespace paceline
