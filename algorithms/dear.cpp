// DeAR: the two halves of an all-reduce apart. A group's gradient is reduced in shares under the rest of backward, and
// gathered under the next forward, just before the group is updated and used. Zhang et al., ICDCS 2023, arXiv 2302.12445
// [code lzhangbv/dear_pytorch, dear/dopt_rsag.py]. Values are S-SGD's to the bit.

#include <fmt/format.h>

#include <algorithm>

#include "algorithms/buckets.hpp"
#include "algorithms/registry.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

struct Group {
  Bucket tensors;
  Pending<Tensor> share, mean;
};

// Of the group's mean gradient, from the share that is here.
Program gather(Worker& w, Group* group) {
  const Tensor mine = co_await group->share;
  const ModelShape& model = w.model();
  group->mean = w.gather_shares(mine, model.range_elements(group->tensors.range),
                                model.tensors[group->tensors.range.first].offset);
}

// Updates one group after the other by the gradients of `step`; with `forward` each is then run.
Program update_groups(Worker& w, std::vector<Group>* groups, std::int64_t step, bool forward) {
  std::vector<Pending<Tensor>> one(1);
  co_await w.spawn(gather(w, &groups->front()));
  for (std::size_t g = 0; g < groups->size(); ++g) {
    Group& group = (*groups)[g];
    co_await group.mean;
    if (g + 1 < groups->size()) {
      co_await w.spawn(gather(w, &(*groups)[g + 1]));
    }
    one[0] = group.mean;
    w.update(one, step);
    if (forward) w.forward(group.tensors.range.last);
  }
}

Program dear(Worker& w, double group_bytes) {
  std::vector<Group> groups;
  for (const Bucket& bucket : buckets_by_size(w.model(), group_bytes, group_bytes, 4)) {
    Group group;
    group.tensors = bucket;
    groups.push_back(group);
  }
  std::reverse(groups.begin(), groups.end());  // in forward order
  std::vector<Pending<Tensor>> shares(groups.size());
  for (const Step step : w.steps()) {
    if (step.index == 0)
      w.forward();
    else {
      co_await w.spawn(update_groups(w, &groups, step.index - 1, true));
    }
    for (std::size_t g = groups.size(); g-- > 0;) {
      co_await w.backward(groups[g].tensors.last_ready);
      shares[g] = groups[g].share = w.reduce_scatter_mean(w.gradient(groups[g].tensors.range));
    }
    co_await all(shares);
    if (step.index + 1 == w.step_count()) {
      co_await w.spawn(update_groups(w, &groups, step.index, false));
    }
  }
}

std::vector<PaperBound> dear_bounds(const BoundInputs& in) {
  const double wire = in.all_gather_s(in.model_bytes()) - in.all_gather_s(0);
  return {linear_speedup("definition: communication is free", in.compute_s()),
          time_bound("both halves hidden", "max(t_f + update, AG) + max(t_b, RS)",
                     "DeAR with small groups [derived]",
                     std::max(in.forward_s + in.update_s, wire) + std::max(in.backward_s, wire))};
}

Schedule make_dear(ObjectReader& options, const ScheduleContext&) {
  const double bytes = options.bytes("group", 25.0 * 1024 * 1024);
  options.finish();
  Schedule s;
  s.name = "dear";
  s.description = fmt::format(
      "reduce-scatter under backward, all-gather under forward, groups of {}", format_bytes(bytes));
  s.worker = [bytes](Worker& w) { return dear(w, bytes); };
  s.bounds = dear_bounds;
  s.wire_s = [](const BoundInputs& in) {
    return 2 * (in.all_gather_s(in.model_bytes()) - in.all_gather_s(0));
  };
  s.warm_up = 1;  // nothing to gather in the first forward
  s.rounds_formula = "T (every iteration) [paper]";
  return s;
}

}  // namespace

extern const ScheduleEntry dear_entry{
    "dear", "DeAR: all-reduce in two halves, under backward and under forward",
    "Zhang et al., ICDCS 2023, arXiv 2302.12445 [code lzhangbv/dear_pytorch]", "group (25MiB)",
    make_dear};

}  // namespace paceline
