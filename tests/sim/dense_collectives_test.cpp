// Reduce-scatter, dense all-gather, broadcast, all-to-all and messages between workers: the three fidelities against the
// textbook costs.
#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "tests/sim/both_networks.hpp"
#include "tests/sim/closed_form.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

constexpr double kSizes[] = {1e3, 1e6, 1e8};

TEST(DenseCollectives, EqualTheirClosedFormsAtEveryFidelity) {
  const auto cluster = build(star_spec(33));
  std::vector<Timed> list;
  std::vector<double> expected;
  for (const std::uint32_t n : {2U, 3U, 8U, 33U}) {
    const std::vector<Endpoint> members = first_gpus(n);
    const double levels = std::ceil(std::log2(n));
    for (const double bytes : kSizes) {
      const double share = kAlpha + bytes / (n * kBandwidth);
      list.push_back({plan_reduce_scatter(n), members, bytes});
      expected.push_back((n - 1) * share);
      list.push_back({plan_all_to_all(n), members, bytes});
      expected.push_back((n - 1) * share);
      list.push_back({plan_chain_broadcast(n, n / 2, 32), members, bytes});
      expected.push_back((n - 1) * kAlpha + (n - 2 + 32.0) / 32 * bytes / kBandwidth);
      list.push_back({plan_tree_broadcast(n, n - 1), members, bytes});
      // The textbook's log2 N messages, where N is a power of two; else latencies that a rank's
      // messages have in common are paid once.
      expected.push_back(buffered_s(list.back().plan, kAlpha, bytes / kBandwidth));
      if (std::has_single_bit(n)) {
        EXPECT_TRUE(close_to(expected.back(), levels * (kAlpha + bytes / kBandwidth), 1e-12));
      }
    }
  }
  const std::vector<double> closed = collective_times(*cluster, Fidelity::closed, list);
  const std::vector<double> flow =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::flow, list); });
  const std::vector<double> step =
      on_both_networks([&] { return collective_times(*cluster, Fidelity::step, list); });
  for (std::size_t i = 0; i < list.size(); ++i) {
    SCOPED_TRACE(list[i].plan.name + " of " + std::to_string(list[i].members.size()) + ", " +
                 std::to_string(list[i].bytes) + " bytes");
    EXPECT_TRUE(close_to(closed[i], expected[i], 1e-9));
    EXPECT_TRUE(close_to(flow[i], expected[i], 1e-6));
    EXPECT_TRUE(close_to(step[i], expected[i], 1e-6));
  }
}

// A broadcast brings every rank the whole once, whoever is its root.
TEST(DenseCollectives, BroadcastsReachEveryRankOnce) {
  for (const std::uint32_t n : {1U, 2U, 5U, 8U, 13U})
    for (std::uint32_t root = 0; root < n; ++root)
      for (const Plan& plan : {plan_chain_broadcast(n, root, 4), plan_tree_broadcast(n, root)}) {
        std::vector<double> got(n, 0);
        got[root] = 1;
        for (const PlanRound& round : plan.rounds) {
          const std::vector<double> before = got;
          for (const PlanMessage& m : round.messages) {
            EXPECT_GE(before[m.from], m.share) << plan.name << " sends what it has not";
            got[m.to] += m.share;
          }
        }
        for (const double part : got) EXPECT_NEAR(part, 1, 1e-12) << plan.name << " of " << n;
      }
}

// One of each per step, one after the other; the broadcast's root changes.
Program one_of_each(Worker& w) {
  const auto n = static_cast<std::int64_t>(w.world_size());
  for (const Step step : w.steps()) {
    co_await w.local_step(step);
    const Tensor whole = w.parameters();
    const Tensor mine = co_await w.reduce_scatter_mean(whole);
    co_await w.gather_shares(mine, whole.elements(), whole.offset());
    co_await w.gather_mean(whole, 0, SendOptions(2));
    co_await w.broadcast(whole, static_cast<std::size_t>(step.index % n));
    co_await w.all_to_all(whole, SendOptions(16));
    const auto rank = static_cast<std::int64_t>(w.rank());
    w.send(static_cast<std::size_t>((rank + 2) % n), whole);
    co_await w.receive(static_cast<std::size_t>((rank + n - 2) % n), whole.elements());
  }
}

