// Streaming DiLoCo: the layers are cut into fragments; each synchronises every H steps at an offset
// of its own, in few bits, and its result is merged tau inner steps after it left.
// Douillard et al., arXiv 2501.18512.

#include <fmt/format.h>

#include "algorithms/buckets.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

struct StreamingOptions {
  std::int64_t period = 100;   // H
  std::int64_t fragments = 3;  // at most
  std::int64_t overlap = 5;    // tau, inner steps
  double mixing = 0.5;         // alpha: share of the local values in a merge
  double rate = 0.4, momentum = 0.9;
  double bits = 4;
};

struct Fragment {
  Tensor anchor, velocity;
  Pending<Tensor> delta;
  std::int64_t offset = 0, sent_at = -1;  // in inner steps done
};

Program streaming_diloco(Worker& w, StreamingOptions o, std::vector<Bucket> cuts) {
  std::vector<Fragment> fragments;
  for (const Bucket& bucket : cuts) {
    Fragment f;
    f.anchor = w.parameters(bucket.range).copy();
    f.velocity = w.zeros(f.anchor.elements(), f.anchor.offset());
    f.offset = std::ssize(fragments) * o.period / std::ssize(cuts);
    fragments.push_back(f);
  }
  for (const Step step : w.steps()) {
    co_await w.local_step(step);
    const std::int64_t done = step.index + 1;
    for (Fragment& f : fragments) {
      const auto local = [&] {
        return w.parameters().slice(f.anchor.offset(), f.anchor.elements());
      };
      if (done > f.offset && (done - f.offset) % o.period == 0) {
        Tensor moved = f.anchor - local();
        if (o.bits < 32) moved = w.apply(kernels::PowerOfTwoQuantize{o.bits}, moved);
        f.delta = w.all_reduce_mean(moved, SendOptions(o.bits));
        f.sent_at = done;
      }
      if (f.sent_at >= 0 && done == f.sent_at + o.overlap) {
        Tensor delta = co_await f.delta;
        f.velocity = w.combine(o.momentum, f.velocity, 1, delta);
        f.anchor = w.combine(1, f.anchor, -o.rate, w.combine(1, delta, o.momentum, f.velocity));
        const Tensor merged = w.combine(o.mixing, local(), 1 - o.mixing, f.anchor);
        co_await w.finished(merged);
        w.set_parameters(merged);
      }
    }
  }
}

std::vector<PaperBound> streaming_bounds(const BoundInputs& in, const StreamingOptions& o) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes() * o.bits / 32);
  const auto h = static_cast<double>(o.period);
  return {
      linear_speedup("definition: communication is free", c),
      time_bound("fragments hidden", "max(c, m_bits / H)",
                 "Streaming DiLoCo with enough overlap; m_bits: the model in few bits [derived]",
                 std::max(c, m / h))};
}

Schedule make_streaming(ObjectReader& options, const ScheduleContext& context) {
  StreamingOptions o;
  o.period = options.integer_or("period", 100, 2);
  o.fragments =
      options.integer_or("fragments", std::min<std::int64_t>(3, std::ssize(context.model->tensors)),
                         1, std::min<std::int64_t>(o.period, std::ssize(context.model->tensors)));
  o.overlap =
      options.integer_or("overlap", std::min<std::int64_t>(5, o.period - 1), 0, o.period - 1);
  o.mixing = options.number("mixing", 0, 1, 0.5);
  o.rate = options.number("outer_rate", 0, 10, 0.4);
  o.momentum = options.number("outer_momentum", 0, 1, 0.9);
  o.bits = options.number("bits", 2, 32, 4);
  options.finish();
  // A layer is not cut: where one is larger than its share there are fewer fragments.
  const double size =
      static_cast<double>(context.model->elements) / static_cast<double>(o.fragments);
  const std::vector<Bucket> cuts = buckets_by_size(*context.model, size, size, 1);
  const std::string asked_for =
      std::ssize(cuts) < o.fragments ? fmt::format(" ({} asked for)", o.fragments) : "";
  Schedule s;
  s.name = "streaming-diloco";
  s.description = fmt::format("{} fragments{} every {} steps, merged {} steps later, {} bits",
                              cuts.size(), asked_for, o.period, o.overlap, o.bits);
  s.worker = [o, cuts](Worker& w) { return streaming_diloco(w, o, cuts); };
  s.bounds = [o](const BoundInputs& in) { return streaming_bounds(in, o); };
  s.cycle = o.period;
  s.warm_up = 2 * o.period;  // until every fragment has been merged once
  s.rounds_formula = fmt::format("{} T/{} messages of a fragment [paper]", cuts.size(), o.period);
  s.extra_copies = 2;  // anchors and outer velocities
  return s;
}

}  // namespace

extern const ScheduleEntry streaming_diloco_entry{
    "streaming-diloco", "Streaming DiLoCo: fragments in few bits, overlapped",
    "Douillard et al., arXiv 2501.18512",
    "period: H (100); fragments (3); overlap: tau, steps (5); mixing: alpha (0.5); outer_rate "
    "(0.4); outer_momentum (0.9); bits (4)",
    make_streaming};

}  // namespace paceline
