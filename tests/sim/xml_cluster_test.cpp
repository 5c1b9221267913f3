#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "platforms/cluster_file.hpp"
#include "sim/network/network.hpp"
#include "sim/network/xml_platform.hpp"
#include "tests/base/temporary_folder.hpp"

namespace paceline {
namespace {

const std::string kExample =
    std::string(PACELINE_SOURCE_DIR) + "/platforms/examples/two-sites.json";

TEST(XmlCluster, RoutesAreTheFiles) {
  const Cluster cluster = load_xml_cluster(load_cluster_spec(kExample));
  ASSERT_EQ(cluster.spec().gpu_count(), 8U);
  for (Endpoint from = 0; from < 8; ++from)
    for (Endpoint to = 0; to < 8; ++to) {
      if (from == to) continue;
      Route route;
      cluster.route(from, to, route);
      const bool across = (from < 4) != (to < 4);  // east-0..3, west-0..3
      EXPECT_EQ(route.links.size(), across ? 3U : 2U);
      EXPECT_NEAR(route.latency, across ? 5.04e-3 : 40e-6, 1e-12);
      EXPECT_NEAR(cluster.bandwidth(route), across ? 125e6 : 1.25e9, 1);
      // A GPU and its host are one machine of the file.
      Route of_hosts;
      cluster.route(cluster.host_of(cluster.node_of(from)), to, of_hosts);
      EXPECT_EQ(of_hosts.links, route.links);
    }
  Route there, back;
  cluster.route(0, 4, there);
  cluster.route(4, 0, back);
  EXPECT_EQ(there.links[1], back.links[1]);  // one line, both directions
  EXPECT_NE(there.links[0], back.links[2]);  // ports are duplex
}

TEST(XmlCluster, EfficiencyAndOverheadAreTheClusters) {
  const Cluster cluster = load_xml_cluster(
      load_cluster_spec(kExample, {"network.efficiency=0.5", "network.overhead=10us"}));
  Route route;
  cluster.route(0, 1, route);
  EXPECT_NEAR(route.latency, 50e-6, 1e-12);
  EXPECT_NEAR(cluster.bandwidth(route), 0.625e9, 1);
}

// A platform of two hosts (or what `hosts` says) as a cluster.
Cluster two_hosts(const std::string& zone, int hosts = 2) {
  const TemporaryFolder folder;
  write(folder / "p.xml",
        "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
        "<platform version=\"4.1\">" +
            zone + "</platform>");
  write(folder / "c.json", R"({"format": "paceline-cluster-1", "name": "x", "nodes": [{"count": )" +
                               std::to_string(hosts) + R"(, "gpus": 1, "gpu": "T4", "pcie": "inf"}],
            "network": {"topology": {"kind": "xml", "file": "p.xml"}}})");
  return load_xml_cluster(load_cluster_spec((folder / "c.json").string()));
}

const std::string kHosts = R"(<host id="a" speed="1Gf"/><host id="b" speed="1Gf"/>)";
const std::string kWire = R"(<link id="wire" bandwidth="125MBps" latency="50us"/>)";
const std::string kRoute = R"(<route src="a" dst="b"><link_ctn id="wire"/></route>)";

std::string zone(const std::string& inside) {
  return R"(<zone id="z" routing="Full">)" + inside + "</zone>";
}

void expect_refused(const std::string& platform, const std::string& reason) {
  try {
    (void)two_hosts(platform);
    ADD_FAILURE() << "accepted: " << platform;
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(reason)) << platform;
    EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n"))) << platform;
  }
}

TEST(XmlCluster, NamesMayHaveBlanks) {
  const Cluster plain = two_hosts(zone(
      kHosts + R"(<link id="w_1" bandwidth="125MBps" latency="50us" sharing_policy="SPLITDUPLEX"/>
      <route src="a" dst="b"><link_ctn id="w_1" direction="UP"/></route>)"));
  const Cluster blank = two_hosts(zone(
      kHosts + R"(<link id="w 1" bandwidth="125MBps" latency="50us" sharing_policy="SPLITDUPLEX"/>
      <route src="a" dst="b"><link_ctn id="w 1" direction="UP"/></route>)"));
  ASSERT_EQ(blank.links().size(), 2U);
  EXPECT_EQ(blank.links()[0].name, "w 1_UP");
  EXPECT_EQ(blank.links()[0].bandwidth, plain.links()[0].bandwidth);
  EXPECT_EQ(blank.links()[1].name, "w 1_DOWN");
  Route route;
  blank.route(0, 1, route);
  EXPECT_EQ(route.links, std::vector<LinkId>{0});
  EXPECT_NEAR(route.latency, 50e-6, 1e-12);
}

// examples/platforms/energy_boot.xml of SimGrid: states in which a processor boots.
TEST(XmlCluster, AProcessorMayStandStillInAState) {
  const std::string booting = R"(<host id="a" speed="100.0Mf,50.0Mf,  0f,0f" pstate="0"/>
      <host id="b" speed="1Gf"/>)";
  EXPECT_EQ(two_hosts(zone(booting + kWire + kRoute)).links().size(), 1U);
  expect_refused(zone(R"(<host id="a" speed="0f,1f"/><host id="b" speed="1f"/>)" + kWire + kRoute),
                 "must be greater than zero");
}

TEST(XmlCluster, ClustersMayHaveBlanksInTheirNames) {
  for (const char* topology : {"", R"(topology="TORUS" topo_parameters="2,2")",
                               R"(topology="FAT_TREE" topo_parameters="2;2,2;1,2;1,1")"}) {
    const auto cluster = [&](const std::string& name) {
      return two_hosts(
          R"(<zone id="my zone" routing="Floyd"><cluster id=")" + name +
              R"(" prefix="Node" radical="0-3" suffix="" speed="1f" bw="125MBps" lat="50us" )" +
              topology + "/></zone>",
          4);
    };
    const Cluster plain = cluster("one"), blank = cluster("o n e");
    ASSERT_EQ(blank.links().size(), plain.links().size()) << topology;
    for (Endpoint from = 0; from < 4; ++from)
      for (Endpoint to = 0; to < 4; ++to) {
        Route a, b;
        plain.route(from, to, a);
        blank.route(from, to, b);
        EXPECT_EQ(a.links, b.links) << topology;
        EXPECT_EQ(a.latency, b.latency) << topology;
      }
  }
}

