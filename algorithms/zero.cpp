// ZeRO stages 1 and 2: gradients are reduced in shares, every worker updates its own share of the parameters, and the
// shares are gathered. Rajbhandari et al., SC 2020, arXiv 1910.02054. Values are S-SGD's to the bit.

#include <fmt/format.h>

#include "algorithms/buckets.hpp"
#include "algorithms/registry.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

Program zero(Worker& w, double bucket_bytes) {
  const std::vector<Bucket> buckets = buckets_by_size(w.model(), bucket_bytes, bucket_bytes, 4);
  std::vector<Pending<Tensor>> means(buckets.size()), updated(buckets.size());
  for ([[maybe_unused]] const Step step : w.steps()) {
    w.forward();
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      co_await w.backward(buckets[i].last_ready);
      means[i] = w.reduce_scatter_mean(w.gradient(buckets[i].range));
    }
    co_await all(means);
    co_await w.update(means);  // of this worker's shares
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      const Tensor whole = w.parameters(buckets[i].range);
      const Share own = share_of(whole.elements(), w.rank(), w.world_size());
      updated[i] =
          w.gather_shares(whole.slice(own.first, own.count), whole.elements(), whole.offset());
    }
    for (const Pending<Tensor>& bucket : updated) {
      const Tensor whole = co_await bucket;
      w.set_parameters(whole);
    }
  }
}

std::vector<PaperBound> zero_bounds(const BoundInputs& in) {
  const double c = in.compute_s(), half = in.all_gather_s(in.model_bytes());
  const double update = in.update_s / static_cast<double>(in.workers);
  PaperBound single =
      time_bound("no overlap", "t_f + t_b + RS + update/N + AG", "ZeRO with one bucket [derived]",
                 in.forward_s + in.backward_s + 2 * half + update);
  single.reference = true;
  return {linear_speedup("definition: communication is free, and so is what the others update",
                         c - in.update_s + update),
          single,
          time_bound("reduce-scatter hidden", "t_f + max(t_b, RS) + update/N + AG",
                     "only the gather of the parameters is exposed [derived]",
                     in.forward_s + std::max(in.backward_s, half - in.all_gather_s(0)) + update +
                         half - in.all_gather_s(0))};
}

Schedule make_zero(ObjectReader& options, const ScheduleContext&) {
  const std::int64_t stage = options.integer_or("stage", 2, 1, 2);
  const double bytes = options.bytes("bucket", 25.0 * 1024 * 1024);
  options.finish();
  Schedule s;
  s.name = "zero";
  s.description =
      fmt::format("ZeRO-{}: reduce-scatter in buckets of {}, own share updated, all-gather", stage,
                  format_bytes(bytes));
  s.worker = [bytes](Worker& w) { return zero(w, bytes); };
  s.bounds = zero_bounds;
  s.wire_s = [](const BoundInputs& in) {
    return 2 * (in.all_gather_s(in.model_bytes()) - in.all_gather_s(0));
  };
  s.rounds_formula = "T (every iteration), 2 S (N-1)/N bytes each [paper]";
  s.sharded.optimizer = true;
  s.sharded.gradient = stage == 2;
  return s;
}

}  // namespace

extern const ScheduleEntry zero_entry{
    "zero", "ZeRO-1 and ZeRO-2: every worker updates its own share",
    "Rajbhandari et al., SC 2020, arXiv 1910.02054",
    "stage: 1 | 2 (2; the same messages, 2 keeps only its share of the gradient); bucket (25MiB)",
    make_zero};

}  // namespace paceline
