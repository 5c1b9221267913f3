// Descendants of the papers' schedules: closed forms, and for priorities a timeline of its own.

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "tests/algorithms/simulated.hpp"

namespace paceline {
namespace {

using namespace simulated;

constexpr double kTight = 1e-6;

TEST(DescendantsIdentity, OverlapLocalSgdHidesItsAnchor) {
  for (const double scale : {1e-4, 1e-2})
    for (const int tau : {1, 2, 4}) {
      const ModelShape model = random_model(60, 8, scale);
      const Star star;
      const double c = compute_s(model), m = star.all_reduce_s(model_bytes(model));
      const double round = std::max(tau * c, m);
      const JobResult r = run("overlap-local-sgd", {{"period", tau}}, model, star, 6 * tau);
      EXPECT_NEAR(r.iteration_time_s * tau, round, kTight * round);
    }
}

TEST(DescendantsIdentity, DilocoIsLocalSgdInTime) {
  const ModelShape model = random_model(61, 8);
  const Star star;
  const double round = 7 * compute_s(model) + star.all_reduce_s(model_bytes(model));
  const JobResult r = run("diloco", {{"period", 7}}, model, star, 21);
  EXPECT_NEAR(r.iteration_time_s * 7, round, kTight * round);
  EXPECT_NEAR(r.rounds, 3, 1e-9);
}

TEST(DescendantsIdentity, StlSgdAveragesRarerStageByStage) {
  const ModelShape model = random_model(62, 8);
  const Star star;
  // Stages of 12, 24, 48 steps; periods 3, 6, 12: four averages each.
  const JobResult iid = run("stl-sgd", {{"period", 3}, {"first_stage", 12}}, model, star, 84);
  EXPECT_NEAR(iid.rounds, 12, 1e-9);
  const double expected = 84 * compute_s(model) + 12 * star.all_reduce_s(model_bytes(model));
  EXPECT_NEAR(iid.total_time_s, expected, kTight * expected);
  // Growth by sqrt(2): periods 3, 4, 6 and so 4, 6, 8 averages.
  const JobResult other =
      run("stl-sgd", {{"period", 3}, {"first_stage", 12}, {"data", "non-iid"}}, model, star, 84);
  EXPECT_NEAR(other.rounds, 18, 1e-9);
}

TEST(DescendantsIdentity, StlSgdIsNeverExtrapolated) {
  const ModelShape model = random_model(62, 8);
  const Star star;
  SimulationSpec spec;
  spec.cluster = star.cluster();
  spec.jobs = {job("stl-sgd", {{"period", 20}, {"first_stage", 100}}, model, star.workers, 300)};
  const JobResult r = simulate(spec).jobs.front();
  EXPECT_EQ(r.simulated_steps, 300);
}

TEST(DescendantsIdentity, StreamingDilocoHidesItsFragments) {
  const ModelShape model = random_model(63, 12, 1e-2);
  const Star star;
  const Json options{{"period", 12}, {"fragments", 3}, {"overlap", 2}};
  const JobResult r = run("streaming-diloco", options, model, star, 60);
  const double c = compute_s(model);
  ASSERT_GT(c, star.all_reduce_s(model_bytes(model)));
  EXPECT_NEAR(r.iteration_time_s, c, kTight * c);
  // 4 bits of every element once in 12 steps, twice (N-1)/N of it on each worker's link.
  const double bytes = 2 * 3.0 / 4 * static_cast<double>(model.elements) / 2 / 12;
  EXPECT_NEAR(r.sent_bytes, bytes, 1e-6 * bytes);
}

TEST(DescendantsIdentity, StreamingDilocoWithoutOverlapPaysForEveryFragment) {
  ModelShape model = random_model(64, 4, 1e-3);
  for (std::size_t i = 0; i < 4; ++i) {  // four equal fragments
    model.tensors[i].elements = 100000;
    model.tensors[i].offset = static_cast<std::int64_t>(i) * 100000;
  }
  model.elements = 400000;
  const Star star;
  const Json options{{"period", 8}, {"fragments", 4}, {"overlap", 0}, {"bits", 32}};
  const double cycle = 8 * compute_s(model) + 4 * star.all_reduce_s(4 * 100000);
  const JobResult r = run("streaming-diloco", options, model, star, 48);
  EXPECT_NEAR(r.iteration_time_s * 8, cycle, kTight * cycle);
}

TEST(DescendantsIdentity, StreamingDilocoNamesTheFragmentsItHas) {
  ModelShape model = random_model(64, 4, 1e-3);
  model.elements = 0;
  for (const std::size_t i : {0U, 1U, 2U, 3U}) {  // two thirds of it are one layer
    model.tensors[i].elements = i == 2 ? 600000 : 100000;
    model.tensors[i].offset = model.elements;
    model.elements += model.tensors[i].elements;
  }
  const Json options{{"period", 8}, {"fragments", 3}, {"overlap", 0}, {"bits", 32}};
  const Schedule schedule = make_schedule("streaming-diloco", options, model);
  EXPECT_EQ(schedule.description.rfind("2 fragments (3 asked for)", 0), 0U) << schedule.description;
  EXPECT_EQ(schedule.rounds_formula.rfind("2 T/8", 0), 0U) << schedule.rounds_formula;
  const JobResult r = run("streaming-diloco", options, model, Star(), 48);
  EXPECT_NEAR(r.messages, 2 * 6 / 8.0, 1e-9);  // two rings over four workers in eight steps
}

TEST(DescendantsIdentity, PowerSgdSendsItsFactors) {
  ModelShape model = random_model(65, 6);
  const std::int64_t rows[] = {64, 1, 128, 1, 10, 1}, cols[] = {576, 64, 1152, 128, 512, 10};
  model.elements = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    model.tensors[i].rows = rows[i];
    model.tensors[i].elements = rows[i] * cols[i];
    model.tensors[i].offset = model.elements;
    model.elements += model.tensors[i].elements;
  }
  const Star star;
  const JobResult r = run("power-sgd", {{"rank", 4}}, model, star, 4);
  const double expected = compute_s(model) + star.all_reduce_s(4.0 * 4 * (64 + 128 + 10)) +
                          star.all_reduce_s(4.0 * (64 + 128 + 10)) +
                          star.all_reduce_s(4.0 * 4 * (576 + 1152 + 512));
  EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected);
}

