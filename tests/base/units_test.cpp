#include "base/units.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "base/error.hpp"

namespace paceline {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Case {
  const char* text;
  double value;
};

// Equal bit for bit: a quantity written in a file is the double nearest to its decimal value.
#define EXPECT_SAME_BITS(text, got, expected)                                          \
  EXPECT_EQ(std::bit_cast<std::uint64_t>(got), std::bit_cast<std::uint64_t>(expected)) \
      << text << ": " << (got) << " against " << (expected)

TEST(Bandwidth, EveryUnitInBytesPerSecond) {
  const Case cases[] = {
      {"8bps", 1},
      {"8kbps", 1e3},
      {"8Mbps", 1e6},
      {"8Gbps", 1e9},
      {"8Tbps", 1e12},
      {"8b/s", 1},
      {"8kb/s", 1e3},
      {"8Mb/s", 1e6},
      {"8Gb/s", 1e9},
      {"8Tb/s", 1e12},
      {"8Kibps", 1024},
      {"8Mibps", 1048576},
      {"1B/s", 1},
      {"1kB/s", 1e3},
      {"1MB/s", 1e6},
      {"1GB/s", 1e9},
      {"1TB/s", 1e12},
      {"1Bps", 1},
      {"1MBps", 1e6},
      {"1GBps", 1e9},
      {"1KiB/s", 1024},
      {"1MiB/s", 1048576},
      {"8Gibps", 1073741824},
      {"1GiB/s", 1073741824},
      {"1GiBps", 1073741824},
      {"1TiB/s", 1099511627776},
  };
  for (const Case& c : cases) EXPECT_SAME_BITS(c.text, parse_bandwidth(c.text), c.value);
}

TEST(Bandwidth, FirstQuestionsNetworks) {
  EXPECT_SAME_BITS("1Gbps", parse_bandwidth("1Gbps"), 125e6);
  EXPECT_SAME_BITS("10Gbps", parse_bandwidth("10Gbps"), 1.25e9);
  EXPECT_SAME_BITS("25Gbps", parse_bandwidth("25Gbps"), 3.125e9);
  EXPECT_SAME_BITS("100Gbps", parse_bandwidth("100Gbps"), 12.5e9);
  EXPECT_SAME_BITS("1.25GiB/s", parse_bandwidth("1.25GiB/s"), 1.25 * 1073741824.0);
}

TEST(Bandwidth, BitsAndBytesAndPrefixesStayApart) {
  EXPECT_DOUBLE_EQ(parse_bandwidth("1GB/s"), 8 * parse_bandwidth("1Gb/s"));
  EXPECT_NE(parse_bandwidth("1GiB/s"), parse_bandwidth("1GB/s"));
  // A prefix in the wrong case is another unit or none, never the nearest one.
  for (const char* text : {"1gbps", "1KB/s", "1mB/s", "1Gb", "1GB", "1gB/s", "1GBit/s", "1kib/s"})
    EXPECT_THROW(parse_bandwidth(text), InputError) << text;
}

TEST(Bandwidth, InfinityIsAllowed) {
  EXPECT_EQ(parse_bandwidth("inf"), kInfinity);
  EXPECT_THROW(parse_bandwidth("-inf"), InputError);
}

TEST(Bandwidth, ZeroAndNegativeAreRefused) {
  for (const char* text : {"0Gbps", "0.0GB/s", "-10Gbps", "-1e-9Gbps"})
    EXPECT_THAT([&] { parse_bandwidth(text); },
                ThrowsMessage<InputError>(AllOf(HasSubstr("greater than zero"), HasSubstr(text))));
}

TEST(Duration, EveryUnitInSeconds) {
  const Case cases[] = {{"1ns", 1e-9}, {"1us", 1e-6}, {"1ms", 1e-3}, {"1s", 1},
                        {"1min", 60},  {"1h", 3600},  {"1d", 86400}, {"0s", 0}};
  for (const Case& c : cases) EXPECT_SAME_BITS(c.text, parse_duration(c.text), c.value);
}

TEST(Duration, IsTheNearestDouble) {
  EXPECT_SAME_BITS("50us", parse_duration("50us"), 50e-6);
  EXPECT_SAME_BITS("434us", parse_duration("434us"), 434e-6);
  EXPECT_SAME_BITS("35ms", parse_duration("35ms"), 35e-3);
  EXPECT_SAME_BITS("0.1ns", parse_duration("0.1ns"), 0.1e-9);
  for (int us = 1; us <= 9999; ++us) {
    const std::string digits = std::to_string(us);
    EXPECT_SAME_BITS(digits, parse_duration(digits + "us"), std::stod(digits + "e-6"));
  }
}

TEST(Duration, SpacesAreFree) {
  EXPECT_EQ(parse_duration("50 us"), 50e-6);
  EXPECT_EQ(parse_duration("  50us "), 50e-6);
  EXPECT_EQ(parse_duration("5e1us"), 50e-6);
}

TEST(Duration, NegativeIsRefused) {
  EXPECT_THAT([] { parse_duration("-1us"); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("zero or more"), HasSubstr("-1us"))));
}

