// S-SGD: synchronous data-parallel SGD, the baseline of all the papers. Every iteration each worker
// computes a gradient, all take the mean, all apply the same update.

#include <fmt/format.h>

#include "algorithms/buckets.hpp"
#include "algorithms/registry.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

using BucketRule = std::function<std::vector<Bucket>(const Worker&)>;

// Wait-free back-propagation: a bucket's all-reduce leaves as soon as backward has produced its
// last gradient, while backward goes on. One bucket for the whole model is "single"; one per tensor
// is plain WFBP.
Program s_sgd(Worker& w, BucketRule rule) {
  const std::vector<Bucket> buckets = rule(w);
  std::vector<Pending<Tensor>> means(buckets.size());
  for ([[maybe_unused]] const Step step : w.steps()) {
    w.forward();
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      co_await w.backward(buckets[i].last_ready);
      means[i] = w.all_reduce_mean(w.gradient(buckets[i].range));
    }
    co_await all(means);
    co_await w.update(means);
  }
}

std::vector<PaperBound> s_sgd_bounds(const BoundInputs& in, bool overlaps) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  PaperBound single = time_bound("no overlap", "c + m",
                                 "S-SGD with one all-reduce after backward [derived]", c + m);
  single.reference = overlaps;
  return {linear_speedup("definition: communication is free", c), single,
          time_bound("perfect overlap", "max(t_f + t_b, t_f + m) + update",
                     "everything but forward hidden behind one merged all-reduce [derived]",
                     in.forward_s + std::max(in.backward_s, m) + in.update_s)};
}

Schedule make_s_sgd(ObjectReader& options, const ScheduleContext&) {
  const std::string overlap =
      options.choice("overlap", {"none", "wfbp", "mg-wfbp", "optimal", "ddp", "horovod"}, "wfbp");
  Schedule s;
  s.name = "s-sgd";
  s.bounds = [overlaps = overlap != "none"](const BoundInputs& in) {
    return s_sgd_bounds(in, overlaps);
  };
  s.wire_s = [](const BoundInputs& in) { return in.dense_wire_s(); };
  s.rounds_formula = "T (every iteration) [paper]";
  BucketRule rule;
  if (overlap == "none") {
    s.description = "one all-reduce after backward";
    rule = [](const Worker& w) { return one_bucket(w.model()); };
  } else if (overlap == "wfbp") {
    s.description = "wait-free back-propagation, one all-reduce per tensor";
    rule = [](const Worker& w) { return bucket_per_tensor(w.model()); };
  } else if (overlap == "mg-wfbp") {
    s.description = "MG-WFBP: tensors merged by the published greedy rule";
    rule = [](const Worker& w) {
      return buckets_mg_wfbp(w.model(), w.payload_bytes(),
                             [&w](double bytes) { return w.all_reduce_s(bytes); });
    };
  } else if (overlap == "optimal") {
    s.description = "tensors merged so that the last message ends as early as possible";
    rule = [](const Worker& w) {
      return buckets_optimal(w.model(), w.payload_bytes(),
                             [&w](double bytes) { return w.all_reduce_s(bytes); });
    };
  } else if (overlap == "ddp") {
    const double bytes = options.bytes("bucket", 25.0 * 1024 * 1024);
    const double first = options.bytes("first_bucket", 1024.0 * 1024);
    s.description = fmt::format("static buckets of {} (first {}), as PyTorch DDP",
                                format_bytes(bytes), format_bytes(first));
    rule = [bytes, first](const Worker& w) {
      return buckets_by_size(w.model(), bytes, first, 4);  // of the fp32 gradient, whatever is sent
    };
  } else {
    ChannelOptions& stream = s.streams.front();
    stream.coordinated = true;
    stream.fusion_bytes = options.bytes("fusion", 64.0 * 1024 * 1024);
    stream.cycle_s = options.duration("cycle", 1e-3);
    stream.negotiation_s = options.duration("negotiation", 0.0);
    s.description = fmt::format("tensor fusion up to {} every {}, as Horovod",
                                format_bytes(stream.fusion_bytes), format_duration(stream.cycle_s));
    rule = [](const Worker& w) { return bucket_per_tensor(w.model()); };
  }
  if (overlap != "horovod" && options.has("negotiation")) {
    ChannelOptions& stream = s.streams.front();
    stream.coordinated = true;
    stream.negotiation_s = options.duration("negotiation");
    s.description += fmt::format(", each negotiated for {}", format_duration(stream.negotiation_s));
  }
  options.finish();
  s.worker = [rule](Worker& w) { return s_sgd(w, rule); };
  return s;
}

}  // namespace

extern const ScheduleEntry s_sgd_entry{
    "s-sgd", "S-SGD: synchronous SGD over all-reduce",
    "wait-free back-propagation: Zhang et al. 2017 (Poseidon); "
    "MG-WFBP: Shi, Chu, Li 2019; fusion: Horovod, DDP",
    "overlap: none | wfbp | mg-wfbp | optimal | ddp | horovod (wfbp); "
    "ddp: bucket (25MiB), first_bucket (1MiB); horovod: "
    "fusion (64MiB), cycle (1ms), negotiation (0s); others: negotiation (none)",
    make_s_sgd};

}  // namespace paceline