TEST(XmlCluster, ARouteDeclaredTwiceIsNamed) {
  expect_refused(
      zone(kHosts + kWire + kRoute + R"(<route src="b" dst="a"><link_ctn id="wire"/></route>)"),
      "p.xml: route b-a is declared twice (routes are symmetrical");
  expect_refused(zone(kHosts + kWire + kRoute + kRoute), "route a-b is declared twice");
  const std::string one_way =
      R"(<route src="a" dst="b" symmetrical="NO"><link_ctn id="wire"/></route>
      <route src="b" dst="a" symmetrical="NO"><link_ctn id="wire"/></route>)";
  EXPECT_EQ(two_hosts(zone(kHosts + kWire + one_way)).links().size(), 1U);
}

TEST(XmlCluster, SettingsAndFilesAreOutOfReach) {
  expect_refused(
      R"(<config><prop id="network/model" value="SMPI"/></config>)" + zone(kHosts + kWire + kRoute),
      "p.xml: <config> of 'network/model': SimGrid's own settings are not used");
  expect_refused(zone(kHosts + kWire + kRoute + R"(<include file="/etc/passwd"/>)"),
                 "<include>: a platform is one file");
  expect_refused(zone(kHosts + kWire + kRoute + R"(<trace id="t" file="x" periodicity="1"/>)"),
                 "<trace>: profiles over time are not read");
  expect_refused(R"(<actor host="a" function="f"/>)", "<actor>: actors are a deployment's");
  const auto wire = [](const std::string& attribute) {
    return zone(kHosts + R"(<link id="wire" bandwidth="125MBps" latency="50us" )" + attribute +
                "/>" + kRoute);
  };
  for (const char* file : {"bandwidth_file", "latency_file", "state_file"})
    expect_refused(wire(std::string(file) + "=\"x\""),
                   std::string("link 'wire': ") + file + " 'x': profiles over time are not read");
  expect_refused(wire("sharing_policy=\"WIFI\""), "sharing_policy 'WIFI': expected SHARED, ");
  expect_refused(wire("sharing_polici=\"FATPIPE\""),
                 "unknown attribute 'sharing_polici'; did you mean 'sharing_policy'?");
  expect_refused(zone(kHosts + kWire + kRoute + "<lnik/>"),
                 "zone 'z': unexpected element <lnik>; allowed here: ");
  expect_refused(zone("text"), "zone 'z': unexpected text 'text'");
  expect_refused(R"(<cluster id="c" prefix="a" suffix="" radical="0-4000000000" speed="1f" bw="1Bps"
                     lat="0s"/>)",
                 "4000000001 hosts or more; a platform file may have 512 at most");
}

// What the table of elements cannot tell is SimGrid's to refuse: one line, with its reason.
TEST(XmlCluster, WhatSimGridRefusesIsOneLine) {
  expect_refused(zone(kHosts + kRoute), "wire");
  expect_refused(zone(kHosts + kWire + kWire + kRoute), "wire");
  expect_refused(zone(kHosts + R"(<host id="a" speed="1Gf"/>)" + kWire + kRoute), "p.xml: ");
  expect_refused(zone(kHosts + kWire + R"(<route src="a" dst="c"><link_ctn id="wire"/></route>)"),
                 "p.xml: ");
  expect_refused(zone(kHosts + R"(<link id="wire" bandwidth="1furlong" latency="0s"/>)" + kRoute),
                 "furlong");
  expect_refused(zone(kHosts + kWire), "no route from 'a' to 'b'");
}

TEST(XmlCluster, WhatSaysNothingOfTheNetworkIsLeftOut) {
  const std::string checked = checked_platform(
      "<platform version='4.1'><!-- a note --><zone id='z &amp; y' routing='Full'>"
      "<host id='a' speed='1f' state_file=''><prop id='k' value='v'/>"
      "<disk id='d' read_bw='1' write_bw='1'/></host></zone></platform>",
      "p.xml");
  EXPECT_THAT(checked, ::testing::EndsWith("<platform version=\"4.1\"><zone id=\"z &amp; y\" "
                                           "routing=\"Full\"><host id=\"a\" speed=\"1f\"/>"
                                           "</zone></platform>"));
}

}  // namespace
}  // namespace paceline
