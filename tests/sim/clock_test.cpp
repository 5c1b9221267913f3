#include "sim/time/clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>

#include "sim/time/operation.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

// Lets tests write events as closures.
class Events {
 public:
  explicit Events(Clock& clock) : clock_(clock) {}
  void at(double date, std::function<void()> then) {
    kept_.push_back(std::make_unique<std::function<void()>>(std::move(then)));
    clock_.at(
        date, [](void* self, std::uint64_t) { (*static_cast<std::function<void()>*>(self))(); },
        kept_.back().get());
  }

 private:
  Clock& clock_;
  std::vector<std::unique_ptr<std::function<void()>>> kept_;
};

TEST(ClockOrder, IsAStableSortByDate) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    Clock clock;
    Events events(clock);
    // Few dates, so that many events coincide; more than the clock caches, so that some come back.
    const int dates = std::uniform_int_distribution<int>(1, 12)(random);
    std::vector<std::pair<double, int>> expected;
    std::vector<int> fired;
    for (int i = 0; i < 300; ++i) {
      const double date = 0.1 * std::uniform_int_distribution<int>(0, dates)(random);
      expected.emplace_back(date, i);
      events.at(date, [&fired, &clock, i, date] {
        EXPECT_EQ(clock.now(), date);
        fired.push_back(i);
      });
    }
    clock.run();
    std::stable_sort(expected.begin(), expected.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    ASSERT_EQ(fired.size(), expected.size());
    for (std::size_t i = 0; i < fired.size(); ++i) ASSERT_EQ(fired[i], expected[i].second);
    EXPECT_EQ(clock.fired(), 300U);
    EXPECT_TRUE(clock.idle());
  }
}

// Against the simplest clock there is: a list, searched for its least (date, order of insertion).
TEST(ClockOrder, HoldsForEventsAddedWhileFiring) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 100; ++trial) {
    const auto seed = static_cast<unsigned>(random());
    // Event i adds up to three more, at its own date or a little later.
    const auto children = [seed](int id) {
      std::mt19937 own(seed + static_cast<unsigned>(id));
      std::vector<double> delays(own() % 4);
      for (double& delay : delays) delay = static_cast<double>(own() % 4) * 0.25;
      return delays;
    };
    constexpr int kLimit = 400;

    std::vector<int> plain;
    {
      struct Entry {
        double date;
        int id;
      };
      std::vector<Entry> list{{0, 0}, {0.5, 1}, {0, 2}};
      int next = 3;
      while (!list.empty()) {
        const auto first =
            std::min_element(list.begin(), list.end(),
                             [](const Entry& a, const Entry& b) { return a.date < b.date; });
        const Entry entry = *first;
        list.erase(first);
        plain.push_back(entry.id);
        for (const double delay : children(entry.id))
          if (next < kLimit) list.push_back({entry.date + delay, next++});
      }
    }

    std::vector<int> fired;
    Clock clock;
    Events events(clock);
    int next = 3;
    std::function<void(double, int)> add = [&](double date, int id) {
      events.at(date, [&, date, id] {
        fired.push_back(id);
        for (const double delay : children(id))
          if (next < kLimit) {
            const int child = next++;
            add(date + delay, child);
          }
      });
    };
    add(0, 0);
    add(0.5, 1);
    add(0, 2);
    clock.run();
    ASSERT_EQ(fired, plain) << "trial " << trial;
  }
}

TEST(ClockOrder, AnEventInThePastHappensNow) {
  Clock clock;
  Events events(clock);
  double seen = -1;
  events.at(1.0, [&] { events.at(1.0 - 1e-15, [&] { seen = clock.now(); }); });
  clock.run();
  EXPECT_EQ(seen, 1.0);
}

TEST(ClockOrder, StoppingLeavesTheRestUnfired) {
  Clock clock;
  Events events(clock);
  int fired = 0;
  for (int i = 0; i < 10; ++i)
    events.at(1, [&] {
      if (++fired == 4) clock.stop();
    });
  clock.run();
  EXPECT_EQ(fired, 4);
  EXPECT_TRUE(clock.stopped());
}