TEST(Bytes, EveryUnit) {
  const Case cases[] = {
      {"1B", 1},
      {"1kB", 1e3},
      {"1MB", 1e6},
      {"1GB", 1e9},
      {"1TB", 1e12},
      {"1KiB", 1024},
      {"0B", 0},
      {"1MiB", 1048576},
      {"1GiB", 1073741824},
      {"1TiB", 1099511627776},
  };
  for (const Case& c : cases) EXPECT_SAME_BITS(c.text, parse_bytes(c.text), c.value);
}

TEST(Bytes, WrongPrefixesAreRefused) {
  for (const char* text : {"1KB", "1mb", "1Mb", "1kiB", "1mib", "1GiBps", "1M"})
    EXPECT_THROW(parse_bytes(text), InputError) << text;
}

TEST(Count, EveryUnit) {
  const Case cases[] = {{"161", 161}, {"0", 0},     {"1k", 1e3},       {"1M", 1e6},
                        {"1G", 1e9},  {"1T", 1e12}, {"25.6M", 25.6e6}, {"1.5k", 1500}};
  for (const Case& c : cases) EXPECT_SAME_BITS(c.text, parse_count(c.text), c.value);
  EXPECT_THROW(parse_count("1m"), InputError);
  EXPECT_THROW(parse_count("1MB"), InputError);
  EXPECT_THROW(parse_count("-1"), InputError);
}

TEST(Flops, EveryUnit) {
  const Case cases[] = {{"1FLOPS", 1},      {"1MFLOPS", 1e6},   {"1GFLOPS", 1e9},
                        {"1TFLOPS", 1e12},  {"1FLOP/s", 1},     {"1GFLOP/s", 1e9},
                        {"1TFLOP/s", 1e12}, {"1PFLOP/s", 1e15}, {"11.34TFLOPS", 11.34e12}};
  for (const Case& c : cases) EXPECT_SAME_BITS(c.text, parse_flops(c.text), c.value);
  EXPECT_THROW(parse_flops("0TFLOPS"), InputError);
  EXPECT_THROW(parse_flops("1Tflops"), InputError);
}

TEST(Units, BareNumberIsToldItsUnit) {
  EXPECT_THAT([] { parse_bandwidth("10"); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("lacks a unit"), HasSubstr("10Gbps"))));
  EXPECT_THAT([] { parse_duration("50"); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("lacks a unit"), HasSubstr("50us"))));
  EXPECT_THAT([] { parse_bytes("32"); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("lacks a unit"), HasSubstr("32MiB"))));
  EXPECT_THAT([] { parse_flops("12"); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("lacks a unit"), HasSubstr("TFLOPS"))));
}

