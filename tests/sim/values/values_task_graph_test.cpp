// Tasks beside the clock: order, dependencies, failures, back-pressure.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "sim/values/task_graph.hpp"

namespace paceline {
namespace {

void nap(int microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

TEST(ValuesTaskGraph, AStrandRunsInOrderAlone) {
  for (const std::size_t threads : {0U, 1U, 8U}) {
    TaskGraph graph(threads);
    std::vector<Strand> strands(5, Strand(graph));
    std::vector<std::vector<int>> seen(
        strands.size());  // unguarded: one strand, one task at a time
    for (int i = 0; i < 400; ++i)
      for (std::size_t s = 0; s < strands.size(); ++s)
        strands[s].post([&own = seen[s], i] { own.push_back(i); });
    graph.wait_all();
    std::vector<int> expected(400);
    std::iota(expected.begin(), expected.end(), 0);
    for (const std::vector<int>& own : seen) EXPECT_EQ(own, expected);
  }
}

TEST(ValuesTaskGraph, ATaskWaitsForAllItsDependencies) {
  TaskGraph graph(4);
  std::vector<int> value(200, 0);
  std::vector<TaskGraph::Ref> layer, before;
  for (int l = 0; l < 20; ++l) {
    layer.clear();
    for (int i = 0; i < 10; ++i)
      layer.push_back(graph.post(
          [&value, l, i] {
            int sum = 0;
            if (l > 0)
              for (int j = 0; j < 10; ++j) sum += value[static_cast<std::size_t>(10 * (l - 1) + j)];
            nap(20 * ((i * 7 + l) % 5));
            value[static_cast<std::size_t>(10 * l + i)] = l == 0 ? 1 : sum / 10 + 1;
          },
          before));
    before = layer;
    before.push_back(nullptr);  // nothing to wait for
  }
  graph.wait_all();
  for (int l = 0; l < 20; ++l)
    for (int i = 0; i < 10; ++i) EXPECT_EQ(value[static_cast<std::size_t>(10 * l + i)], l + 1);
}

TEST(ValuesTaskGraph, StrandsRunBesideEachOther) {
  TaskGraph graph(2);
  Strand a(graph), b(graph);
  std::atomic<bool> started = false;
  a.post([&] {
    for (int i = 0; i < 20'000 && !started; ++i) nap(500);
    EXPECT_TRUE(started) << "the other strand never ran meanwhile";
  });
  b.post([&] { started = true; });
  graph.wait_all();
}

TEST(ValuesTaskGraph, HeldStrandWaitsForTheOther) {
  TaskGraph graph(4);
  Strand a(graph), b(graph);
  for (int i = 0; i < 50; ++i) {
    int data = 0;
    const TaskGraph::Ref reader = b.post([&data] {
      nap(100);
      EXPECT_EQ(data, 0);
    });
    a.hold(reader);
    a.post([&data] { data = 1; });
    graph.wait(a.last());
    EXPECT_EQ(data, 1);
  }
}

TEST(ValuesTaskGraph, WaitReturnsOnceTheTaskIsDone) {
  TaskGraph graph(2);
  int done = 0;
  const TaskGraph::Ref task = graph.post(
      [&] {
        nap(3000);
        done = 1;
      },
      {});
  graph.wait(task);
  EXPECT_EQ(done, 1);
  graph.wait(task);
  graph.wait(nullptr);
}

TEST(ValuesTaskGraph, AFailureReachesThePosterAndStopsTheRest) {
  TaskGraph graph(2);
  Strand strand(graph);
  std::atomic<int> ran = 0;
  const TaskGraph::Ref failing = strand.post([] { throw std::runtime_error("first"); });
  try {
    for (int i = 0; i < 100; ++i)
      strand.post([&ran] {
        ++ran;
        throw std::runtime_error("second");
      });
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "first");
  }
  EXPECT_THROW(graph.wait(failing), std::runtime_error);
  EXPECT_THROW(graph.wait_all(), std::runtime_error);
  EXPECT_THROW(graph.post([] {}, {}), std::runtime_error);
  graph.drain();
  EXPECT_EQ(ran, 0);
}

TEST(ValuesTaskGraph, WithoutThreadsAFailureComesOutOfPost) {
  TaskGraph graph(0);
  EXPECT_THROW(graph.post([] { throw std::runtime_error("here"); }, {}), std::runtime_error);
}

TEST(ValuesTaskGraph, ThePosterCannotRunFarAhead) {
  TaskGraph graph(1);
  Strand strand(graph);
  std::atomic<int> done = 0;
  int most = 0;
  for (int i = 0; i < 3000; ++i) {
    strand.post([&done] {
      nap(5);
      ++done;
    });
    most = std::max(most, i + 1 - done.load());
  }
  graph.wait_all();
  EXPECT_EQ(done, 3000);
  EXPECT_LE(most, 513);
}

TEST(ValuesTaskGraph, WhatATaskHoldsIsFreedWhenItIsDone) {
  TaskGraph graph(2);
  const auto data = std::make_shared<int>(7);
  std::vector<TaskGraph::Ref> kept;
  for (int i = 0; i < 100; ++i) kept.push_back(graph.post([data] {}, {}));
  graph.wait_all();
  EXPECT_EQ(data.use_count(), 1);
}

TEST(ValuesTaskGraph, AGraphWithOpenTasksIsFinishedBeforeItGoes) {
  std::atomic<int> done = 0;
  {
    TaskGraph graph(2);
    Strand strand(graph);
    for (int i = 0; i < 50; ++i)
      strand.post([&done] {
        nap(50);
        ++done;
      });
  }
  EXPECT_EQ(done, 50);
}

}  // namespace
}  // namespace paceline
