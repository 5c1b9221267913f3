#include "base/error.hpp"

#include <gtest/gtest.h>

namespace paceline {
namespace {

const std::vector<std::string> kKeys = {"bandwidth", "latency", "nodes", "gpus_per_node", "device"};

TEST(NearestName, FindsMisspellings) {
  EXPECT_EQ(nearest_name("bandwith", kKeys), "bandwidth");    // a letter left out
  EXPECT_EQ(nearest_name("bbandwidth", kKeys), "bandwidth");  // one too many
  EXPECT_EQ(nearest_name("latancy", kKeys), "latency");       // a wrong one
  EXPECT_EQ(nearest_name("ndoes", kKeys), "nodes");           // two swapped
  EXPECT_EQ(nearest_name("NODES", kKeys), "nodes");
  EXPECT_EQ(nearest_name("nodes", kKeys), "nodes");
}

TEST(NearestName, PrefersTheCloserOne) {
  EXPECT_EQ(nearest_name("resnet-51", {"resnet-152", "resnet-50", "resnet-18"}), "resnet-50");
  EXPECT_EQ(nearest_name("vgg-61", {"vgg-19", "vgg-16"}), "vgg-16");
}

TEST(NearestName, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("zzzzzzzz", kKeys), "");
  EXPECT_EQ(nearest_name("x", {}), "");
  EXPECT_EQ(nearest_name("", kKeys), "");
}

TEST(UnknownName, NamesTheNearestOrAllThatAreKnown) {
  EXPECT_EQ(unknown_name("key", "latnecy", kKeys),
            "unknown key 'latnecy'; did you mean 'latency'?");
  EXPECT_EQ(unknown_name("model", "transformer", {"vgg-16", "alexnet"}),
            "unknown model 'transformer'; known: vgg-16, alexnet");
}

}  // namespace
}  // namespace paceline
