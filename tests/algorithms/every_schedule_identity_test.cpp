// What holds for every schedule without parameter servers: nothing is charged on an ideal network
// but computation and the schedule's own operations, and bad options are refused by name.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/json.hpp"
#include "tests/algorithms/simulated.hpp"

namespace paceline {
namespace {

using namespace simulated;
using testing::HasSubstr;

constexpr double kTight = 1e-6;

struct Case {
  std::string name;
  Json options;          // such that the schedule communicates every step (k = 1)
  bool selects = false;  // pays one top-k over the whole gradient
  Case(std::string n, Json o, bool s = false)
      : name(std::move(n)), options(std::move(o)), selects(s) {}
};

std::vector<Case> cases() {
  const Json none = Json::object();
  return {{"s-sgd", {{"overlap", "none"}}},
          {"s-sgd", {{"overlap", "wfbp"}}},
          {"s-sgd", {{"overlap", "mg-wfbp"}}},
          {"local-sgd", {{"period", 1}}},
          {"pipe-sgd", none},
          {"cocod-sgd", {{"period", 1}}},
          {"slgs-sgd", none, true},
          {"lags-sgd", {{"threshold", "1G"}}, true},  // one group
          {"gtop-k", none, true},
          {"dgc", {{"threshold", "1G"}}, true},
          {"priority-sgd", none},
          {"power-sgd", none},
          {"overlap-local-sgd", {{"period", 1}}},
          {"stl-sgd", {{"period", 1}}},
          {"diloco", {{"period", 1}}},
          {"streaming-diloco", {{"period", 2}, {"fragments", 2}, {"overlap", 1}}},
          {"zero", none},
          {"fsdp", {{"unit", "100kB"}}},
          {"dear", {{"group", "100kB"}}},
          {"acco", none},
          {"sgp", none},
          {"sgp", {{"overlap", true}}},
          {"ad-psgd", none},
          {"vrl-sgd", {{"period", 1}}},
          {"easgd", {{"period", 1}}},
          {"slowmo", {{"period", 1}}},
          {"eager-diloco", {{"period", 1}}},
          {"sparseloco", {{"period", 1}}},
          {"signsgd", none},
          {"1-bit-adam", {{"freeze_step", 2}}},
          {"cltk", none, true},
          {"demo", none}};
}

ModelShape matrices() {
  ModelShape model = random_model(50, 8);
  for (ModelShape::Item& tensor : model.tensors) tensor.rows = 1;
  for (const std::size_t i : {1u, 4u, 6u}) {
    model.tensors[i].rows = 16;
    model.tensors[i].elements = 16 * (model.tensors[i].elements / 16);
  }
  model.elements = 0;
  for (ModelShape::Item& tensor : model.tensors) {
    tensor.offset = model.elements;
    model.elements += tensor.elements;
  }
  return model;
}

double own_cost(const Case& c, const ModelShape& model) {
  return c.selects ? top_k_s(static_cast<double>(model.elements)) : 0;
}

TEST(EverySchedule, CasesNameEveryScheduleWithoutServers) {
  std::vector<std::string> tested;
  for (const Case& c : cases()) tested.push_back(c.name);
  for (const ScheduleEntry& entry : schedules()) {
    const bool with_servers = std::string(entry.name).starts_with("ps-") || entry.name == "asgd" ||
                              entry.name == "dc-asgd" || entry.name == "od-sgd" ||
                              entry.name == "cd-sgd";
    if (!with_servers) {
      EXPECT_THAT(tested, testing::Contains(entry.name));
    }
  }
}

TEST(EverySchedule, TakesComputeAndItsOwnCostsOnAnIdealNetwork) {
  const ModelShape model = matrices();
  for (const Case& c : cases()) {
    const JobResult r = run(c.name, c.options, model, Star::ideal(8), 12);
    const double expected = compute_s(model) + own_cost(c, model);
    EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected) << c.name << " " << c.options;
    EXPECT_NEAR(r.total_time_s, 12 * expected, kTight * 12 * expected) << c.name;
  }
}

TEST(EverySchedule, IsPlainSgdOnOneWorkerWithFreeOperations) {
  const ModelShape model = matrices();
  Star alone;
  alone.workers = 1;
  for (const Case& c : cases()) {
    JobSpec spec = job(c.name, c.options, model, 1, 12);
    spec.costs = free_operations(0);
    const JobResult r = run(spec, alone.cluster());
    EXPECT_NEAR(r.total_time_s, 12 * compute_s(model), kTight * compute_s(model)) << c.name;
  }
}

TEST(EverySchedule, HasADescriptionBoundsAndRounds) {
  const ModelShape model = matrices();
  const auto costs = free_operations();
  const Star star;
  BoundInputs in;
  in.model = &model;
  in.workers = star.workers;
  in.forward_s = forward_s(model);
  in.backward_s = backward_s(model);
  in.all_reduce_s = [&](double bytes) { return star.all_reduce_s(bytes); };
  in.all_gather_s = [&](double bytes) {
    return star.all_gather_s(bytes / static_cast<double>(star.workers));
  };
  in.message_s = [&](double bytes) { return star.alpha + bytes / star.bandwidth; };
  in.select_s = [&](double n, double k, Selector s) {
    return costs->top_k(n, k, static_cast<Selector>(s));
  };
  in.selector = Selector::torch_legacy;
  for (const Case& c : cases()) {
    const Schedule s = make_schedule(c.name, c.options, model);
    EXPECT_EQ(s.name, c.name);
    EXPECT_FALSE(s.description.empty()) << c.name;
    EXPECT_FALSE(s.rounds_formula.empty()) << c.name;
    for (const PaperBound& bound : s.bounds(in)) {
      EXPECT_THAT(bound.source,
                  testing::AnyOf(HasSubstr("[paper"), HasSubstr("[code]"), HasSubstr("[derived]"),
                                 HasSubstr("[recalled]"), HasSubstr("definition")))
          << c.name << ": " << bound.name;
      EXPECT_GT(bound.iteration_s + bound.speedup, 0) << c.name << ": " << bound.name;
      EXPECT_EQ(bound.speedup > 0, !bound.over.empty());
    }
  }
}

// ---- refusals

void expect_refused(const std::string& schedule, const Json& options, const std::string& named) {
  const ModelShape model = matrices();
  try {
    make_schedule(schedule, options, model);
    ADD_FAILURE() << schedule << " took " << options;
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr(named)) << schedule;
    EXPECT_THAT(error.what(), HasSubstr("$.schedule.options")) << schedule;
  }
}

