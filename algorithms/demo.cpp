// DeMo, decoupled momentum: momentum stays with its worker, but for the largest entries of its cosine transform in small
// blocks, which all gather; the weights move by the sign of their mean. Peng et al., arXiv 2411.19870 [code bloc97/DeMo].

#include <fmt/format.h>

#include "algorithms/registry.hpp"
#include "kernels/operations/dct.hpp"

namespace paceline {
namespace {

class DemoOptions {
 public:
  DemoOptions() = default;
  double decay = 0.999;
  std::size_t side = 64, top = 32;
  double index_bits = 64, value_bits = 32;
};

kernels::DctLayout layout_of(const ModelShape& model, std::size_t side) {
  std::vector<kernels::DctTensor> tensors;
  for (const ModelShape::Item& tensor : model.tensors) {
    kernels::DctTensor t;
    t.offset = static_cast<std::size_t>(tensor.offset);
    t.rows = static_cast<std::size_t>(tensor.rows);
    t.columns = static_cast<std::size_t>(tensor.elements / tensor.rows);
    t.h = kernels::block_side(t.rows, side);
    t.w = kernels::block_side(t.columns, side);
    tensors.push_back(t);
  }
  return kernels::DctLayout(std::move(tensors));
}

// d = decay d + lr g;  q = top of dct(d);  d -= idct(q);  x -= lr sign(idct(mean of the q that were sent))
Program demo(Worker& w, DemoOptions o) {
  const std::int64_t n = w.model().elements;
  const kernels::DctLayout layout = layout_of(w.model(), o.side);
  const kernels::DctTopK largest{layout, o.top};
  const kernels::DctSign sign{layout};
  const auto kept = static_cast<double>(layout.kept(o.top));
  const SendOptions values(o.value_bits * kept / static_cast<double>(n));
  const SendOptions indices(o.index_bits * kept / static_cast<double>(n));
  Tensor momentum = w.zeros(n);
  for (const Step step : w.steps()) {
    const double rate = w.learning_rate(step.index);
    w.forward();
    const Tensor gradient = co_await w.backward();
    const Tensor grown = w.combine(o.decay, momentum, rate, gradient);
    Tensor sent, mask;
    std::tie(sent, mask, momentum) = w.apply(largest, grown);
    const Pending<Tensor> where = w.gather_mean(mask, 0, indices);
    const Tensor mean = co_await w.gather_mean(sent, kept, values);
    const Tensor senders = co_await where;
    const Tensor direction = w.apply(sign, mean, senders);
    const Tensor x = w.combine(1, w.parameters(), -rate, direction);
    co_await w.finished(x);
    w.set_parameters(x);
  }
}

std::vector<PaperBound> demo_bounds(const BoundInputs& in, const DemoOptions& o) {
  const double passes = in.forward_s + in.backward_s, n = static_cast<double>(in.workers);
  const auto kept = static_cast<double>(layout_of(*in.model, o.side).kept(o.top));
  const double gathers =
      in.all_gather_s(n * kept * o.index_bits / 8) + in.all_gather_s(n * kept * o.value_bits / 8);
  return {linear_speedup("definition: communication and the optimiser are free", passes),
          time_bound("without its arithmetic", "t_f + t_b + AG(indices) + AG(values)",
                     "DeMo: nothing overlaps [derived]", passes + gathers)};
}

Schedule make_demo(ObjectReader& options, const ScheduleContext& context) {
  DemoOptions o;
  o.decay = options.number("decay", 0, 1, o.decay);
  o.side = static_cast<std::size_t>(options.integer_or("block", 64, 1, 4096));
  o.top = static_cast<std::size_t>(options.integer_or("top", 32, 1, 1 << 24));
  o.index_bits = options.number("index_bits", 1, 64, o.index_bits);
  options.finish();
  Schedule s;
  s.name = "demo";
  const double kept = static_cast<double>(layout_of(*context.model, o.side).kept(o.top));
  s.description = fmt::format(
      "the {} largest of each transformed block of {} x {}: {:.2g} % of the "
      "momentum is sent",
      o.top, o.side, o.side, 100 * kept / static_cast<double>(context.model->elements));
  s.worker = [o](Worker& w) { return demo(w, o); };
  s.bounds = [o](const BoundInputs& in) { return demo_bounds(in, o); };
  s.rounds_formula = "T (every iteration), two all-gathers [code]";
  s.extra_copies = 4;  // momentum, coefficients, mask, what comes home
  s.own_update = true;
  return s;
}

}  // namespace

extern const ScheduleEntry demo_entry{
    "demo", "DeMo: the fast components of each worker's momentum, and their sign",
    "Peng et al., arXiv 2411.19870 [code bloc97/DeMo]",
    "decay (0.999); block: side of a block (64); top: entries of each block (32); index_bits (64)",
    make_demo};

}  // namespace paceline
