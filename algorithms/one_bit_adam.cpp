// 1-bit Adam: Adam on the mean gradient until `freeze_step`; then the variance is frozen and the momentum travels as signs
// and one scale, with error feedback at both ends. Tang et al., ICML 2021, arXiv 2102.02888 [code microsoft/DeepSpeed,
// runtime/comm/nccl.py].

#include <fmt/format.h>

#include "algorithms/registry.hpp"
#include "kernels/operations/signs.hpp"

namespace paceline {
namespace {

class OneBitOptions {
 public:
  OneBitOptions() = default;
  std::int64_t freeze_step = 100;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

// Of one worker: its error, and that of the share whose means it makes.
struct Errors {
  Tensor own, share;
};

// The mean of everybody's `local`, in one bit an element out and one home, into `mean`.
Program one_bit_mean(Worker& w, Errors* errors, Tensor local, Tensor* mean) {
  const Share own = share_of(local.elements(), w.rank(), w.world_size());
  const kernels::Call average = kernels::call_of(kernels::MeanOfBlocks{w.world_size()});
  const SendOptions one_bit(1);
  Tensor sent, verdict;
  std::tie(sent, errors->own) = w.apply(kernels::SignCompress{}, local, errors->own);
  w.compressed(errors->own, sent);
  const Tensor blocks = co_await w.all_to_all(sent, one_bit);
  const Tensor averaged = w.apply(average, std::span(&blocks, 1), own.count, blocks.elements());
  std::tie(verdict, errors->share) = w.apply(kernels::SignCompress{}, averaged, errors->share);
  *mean = co_await w.gather_shares(verdict, local.elements(), 0, one_bit);
}

Program one_bit_adam(Worker& w, OneBitOptions o) {
  const std::int64_t n = w.model().elements;
  Tensor m = w.zeros(n), v = w.zeros(n);
  Errors errors;
  errors.own = w.zeros(n);
  errors.share = w.zeros(share_of(n, w.rank(), w.world_size()).count);
  for (const Step step : w.steps()) {
    w.phase(step.index < o.freeze_step ? 0 : 1);
    w.forward();
    const Tensor gradient = co_await w.backward();
    if (step.index < o.freeze_step) {
      const Tensor mean = co_await w.all_reduce_mean(gradient);
      const kernels::AdamMeans grow{o.beta1, 1 - o.beta1, o.beta2, 1 - o.beta2};
      std::tie(m, v) = w.apply(grow, mean, m, v);
    } else {
      const Tensor local = w.combine(o.beta1, m, 1 - o.beta1, gradient);
      co_await w.spawn(one_bit_mean(w, &errors, local, &m));
    }
    const kernels::AdamStep move{w.learning_rate(step.index), o.epsilon};
    const Tensor x = w.apply(move, w.parameters(), m, v);
    co_await w.finished(x);
    w.set_parameters(x);
  }
}

std::vector<PaperBound> one_bit_bounds(const BoundInputs& in) {
  const double passes = in.forward_s + in.backward_s;
  const double bits = in.all_gather_s(static_cast<double>(in.model->elements) / 8);
  return {linear_speedup("definition: communication and the optimiser are free", passes),
          time_bound("one bit out, one bit home", "t_f + t_b + 2 AG(S/32)",
                     "1-bit Adam after its warm-up [derived]", passes + 2 * bits)};
}

Schedule make_one_bit_adam(ObjectReader& options, const ScheduleContext&) {
  OneBitOptions o;
  o.freeze_step = options.integer_or("freeze_step", 100, 0);
  o.beta1 = options.number("beta1", 0, 1, o.beta1);
  o.beta2 = options.number("beta2", 0, 1, o.beta2);
  o.epsilon = options.number("epsilon", 1e-30, 1, o.epsilon);
  options.finish();
  Schedule s;
  s.name = "1-bit-adam";
  s.description = fmt::format("Adam for {} steps, then momentum in one bit under a frozen variance",
                              o.freeze_step);
  s.worker = [o](Worker& w) { return one_bit_adam(w, o); };
  s.bounds = one_bit_bounds;
  s.warm_up = o.freeze_step;
  s.rounds_formula = "T (every iteration), 2 bits an element after the warm-up [paper]";
  s.extra_copies = 4;  // mean, square, error, and what arrives
  s.own_update = true;
  return s;
}

}  // namespace

extern const ScheduleEntry one_bit_adam_entry{
    "1-bit-adam", "1-bit Adam: momentum in signs under a frozen variance",
    "Tang et al., ICML 2021, arXiv 2102.02888 [code microsoft/DeepSpeed]",
    "freeze_step: steps of Adam first (100); beta1 (0.9); beta2 (0.999); epsilon (1e-8)",
    make_one_bit_adam};

}  // namespace paceline
