// FSDP (ZeRO-3): every worker keeps its share of each unit of layers. A unit is gathered before its forward, freed after
// it, gathered again before its backward, its gradient reduced in shares, its own share updated. Rajbhandari et al., SC
// 2020, arXiv 1910.02054; Zhao et al., VLDB 2023, arXiv 2304.11277. Values are S-SGD's to the bit.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "algorithms/buckets.hpp"
#include "algorithms/registry.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

class FsdpOptions {
 public:
  FsdpOptions() = default;
  double unit_bytes = 100.0 * 1024 * 1024;  // of fp32 parameters
  std::size_t prefetch = 1;  // units that may be gathered before the one that computes has ended
  bool reshard = true;       // false: units stay whole from forward to backward
};

// A unit's all-gather from this worker's share of it.
Pending<Tensor> gather(Worker& w, const Bucket& unit) {
  const Tensor whole = w.parameters(unit.range);
  const Share own = share_of(whole.elements(), w.rank(), w.world_size());
  return w.gather_shares(whole.slice(own.first, own.count), whole.elements(), whole.offset());
}

// One communication stream, as a process group has it; a gather that a unit waits for goes before a reduce-scatter that is
// asked for at the same date. Micro-batches before the last neither gather nor reduce (no_sync on whole units).
Program fsdp(Worker& w, FsdpOptions o) {
  std::vector<Bucket> units = buckets_by_size(w.model(), o.unit_bytes, o.unit_bytes, 4);
  std::reverse(units.begin(), units.end());  // in forward order
  const std::size_t count = units.size(), ahead = std::min(o.prefetch, count - 1);
  std::vector<Pending<Tensor>> whole(units.size()), means(units.size());
  for (const Step step : w.steps()) {
    for (std::size_t u = 0; u <= ahead; ++u) whole[u] = gather(w, units[u]);
    for (std::size_t u = 0; u < count; ++u) {
      const Tensor parameters = co_await whole[u];
      w.set_parameters(parameters);
      const Pending<> done = w.forward(units[u].range.last);
      co_await done;
      const std::size_t next = u + 1 + o.prefetch;
      if (next < count) whole[next] = gather(w, units[next]);
    }
    const auto back = [count](std::size_t i) { return count - 1 - i; };
    if (o.reshard)
      for (std::size_t i = 0; i <= ahead; ++i) whole[back(i)] = gather(w, units[back(i)]);
    for (std::size_t i = 0; i < count; ++i) {
      const Bucket& unit = units[back(i)];
      co_await whole[back(i)];
      co_await w.backward(unit.last_ready);
      const std::size_t next = i + 1 + o.prefetch;
      if (o.reshard && next < count) whole[back(next)] = gather(w, units[back(next)]);
      means[back(i)] = w.reduce_scatter_mean(w.gradient(unit.range));
    }
    co_await all(means);
    co_await w.update(means);
    if (step.index + 1 < w.step_count()) continue;
    for (std::size_t u = 0; u < count; ++u) {  // the model, whole, for whoever asks for it
      const Tensor parameters = co_await gather(w, units[u]);
      w.set_parameters(parameters);
    }
  }
}

std::vector<PaperBound> fsdp_bounds(const BoundInputs& in, const FsdpOptions& o) {
  const double wire = in.all_gather_s(in.model_bytes()) - in.all_gather_s(0);
  const double update = in.update_s / static_cast<double>(in.workers);
  const double passes = in.forward_s + in.backward_s, gathers = o.reshard ? 2 : 1;
  PaperBound serial = time_bound(
      "no overlap", fmt::format("t_f + t_b + {} AG + RS + update/N", gathers),
      "every gather and reduction exposed [derived]", passes + (gathers + 1) * wire + update);
  serial.reference = true;
  return {
      linear_speedup("definition: communication is free, and so is what the others update",
                     passes + update),
      serial,
      time_bound("everything hidden",
                 fmt::format("max(t_f, AG) + max(t_b, {}RS) + update/N", o.reshard ? "AG + " : ""),
                 "FSDP whose units are small [derived]",
                 std::max(passes, (gathers + 1) * wire) + update)};
}

// Model sizes that are whole at once: the unit that computes and those gathered ahead, the largest that meet, or all of
// them; and one unit's gradient.
double whole_units(const ModelShape& model, const FsdpOptions& o) {
  std::vector<std::int64_t> units;
  for (const Bucket& unit : buckets_by_size(model, o.unit_bytes, o.unit_bytes, 4))
    units.push_back(model.range_elements(unit.range));
  const std::size_t together = std::min(units.size(), 1 + o.prefetch);
  std::int64_t most = 0;
  for (std::size_t u = 0; u + together <= units.size(); ++u)
    most = std::max(most, std::accumulate(units.begin() + static_cast<std::ptrdiff_t>(u),
                                          units.begin() + static_cast<std::ptrdiff_t>(u + together),
                                          std::int64_t{0}));
  const std::int64_t gradient = *std::max_element(units.begin(), units.end());
  const auto all = static_cast<double>(model.elements);
  return (o.reshard ? static_cast<double>(most) / all : 1) + static_cast<double>(gradient) / all;
}

Schedule make_fsdp(ObjectReader& options, const ScheduleContext& context) {
  FsdpOptions o;
  o.unit_bytes = options.bytes("unit", o.unit_bytes);
  o.prefetch = static_cast<std::size_t>(options.integer_or("prefetch", 1, 0, 1000));
  o.reshard = options.boolean("reshard_after_forward", true);
  options.finish();
  Schedule s;
  s.name = "fsdp";
  s.description =
      fmt::format("ZeRO-3 in units of {}, {} gathered ahead{}", format_bytes(o.unit_bytes),
                  o.prefetch, o.reshard ? "" : ", kept whole from forward to backward");
  s.worker = [o](Worker& w) { return fsdp(w, o); };
  s.bounds = [o](const BoundInputs& in) { return fsdp_bounds(in, o); };
  s.wire_s = [o](const BoundInputs& in) {
    return (o.reshard ? 3 : 2) * (in.all_gather_s(in.model_bytes()) - in.all_gather_s(0));
  };
  s.rounds_formula =
      fmt::format("T (every iteration), {} S (N-1)/N bytes each [paper]", o.reshard ? 3 : 2);
  s.warm_up = 1;  // so that the gather at the end is not measured
  s.sharded.weights = s.sharded.gradient = s.sharded.optimizer = true;
  s.extra_copies = whole_units(*context.model, o);
  return s;
}

}  // namespace

extern const ScheduleEntry fsdp_entry{
    "fsdp", "FSDP, ZeRO-3: parameters gathered unit by unit",
    "Rajbhandari et al., SC 2020, arXiv 1910.02054; Zhao et al., VLDB 2023, arXiv 2304.11277",
    "unit (100MiB of fp32 parameters); prefetch: units gathered ahead (1; 0: none); "
    "reshard_after_forward (true)",
    make_fsdp};

}  // namespace paceline
