// A gradient that is not a number reaches the model of every schedule, however that compresses,
// averages or delays: a run that has broken says so.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "tests/algorithms/quadratics.hpp"

namespace paceline {
namespace {

using namespace simulated;

// Such that what is computed in one step is exchanged within the run.
Json options_of(const std::string& name) {
  if (name == "stl-sgd") return {{"period", 2}, {"first_stage", 6}};
  if (name == "streaming-diloco") return {{"period", 4}, {"fragments", 2}, {"overlap", 1}};
  if (name == "diloco" || name == "local-sgd" || name == "cocod-sgd") return {{"period", 3}};
  if (name == "1-bit-adam") return {{"freeze_step", 4}};
  if (name == "od-sgd") return {{"warm_up", 2}};
  if (name == "cd-sgd") return {{"warm_up", 2}, {"full_every", 1000}};
  if (name == "dc-asgd") return {{"adaptive", true}};
  if (name == "slgs-sgd" || name == "lags-sgd" || name == "gtop-k" || name == "dgc" ||
      name == "cltk")
    return {{"density", 0.1}};
  return Json::object();
}

void expect_reported(const std::string& name, const Json& options, const Fault& fault) {
  const ModelShape model = small_model();
  Problem problem = Problem::random(static_cast<std::size_t>(model.elements));
  const JobResult sound =
      train(name, options, 24, model, std::make_shared<Quadratics>(problem, model));
  EXPECT_LT(sound.training.diverged_step, 0) << name << " breaks without a fault";
  problem.fault = fault;
  const auto engine = std::make_shared<Quadratics>(problem, model);
  const JobResult broken = train(name, options, 24, model, engine);
  const std::string where = fault.element ? std::to_string(*fault.element) : "every element";
  EXPECT_GT(broken.training.diverged_step, fault.step) << name << ": NaN in " << where;
  EXPECT_TRUE(
      std::any_of(engine->last.begin(), engine->last.end(), [](double x) { return std::isnan(x); }))
      << name << " " << options << ": the model has lost the NaN in " << where;
}

TEST(NotANumber, IsReportedByEverySchedule) {
  for (const ScheduleEntry& entry : schedules())
    for (const std::optional<std::size_t> element :
         {std::optional<std::size_t>(3), std::optional<std::size_t>(50),  // a matrix, a vector
          std::optional<std::size_t>()})
      expect_reported(entry.name, options_of(entry.name), {1, 7, element});
}

TEST(NotANumber, IsSentByEverySelector) {
  for (const char* name : {"slgs-sgd", "lags-sgd", "gtop-k", "dgc"})
    for (const char* selector : {"sort", "radix_select", "dgc_sample", "gaussian_k"})
      expect_reported(name, {{"density", 0.1}, {"selector", selector}}, {0, 5, 60});
}

}  // namespace
}  // namespace paceline
