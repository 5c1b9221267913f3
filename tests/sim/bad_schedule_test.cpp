// Schedules that cannot work are the user's input: one message that says who and what.
#include <gmock/gmock.h>

#include "base/error.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal(std::size_t workers, const std::function<Program(Worker&)>& program,
                    Fidelity fidelity = Fidelity::closed) {
  const ModelShape model = uniform_model(3, 1000, 1e-3, 1e-3);
  try {
    run(build(star_spec(workers)), {make_job(model, first_gpus(workers), 2, program)}, fidelity);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

Program one_stays_away(Worker& w) {
  for ([[maybe_unused]] const Step step : w.steps()) {
    const Tensor gradient = co_await w.backward(2);
    if (w.rank() != 2) {
      co_await w.all_reduce_mean(gradient);
    }
  }
}

TEST(Deadlock, NamesTheCollectiveAndTheWorkerItWaitsFor) {
  EXPECT_THAT(refusal(4, one_stays_away),
              AllOf(HasSubstr("schedule 'test' deadlocks"), HasSubstr("all-reduce of t2"),
                    HasSubstr("waits for worker 2"), HasSubstr("worker 0")));
}

TEST(Deadlock, IsFoundAtFlowFidelityToo) {
  EXPECT_THAT(refusal(4, one_stays_away, Fidelity::flow),
              AllOf(HasSubstr("deadlocks"), HasSubstr("waits for worker 2")));
}

// Worker 0 waits for the barrier before it takes part in the all-reduce that the others wait for
// before they come to the barrier: same order of calls, but one of them never comes.
Program waits_for_what_comes_later(Worker& w) {
  if (w.rank() == 0) {
    co_await w.barrier();
  }
  co_await w.delay(1e-3);
  if (w.rank() != 0) {
    co_await w.spawn([](Worker& other) -> Program { co_await other.barrier(); }(w));
  }
  if (w.rank() == 1) {
    co_await w.barrier();
  }
}

TEST(Deadlock, NamesABarrierThatNotEverybodyReaches) {
  EXPECT_THAT(refusal(3, waits_for_what_comes_later),
              AllOf(HasSubstr("deadlocks"), HasSubstr("barrier"), HasSubstr("waits for worker 0")));
}

Program rank_dependent_order(Worker& w) {
  const TensorId first = w.rank() == 1 ? 0 : 1, second = w.rank() == 1 ? 1 : 0;
  w.forward();
  co_await w.backward();
  co_await w.all_reduce_mean(w.gradient({first, first}));
  co_await w.all_reduce_mean(w.gradient({second, second}));
}

Program awaits_nothing(Worker&) {
  const Pending<Tensor> never_called;
  const Tensor mean = co_await never_called;
}
Program sizes_of_nothing(Worker&) {
  const Pending<Tensor> never_called;
  (void)never_called.elements();
  co_return;
}

TEST(EmptyPending, HasNoValueAndNoSize) {
  for (Program (*program)(Worker&) : {awaits_nothing, sizes_of_nothing}) {
    const JobSpec job = make_job(uniform_model(1, 10, 0, 0), first_gpus(2), 1, program);
    EXPECT_THROW(run(build(star_spec(2)), {job}, Fidelity::closed), std::logic_error);
  }
}

TEST(Mismatch, NamesBothCollectivesAndBothWorkers) {
  EXPECT_THAT(
      refusal(3, rank_dependent_order),
      AllOf(HasSubstr("different order"), HasSubstr("all-reduce of t1"), HasSubstr("on worker 0"),
            HasSubstr("all-reduce of t0"), HasSubstr("on worker 1")));
}

Program rank_dependent_size(Worker& w) {
  co_await w.all_reduce_mean(w.zeros(w.rank() == 2 ? 2000 : 1000));
}

TEST(Mismatch, IsAlsoADifferentSize) {
  EXPECT_THAT(
      refusal(3, rank_dependent_size),
      AllOf(HasSubstr("1000 elements"), HasSubstr("2000 elements"), HasSubstr("on worker 2")));
}

Program rank_dependent_kind(Worker& w) {
  if (w.rank() == 0) {
    co_await w.barrier();
  } else {
    co_await w.all_reduce_mean(w.zeros(1000));
  }
}

TEST(Mismatch, IsAlsoADifferentKind) {
  EXPECT_THAT(refusal(2, rank_dependent_kind),
              AllOf(HasSubstr("barrier"), HasSubstr("all-reduce")));
}

}  // namespace
}  // namespace paceline
