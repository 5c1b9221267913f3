// The flat network against SimGrid, on many more sets than the fast test has.
#include "tests/sim/random_flows.hpp"

namespace paceline {
namespace {

TEST(FlatNetworkSlow, EqualsSimGridOnThousandsOfRandomSetsOfFlows) {
  expect_equal_engines(1000, 60, 60);
}

}  // namespace
}  // namespace paceline
