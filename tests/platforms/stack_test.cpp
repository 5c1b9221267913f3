#include "platforms/stack.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "platforms/stack_file.hpp"

namespace paceline {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

Json constant(Json value) {
  return {{"value", std::move(value)}, {"source", "a page"}, {"uncertainty", 0.2}};
}

Json file(Json constants) {
  return {{"format", "paceline-stack-1"},
          {"name", "mine"},
          {"description", "for tests"},
          {"constants", std::move(constants)}};
}

std::string refusal(const Json& json) {
  try {
    (void)read_stack(json, "mine.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

// Every constant of the table can be written and read; nothing is lost.
TEST(StackFile, HoldsEveryConstant) {
  Json constants;
  for (const StackField& field : stack_fields())
    constants[std::string(field.key)] =
        constant(field.unit == StackUnit::duration    ? Json("12us")
                 : field.unit == StackUnit::bandwidth ? Json("3GB/s")
                 : field.unit == StackUnit::bytes     ? Json("1MiB")
                 : field.unit == StackUnit::flag      ? Json(true)
                                                      : Json(0.25));
  const Stack stack = read_stack(file(constants), "mine.json");
  EXPECT_EQ(stack.compute_per_tensor.value, 12e-6);
  EXPECT_EQ(stack.flow_bandwidth.value, 3e9);
  EXPECT_EQ(stack.step_jitter.value, 0.25);
  EXPECT_EQ(stack.step_jitter.uncertainty, 0.2);
  for (const StackField& field : stack_fields())
    EXPECT_EQ((stack.*field.constant).source, "a page") << field.key;
  EXPECT_EQ(read_stack(write_stack(stack), "again.json"), stack);
  EXPECT_FALSE(stack.adds_nothing());
}

TEST(StackFile, IdealIsNoStack) {
  EXPECT_EQ(load_stack("ideal"), Stack{});
  EXPECT_TRUE(Stack{}.adds_nothing());
}

TEST(StackFile, RefusesWithThePathAndTheNearestName) {
  EXPECT_THAT(refusal(file({{"flow_bandwith", constant("1GB/s")}})),
              AllOf(HasSubstr("mine.json: $.constants"), HasSubstr("'flow_bandwidth'")));
  EXPECT_THAT(refusal(file({{"compute_per_tensor", constant(0.1)}})),
              HasSubstr("$.constants.compute_per_tensor.value"));
  EXPECT_THAT(refusal(file({{"compute_lost_while_sending", constant(1.5)}})),
              HasSubstr("$.constants.compute_lost_while_sending.value"));
  EXPECT_THAT(refusal(file({{"compute_per_tensor", {{"value", "1us"}, {"uncertainty", 0}}}})),
              HasSubstr("source"));
  EXPECT_THAT(refusal(file({{"compute_per_tensor",
                             {{"value", "1us"}, {"source", ""}, {"uncertainty", 0}}}})),
              HasSubstr("$.constants.compute_per_tensor.source"));
  EXPECT_THAT(refusal({{"format", "paceline-cluster-1"}}), HasSubstr("$.format"));
  EXPECT_THAT([] { (void)load_stack("ideel"); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("'ideal'")));
}

TEST(StackFile, ShippedOnesStateTheirSources) {
  EXPECT_THAT(shipped_stacks(), Contains("ideal"));
  for (const std::string& name : shipped_stacks()) {
    const Stack stack = load_stack(name);
    EXPECT_EQ(stack.name, name);
    EXPECT_FALSE(stack.description.empty()) << name;
    EXPECT_EQ(read_stack(write_stack(stack), name), stack);
  }
}

TEST(StackFile, OverridesAreConstantsOfTheirOwn) {
  const Stack stack = load_stack("ideal", {"flow_bandwidth=20Gbps", "step_jitter=0.05"});
  EXPECT_EQ(stack.flow_bandwidth.value, 2.5e9);
  EXPECT_EQ(stack.name, "ideal with flow_bandwidth=20Gbps, step_jitter=0.05");
  EXPECT_EQ(stack.flow_bandwidth.source, "--set stack.flow_bandwidth=20Gbps");
  EXPECT_EQ(stack.step_jitter.value, 0.05);
  EXPECT_THAT([] { (void)load_stack("ideal", {"flow_bandwith=1Gbps"}); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("'flow_bandwidth'")));
}

TEST(Stack, ItsWireIsInTheCluster) {
  ClusterSpec spec;
  spec.network.efficiency = 0.5;
  Stack stack;
  stack.port_efficiency = {0.8, "test", 0};
  stack.flow_bandwidth = {1e9, "test", 0};
  const ClusterSpec under = cluster_under(stack, spec);
  EXPECT_EQ(under.network.efficiency, 0.4);
  EXPECT_EQ(under.network.flow_bandwidth, 1e9);
  EXPECT_EQ(cluster_under(Stack{}, spec), spec);
}

}  // namespace
}  // namespace paceline