double one_of_each_s(double n, double elements) {
  const double bytes = 4 * elements;
  const auto rounds = [&](double of) { return (n - 1) * (kAlpha + of / (n * kBandwidth)); };
  const double broadcast =
      std::min((n - 1) * kAlpha + (n + 30) / 32 * bytes / kBandwidth,
               buffered_s(plan_tree_broadcast(static_cast<std::uint32_t>(n), 0), kAlpha,
                          bytes / kBandwidth));
  return 2 * rounds(bytes) + rounds(n * bytes / 16) + broadcast + rounds(bytes / 2) + kAlpha +
         bytes / kBandwidth;
}

TEST(DenseCollectives, OfASchedulesTakeTheSameTimeAtEveryFidelity) {
  for (const std::size_t n : {3U, 6U})
    for (const std::int64_t elements : {100, 100'000, 4'000'000}) {
      const ModelShape model = uniform_model(1, elements, 1e-3, 2e-3);
      const double expected =
          3e-3 + one_of_each_s(static_cast<double>(n), static_cast<double>(elements));
      for (const Fidelity fidelity :
           {Fidelity::closed, Fidelity::automatic, Fidelity::flow, Fidelity::step}) {
        const SimulationResult result =
            run(build(star_spec(n)), {make_job(model, first_gpus(n), 6, one_of_each)}, fidelity);
        EXPECT_TRUE(close_to(result.jobs.front().iteration_time_s, expected, 1e-6))
            << to_string(fidelity) << " " << n << " " << elements;
      }
    }
}

// Bytes of a worker: (N-1)/N of the buffer for each that deals out, N-1 coded blocks, its part of the broadcast (the mean
// over the workers: (N-1)/N of it), one message.
TEST(DenseCollectives, CountWhatAWorkerSends) {
  constexpr double kElements = 600'000, kBytes = 4 * kElements;
  const ModelShape model = uniform_model(1, 600'000, 1e-3, 2e-3);
  const JobResult r =
      run(build(star_spec(6)), {make_job(model, first_gpus(6), 6, one_of_each)}, Fidelity::closed)
          .jobs.front();
  const double expected = 5.0 / 6 * (2 * kBytes + kBytes + kBytes / 2) + 5 * kBytes / 16 + kBytes;
  EXPECT_TRUE(close_to(r.sent_bytes, expected, 1e-9));
  // The result and the sum over the links agree: each byte passes two links of the star.
}

// ---- messages between workers

// Messages are told apart by the order of the calls, not by when they are there.
Program two_messages(Worker& w) {
  const Tensor large = w.zeros(1'000'000), small = w.zeros(1000);
  if (w.rank() == 0) {
    w.send(1, large);
    const Pending<> last = w.send(1, small);
    co_await last;
  } else {
    const Pending<Tensor> second_first = w.receive(0, 1'000'000);
    const Pending<Tensor> second = w.receive(0, 1000);
    co_await second;
    co_await second_first;
  }
  w.step_done();
}

TEST(Messages, QueueOnTheirConnection) {
  for (const Fidelity fidelity : {Fidelity::closed, Fidelity::flow, Fidelity::step}) {
    const SimulationResult result =
        run(build(star_spec(2)),
            {make_job(uniform_model(1, 10, 0, 0), first_gpus(2), 1, two_messages)}, fidelity);
    EXPECT_TRUE(
        close_to(result.jobs.front().total_time_s, 2 * kAlpha + (4e6 + 4e3) / kBandwidth, 1e-6))
        << to_string(fidelity);
  }
}

std::string refusal(const std::function<Program(Worker&)>& program) {
  try {
    run(build(star_spec(2)), {make_job(uniform_model(1, 10, 0, 0), first_gpus(2), 1, program)},
        Fidelity::closed);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Messages, OfAnotherSizeThanAwaitedAreRefused) {
  const std::string said = refusal([](Worker& w) -> Program {
    const Tensor data = w.zeros(20);
    if (w.rank() == 0) w.send(1, data);
    if (w.rank() == 0) co_return;
    const Pending<Tensor> larger = w.receive(0, 30);
    co_await larger;
  });
  EXPECT_NE(said.find("has 20 elements where 30 are awaited"), std::string::npos) << said;
}

TEST(Messages, ThatNobodySendsAreADeadlock) {
  const std::string said = refusal([](Worker& w) -> Program {
    if (w.rank() == 1) {
      const Pending<Tensor> never = w.receive(0, 30);
      co_await never;
    }
  });
  EXPECT_NE(said.find("deadlocks"), std::string::npos) << said;
}

TEST(Messages, ToNobodyAreRefused) {
  const std::string said = refusal([](Worker& w) -> Program {
    w.send(5, w.zeros(20));
    co_return;
  });
  EXPECT_NE(said.find("worker 5"), std::string::npos) << said;
}

}  // namespace
}  // namespace paceline
