// The flat network against SimGrid, the reference.
#include "tests/sim/random_flows.hpp"

namespace paceline {
namespace {

TEST(FlatNetwork, EqualsSimGridOnRandomFlows) {
  expect_equal_engines(1, 12, 25);
}

}  // namespace
}  // namespace paceline