TEST(EverySchedule, RefusesUnknownKeysWithTheNearest) {
  for (const Case& c : cases()) {
    Json options = c.options;
    options["perriod"] = 3;
    expect_refused(c.name, options, "perriod");
  }
  expect_refused("cocod-sgd", {{"perid", 3}}, "did you mean 'period'");
}

TEST(EverySchedule, RefusesPeriodsBelowOne) {
  for (const char* name : {"local-sgd", "cocod-sgd", "overlap-local-sgd", "stl-sgd", "diloco",
                           "vrl-sgd", "easgd", "slowmo", "eager-diloco", "sparseloco"})
    for (const int k : {0, -1}) expect_refused(name, {{"period", k}}, "period");
  expect_refused("cocod-sgd", {{"period", 1.5}}, "period");
}

TEST(EverySchedule, RefusesDensitiesAndRatiosThatMeanNothing) {
  for (const char* name : {"slgs-sgd", "lags-sgd", "gtop-k", "dgc"}) {
    expect_refused(name, {{"density", 1.01}}, "density");
    expect_refused(name, {{"density", 0}}, "density");
    expect_refused(name, {{"density", "adaptiv"}}, "adaptive");
    expect_refused(name, {{"ratios", {{"layer3.weigth", 10}}}}, "did you mean 'layer3.weight'");
    expect_refused(name, {{"ratios", {{"layer3.weight", 0.5}}}}, "layer3.weight");
    expect_refused(name, {{"selector", "radix"}}, "radix");
    expect_refused(name, {{"warm_up", {{"steps", 0}}}}, "steps");
    expect_refused(name, {{"warm_up", {{"steps", 2}, {"densities", {0.5, 2.0}}}}}, "densities");
  }
  expect_refused("lags-sgd", {{"density", "adaptive"}, {"ratios", {{"layer3.weight", 10}}}},
                 "ratios");
  expect_refused("lags-sgd", {{"grouping", "omgs"}, {"threshold", "1k"}}, "threshold");
  expect_refused("dgc", {{"error_feedback", "raw"}}, "error_feedback");
}

// A port passes N gradients an iteration; their latencies overlap.
TEST(EverySchedule, ServerPortHasNoLatencyInItsBound) {
  const ModelShape model = matrices();
  BoundInputs in;
  in.model = &model;
  in.workers = in.pushers = 4;
  in.servers = 2;
  in.message_s = [](double bytes) { return 100 + bytes / 1e3; };
  const double port = 4 * in.model_bytes() / (2 * 1e3);
  for (const char* name : {"ps-s-sgd", "od-sgd", "cd-sgd"}) {
    const Json none = Json::object();
    ObjectReader options(none, "test", "schedule");
    const auto bounds = find_schedule(name).make(options, {&model, 2}).bounds(in);
    ASSERT_EQ(bounds.size(), 1U);
    EXPECT_NEAR(bounds[0].iteration_s, port, 1e-9 * port) << name;
    EXPECT_THAT(bounds[0].formula, HasSubstr("max(t_f + t_b")) << name;
    EXPECT_THAT(bounds[0].formula, HasSubstr("N S / (servers B)")) << name;
  }
}

TEST(EverySchedule, RefusesServersThatAreNotThere) {
  const ModelShape model = matrices();
  for (const char* name : {"ps-s-sgd", "asgd", "dc-asgd", "od-sgd", "cd-sgd"}) {
    const Json none = Json::object();
    ObjectReader options(none, "test", "schedule");
    const ScheduleContext context{&model, 0};
    try {
      (void)find_schedule(name).make(options, context);
      ADD_FAILURE() << name << " runs without a server";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("needs a parameter server")) << name;
    }
  }
}

TEST(EverySchedule, RefusesImpossibleFragmentsSlicesAndRanks) {
  expect_refused("streaming-diloco", {{"period", 10}, {"overlap", 10}}, "overlap");
  expect_refused("streaming-diloco", {{"fragments", 9}}, "fragments");
  expect_refused("streaming-diloco", {{"bits", 1}}, "bits");
  expect_refused("priority-sgd", {{"slice", "1B"}}, "slice");
  expect_refused("priority-sgd", {{"slice", "4MB"}, {"credit", "1MB"}}, "credit");
  expect_refused("priority-sgd", {{"slice", 4}}, "slice");
  expect_refused("power-sgd", {{"rank", 0}}, "rank");
  expect_refused("overlap-local-sgd", {{"pull", 1.5}}, "pull");
}

}  // namespace
}  // namespace paceline