TEST(DescendantsIdentity, PowerSgdSendsSmallMatricesWhole) {
  ModelShape model = random_model(66, 1);
  model.tensors[0].rows = 10;
  model.tensors[0].elements = model.elements = 90;  // factors of rank 8 would be larger
  const Star star;
  const JobResult r = run("power-sgd", {{"rank", 8}}, model, star, 4);
  const double expected = compute_s(model) + star.all_reduce_s(4 * 90) + 2 * star.all_reduce_s(0);
  EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected);
}

// Iterations of priority S-SGD, one after the other: backward makes slices; the free wire takes the
// front-most slices that are ready, up to the credit and at least one; forward of a tensor waits
// for all its slices.
double priority_iteration(const ModelShape& model, const Star& star, double slice, double credit,
                          int steps) {
  struct Message {
    std::size_t tensor;
    double ready, elements;
  };
  std::vector<double> arrival(model.tensors.size(), 0), borders{0};
  double compute = 0, wire = 0;
  for (int step = 0; step < steps; ++step) {
    for (std::size_t t = 0; t < model.tensors.size(); ++t)
      compute = std::max(compute, arrival[t]) + model.tensors[t].forward_s;
    std::vector<Message> waiting;
    for (const TensorId t : model.backward_order) {
      compute += model.tensors[t].backward_s;
      for (auto left = static_cast<double>(model.tensors[t].elements); left > 0; left -= slice)
        waiting.push_back({t, compute, std::min(left, slice)});
    }
    borders.push_back(compute);
    while (!waiting.empty()) {
      double earliest = INFINITY, together = 0;
      for (const Message& m : waiting) earliest = std::min(earliest, m.ready);
      wire = std::max(wire, earliest);
      std::vector<std::size_t> leaving;
      const double now = wire;
      while (true) {
        auto next = waiting.end();
        for (auto m = waiting.begin(); m != waiting.end(); ++m)
          if (m->ready <= now && (next == waiting.end() || m->tensor < next->tensor)) next = m;
        if (next == waiting.end()) break;
        if (!leaving.empty() && together + next->elements > credit) break;
        together += next->elements;
        leaving.push_back(next->tensor);
        waiting.erase(next);
      }
      wire += star.all_reduce_s(4 * together);
      for (const std::size_t tensor : leaving) arrival[tensor] = wire;
    }
  }
  return (borders.back() - borders[1]) / (steps - 1);  // the first forward waits for nothing
}

TEST(DescendantsIdentity, PrioritiesFollowTheirTimeline) {
  for (std::uint32_t seed = 70; seed < 80; ++seed) {
    const ModelShape model = random_model(seed, 10, seed % 2 == 0 ? 3e-5 : 3e-4);
    const Star star;
    for (const double credit : {0.0, 50000.0, 120000.0}) {
      const double expected = priority_iteration(model, star, 50000, credit, 8);
      Json options{{"slice", "200kB"}};
      if (credit > 0) options["credit"] = credit == 50000 ? "200kB" : "480kB";
      const JobResult r = run("priority-sgd", options, model, star, 8);
      EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected) << seed << ", " << credit;
    }
  }
}

TEST(DescendantsIdentity, PrioritiesHelpWhereTheFrontIsNeededFirst) {
  const ModelShape model = random_model(81, 12, 3e-4);
  const Star star;
  const double first = run("priority-sgd", {{"slice", "1MB"}}, model, star, 8).iteration_time_s;
  const double wfbp = run("s-sgd", {{"overlap", "wfbp"}}, model, star, 8).iteration_time_s;
  EXPECT_LT(first, wfbp);
}

}  // namespace
}  // namespace paceline