TEST(ClockOrder, AdvanceFiresEverythingDueAndNothingElse) {
  Clock clock;
  Events events(clock);
  std::vector<double> fired;
  for (const double date : {0.3, 0.1, 0.2, 0.4})
    events.at(date, [&, date] { fired.push_back(date); });
  clock.advance_to(0.3);
  EXPECT_EQ(fired, (std::vector<double>{0.1, 0.2, 0.3}));
  EXPECT_EQ(clock.now(), 0.3);
  EXPECT_EQ(clock.next_date(), 0.4);
}

// ---- streams and operations

struct Silent final : StreamListener {
  void operation_started(Stream&, TimedOperation&) override {}
  void operation_finished(Stream&, TimedOperation& operation) override {
    ends.emplace_back(operation.name);
  }
  std::vector<std::string> ends;
};

struct OneStream {
  Clock clock;
  OperationPool pool;
  Silent listener;
  Stream stream{clock, listener, 0};
  Events events{clock};

  boost::intrusive_ptr<TimedOperation> add(double work, const char* name = "work") {
    boost::intrusive_ptr<TimedOperation> operation = pool.make();
    operation->name = name;
    operation->work = work;
    stream.enqueue(operation);
    return operation;
  }
};

TEST(Streams, RunTheirOperationsOneAfterTheOther) {
  OneStream s;
  s.add(0.25, "a");
  s.add(0, "b");
  s.add(0.5, "c");
  s.clock.run();
  EXPECT_EQ(s.listener.ends, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(s.clock.now(), 0.75);
  EXPECT_TRUE(s.stream.idle());
  EXPECT_EQ(s.pool.live(), 0U);
}

TEST(Streams, AnOperationWaitsForWhatItReads) {
  OneStream s;
  Stream other(s.clock, s.listener, 1);
  const auto late = s.pool.make();
  late->name = "late";
  late->work = 2;
  other.enqueue(late);
  const auto reader = s.pool.make();
  reader->name = "reader";
  reader->work = 0.5;
  reader->after.push_back(CompletionRef(late));
  s.stream.enqueue(reader);
  s.add(0.25, "behind");  // FIFO: it does not overtake
  s.clock.run();
  EXPECT_EQ(s.listener.ends, (std::vector<std::string>{"late", "reader", "behind"}));
  EXPECT_EQ(s.clock.now(), 2.75);
}

// When `work` that begins at date 0 is done, by integrating the rate over (date, new rate) changes.
double integrated_end(double work, const std::vector<std::pair<double, double>>& changes) {
  double date = 0, rate = 1;
  for (const auto& [next, new_rate] : changes) {
    if (work <= (next - date) * rate) break;
    work -= (next - date) * rate;
    date = next;
    rate = new_rate;
  }
  return date + work / rate;
}

TEST(Streams, ReratingARunningOperationKeepsItsWork) {
  std::mt19937 random(9);
  for (int trial = 0; trial < 200; ++trial) {
    OneStream s;
    const double work = std::uniform_real_distribution<double>(0.5, 2)(random);
    std::vector<std::pair<double, double>> changes;
    double date = 0;
    for (int i = 0; i < 8; ++i) {
      date += std::uniform_real_distribution<double>(0, 0.4)(random);
      const double rate = i % 4 == 2 ? 0 : std::uniform_real_distribution<double>(0.1, 2)(random);
      changes.emplace_back(date, rate);
    }
    s.add(work, "rated");
    double end = -1;
    const auto after = s.add(0, "after");
    struct Watch final : Completion::Waiter {
      double* end = nullptr;
      Clock* clock = nullptr;
    } watch;
    watch.end = &end;
    watch.clock = &s.clock;
    watch.notify = [](Completion::Waiter* self) {
      auto* told = static_cast<Watch*>(self);
      *told->end = told->clock->now();
    };
    after->wait(watch);
    for (const auto& [when, rate] : changes)
      s.events.at(when, [&s, rate = rate] { s.stream.set_rate(rate); });
    s.clock.run();
    EXPECT_TRUE(close_to(end, integrated_end(work, changes), 1e-12)) << "trial " << trial;
  }
}

TEST(Pool, ReusesItsOperations) {
  OneStream s;
  std::set<const TimedOperation*> addresses;
  for (int i = 0; i < 100'000; ++i) {
    addresses.insert(s.add(1e-6).get());
    if (i % 4 == 3) s.clock.run();
  }
  s.clock.run();
  EXPECT_LE(addresses.size(), 4U);
  EXPECT_EQ(s.pool.live(), 0U);
}

// A run that is cut short (the first job has ended, `auto` starts over) leaves operations that wait
// for one another behind.
TEST(Pool, MayBeDestroyedWhileOperationsWaitForOneAnother) {
  for (const bool newest_first : {false, true}) {
    Clock clock;
    Silent listener;
    OperationPool pool;
    Stream one(clock, listener, 0), two(clock, listener, 1);
    std::vector<boost::intrusive_ptr<TimedOperation>> made;
    for (int i = 0; i < 6; ++i) made.push_back(pool.make());
    if (newest_first) std::reverse(made.begin(), made.end());
    for (std::size_t i = 0; i < made.size(); ++i) {
      made[i]->work = 1;
      if (i > 0) made[i]->after.push_back(CompletionRef(made[i - 1]));
      (i % 2 == 0 ? one : two).enqueue(made[i]);
    }
    made.clear();
    clock.advance_to(2.5);
    EXPECT_EQ(listener.ends.size(), 2U);
  }
}

// ---- programs

JobSpec two_workers(std::function<Program(Worker&)> program) {
  return make_job(uniform_model(2, 1000, 1e-3, 1e-3), first_gpus(2), 1, std::move(program));
}

Program million_delays(Worker& w) {
  for (int i = 0; i < 1'000'000; ++i) co_await w.delay(1e-6);
}

Program million_instants(Worker& w) {
  for (int i = 0; i < 1'000'000; ++i) co_await w.delay(0);
}

Program million_ready(Worker& w) {
  const Pending<> done = w.delay(0);
  co_await done;
  for (int i = 0; i < 1'000'000; ++i) co_await done;
  const Tensor nothing = w.zeros(1);
  for (int i = 0; i < 1'000'000; ++i) co_await w.finished(nothing);
}

Program empty_child(Worker& w) {
  co_await w.delay(0);
}

Program million_children(Worker& w) {
  for (int i = 0; i < 1'000'000; ++i) co_await w.spawn(empty_child(w));
}

Program nested(Worker& w, int depth) {
  if (depth > 0) {
    co_await w.spawn(nested(w, depth - 1));
  }
}

Program nest(Worker& w) {
  co_await w.spawn(nested(w, 2000));
}

TEST(Programs, WaitAMillionTimesWithoutGrowingTheStack) {
  for (const auto& program :
       {million_delays, million_instants, million_ready, million_children, nest}) {
    const SimulationResult result =
        run(build(star_spec(2)), {two_workers([&](Worker& w) { return program(w); })},
            Fidelity::closed);
    EXPECT_EQ(result.jobs[0].steps, 1);
  }
}

// One operation whose end releases a hundred thousand others in turn.
Program long_queue(Worker& w) {
  Tensor last = w.zeros(1);
  for (int i = 0; i < 100'000; ++i)
    last = w.op("link", Activity::arithmetic, std::span(&last, 1), 1, 0, {});
  co_await w.finished(last);
}

TEST(Programs, LongQueuesOfInstantOperationsDoNotGrowTheStack) {
  EXPECT_NO_THROW(run(build(star_spec(2)), {two_workers(long_queue)}, Fidelity::closed));
}

Program throws_at_once(Worker& w) {
  if (w.rank() == 1) throw std::domain_error("not this way");
  co_await w.delay(1);
}

Program throws_later(Worker& w) {
  co_await w.delay(0.5);
  if (w.rank() == 1) throw std::domain_error("not this way");
  co_await w.delay(1);
}

Program throwing_child(Worker& w) {
  co_await w.delay(0.25);
  throw std::domain_error("not this way");
}

Program throws_in_child(Worker& w) {
  co_await w.spawn(throwing_child(w));
}

TEST(Programs, ExceptionsReachTheCallerWithTheirType) {
  for (const auto& program : {throws_at_once, throws_later, throws_in_child}) {
    try {
      run(build(star_spec(2)), {two_workers([&](Worker& w) { return program(w); })},
          Fidelity::closed);
      FAIL() << "no exception";
    } catch (const std::domain_error& error) {
      EXPECT_STREQ(error.what(), "not this way");
    }
  }
}

TEST(Programs, ExceptionsReachTheCallerThroughTheFluidNetwork) {
  EXPECT_THROW(run(build(star_spec(2)), {two_workers(throws_later)}, Fidelity::flow),
               std::domain_error);
}

}  // namespace
}  // namespace paceline
