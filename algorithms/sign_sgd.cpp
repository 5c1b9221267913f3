// signSGD with majority vote: gradients travel as signs, and what all apply is the sign that most workers have. Bernstein et
// al., ICML 2018, arXiv 1802.04434. Without a server: signs are dealt out, every worker counts the votes of its share, and
// the verdicts are gathered, one bit an element each way.

#include <fmt/format.h>

#include "algorithms/registry.hpp"
#include "kernels/operations/signs.hpp"

namespace paceline {
namespace {

Program sign_sgd(Worker& w) {
  const std::int64_t elements = w.model().elements;
  const Share own = share_of(elements, w.rank(), w.world_size());
  const kernels::Call vote = kernels::call_of(kernels::MajorityVote{w.world_size()});
  for ([[maybe_unused]] const Step step : w.steps()) {
    w.forward();
    const Tensor gradient = co_await w.backward();
    const Tensor signs = w.apply(kernels::Sign{}, gradient);
    const SendOptions one_bit(1);
    const Tensor votes = co_await w.all_to_all(signs, one_bit);
    const Tensor counted = w.apply(vote, std::span(&votes, 1), own.count, votes.elements());
    const Tensor verdict = co_await w.gather_shares(counted, elements, 0, one_bit);
    co_await w.update(verdict);
  }
}

double bits_s(const BoundInputs& in) {
  return in.all_gather_s(static_cast<double>(in.model->elements) / 8);
}

std::vector<PaperBound> sign_bounds(const BoundInputs& in) {
  const double c = in.compute_s();
  return {linear_speedup("definition: communication is free", c),
          time_bound("one bit out, one bit home", "c + 2 AG(S/32)",
                     "signSGD, nothing overlaps [derived]", c + 2 * bits_s(in))};
}

Schedule make_sign_sgd(ObjectReader& options, const ScheduleContext&) {
  options.finish();
  Schedule s;
  s.name = "signsgd";
  s.description = "signs of gradients, majority vote, one bit an element each way";
  s.worker = [](Worker& w) { return sign_sgd(w); };
  s.bounds = sign_bounds;
  s.wire_s = [](const BoundInputs& in) { return 2 * (bits_s(in) - in.all_gather_s(0)); };
  s.rounds_formula = "T (every iteration), 2 bits an element [paper]";
  s.extra_copies = 1;  // the verdict
  return s;
}

}  // namespace

extern const ScheduleEntry sign_sgd_entry{
    "signsgd", "signSGD with majority vote", "Bernstein et al., ICML 2018, arXiv 1802.04434",
    "none; the learning rate is the step of every weight", make_sign_sgd};

}  // namespace paceline