TEST(Units, WrongUnitIsNamed) {
  EXPECT_THAT([] { parse_duration("50ub"); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("'ub'"), HasSubstr("duration"))));
  EXPECT_THAT([] { parse_bandwidth("10GiB"); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("'GiB'"), HasSubstr("bandwidth"))));
}

TEST(Units, NotANumberIsRefused) {
  const auto parsers = {parse_bandwidth, parse_duration, parse_bytes, parse_count, parse_flops};
  for (const auto parse : parsers)
    for (const char* text : {"", " ", "fast", "nan", "NaN", "-nan", "nanGbps", "Gbps", "s", ".",
                             "-", "1,5s", "1 2s", "0x10B", "+5s", "1e999s", "--1s"})
      EXPECT_THROW(parse(text), InputError) << "'" << text << "'";
}

TEST(Units, OnlyABandwidthMayBeInfinite) {
  for (const char* text : {"inf", "-inf", "infs", "inf s", "infinity"}) {
    EXPECT_THROW(parse_duration(text), InputError) << text;
    EXPECT_THROW(parse_bytes(text), InputError) << text;
    EXPECT_THROW(parse_count(text), InputError) << text;
    EXPECT_THROW(parse_flops(text), InputError) << text;
  }
  for (const char* text : {"infGbps", "-inf"})
    EXPECT_THROW(parse_bandwidth(text), InputError) << text;
}

TEST(Units, Format) {
  EXPECT_EQ(format_bandwidth(1.25e9), "10 Gb/s");
  EXPECT_EQ(format_bandwidth(125e6), "1 Gb/s");
  EXPECT_EQ(format_bandwidth(kInfinity), "infinite");
  EXPECT_EQ(format_duration(0.419745045), "419.745 ms");
  EXPECT_EQ(format_duration(50e-6), "50 us");
  EXPECT_EQ(format_duration(0), "0 s");
  EXPECT_EQ(format_duration(90), "90 s");
  EXPECT_EQ(format_bytes(25557032.0 * 4), "102.2 MB");
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_count(25557032), "25.56 M");
  EXPECT_EQ(format_count(161), "161");
}

TEST(Units, FormatRoundsUpIntoTheNextUnit) {
  EXPECT_EQ(format_duration(0.9999999999), "1 s");
  EXPECT_EQ(format_bytes(999.99999999), "1 kB");
}

TEST(Write, IsShortAndReadsBackExactly) {
  EXPECT_EQ(write_bandwidth(1.25e9), "10Gbps");
  EXPECT_EQ(write_bandwidth(1.25e9, RateUnit::bytes), "1.25GB/s");
  EXPECT_EQ(write_bandwidth(1.5e9), "12Gbps");
  EXPECT_EQ(write_bandwidth(HUGE_VAL), "inf");
  EXPECT_EQ(write_bandwidth(HUGE_VAL, RateUnit::bytes), "inf");
  EXPECT_EQ(write_duration(0), "0s");
  EXPECT_EQ(write_duration(50e-6), "50us");
  EXPECT_EQ(write_duration(1.2345678e-3), "1.2345678ms");
  EXPECT_EQ(write_bytes(11e9), "11GB");
  EXPECT_EQ(write_bytes(0x1p25), "32MiB");
  EXPECT_EQ(write_flops(12.12e12), "12.12TFLOPS");
  for (const double value : {1.0 / 3, 0.1 + 0.2, 1e-300, 5e-324, 123456789.123456789, 1e300}) {
    EXPECT_EQ(parse_bandwidth(write_bandwidth(value)), value);
    EXPECT_EQ(parse_bandwidth(write_bandwidth(value, RateUnit::bytes)), value);
    EXPECT_EQ(parse_duration(write_duration(value)), value);
    EXPECT_EQ(parse_bytes(write_bytes(value)), value);
    EXPECT_EQ(parse_flops(write_flops(value)), value);
  }
}

}  // namespace
}  // namespace paceline
