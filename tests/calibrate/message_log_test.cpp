#include "calibrate/network/message_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "base/error.hpp"

namespace paceline {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;
using testing::ThrowsMessage;

const std::string kNccl =
    "# Collective test starting: all_reduce_perf\n"
    "# nThread 1 nGpus 4 minBytes 8 maxBytes 128 step: 2(factor)\n"
    "#  Rank  0 Group  0 Pid 1 on a device  0 [0x00] T4\n"
    "#  Rank  1 Group  0 Pid 1 on a device  1 [0x00] T4\n"
    "#                                    out-of-place                       in-place\n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong     time"
    "   algbw   busbw #wrong\n"
    "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)"
    "  (GB/s)  (GB/s)\n"
    "           0             0     float     sum      -1     0.10    0.00    0.00      0     0.10 "
    "   0.00    0.00      0\n"
    "     1048576        262144     float     sum      -1    215.4    4.87    4.87      0    214.9 "
    "   4.88    4.88      0\n"
    "     2097152        524288     float     sum      -1    415.2    5.05    5.05      0    414.1 "
    "   5.06    5.06      0\n";
const std::string kNcclEnd = "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 3.97\n";

TEST(MessageLog, NcclTestsAreRead) {
  const std::vector<MessageLog> logs = parse_message_log(kNccl + kNcclEnd, "log");
  ASSERT_EQ(logs.size(), 1);
  EXPECT_EQ(logs[0].kind, MessagePattern::all_reduce);
  EXPECT_EQ(logs[0].ranks, 2);
  ASSERT_EQ(logs[0].samples.size(), 2);
  EXPECT_EQ(logs[0].samples[1].bytes, 2097152);
  EXPECT_THAT(logs[0].samples[1].seconds, DoubleNear(415.2e-6, 1e-12));
}

// One run of two ranks; `edit` changes its text.
std::string nccl(const std::string& from = "", const std::string& to = "") {
  std::string text = kNccl + kNcclEnd;
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return text;
}

// The same as before 2023, when logs did not name their test.
std::string unnamed(const std::string& from = "", const std::string& to = "") {
  const std::string text = nccl(from, to);
  return text.substr(text.find('\n') + 1);
}

void expect_refused(const std::string& text, const std::string& message) {
  EXPECT_THAT([&] { parse_message_log(text, "log"); },
              ThrowsMessage<InputError>(HasSubstr(message)))
      << text;
}

TEST(MessageLog, DamagedNcclLogsAreRefusedWithTheirLine) {
  expect_refused(kNccl, "log:10: the log is cut off");
  expect_refused(kNccl.substr(0, kNccl.size() - 20), "log:10: 10 columns, expected 13");
  std::string wrong = kNccl + kNcclEnd;
  wrong.replace(wrong.find("4.87      0") + 10, 1, "3");
  expect_refused(wrong, "log:9: the result was wrong in 3 places");
  std::string nan = kNccl + kNcclEnd;
  nan.replace(nan.find("215.4"), 5, "  nan");
  expect_refused(nan, "log:9: expected a positive time, found 'nan'");
  std::string other = kNccl + kNcclEnd;
  other.replace(other.find("all_reduce_perf"), 15, "broadcast_perf ");
  expect_refused(other, "log:1: 'broadcast_perf' is not used");
}

TEST(MessageLog, SeveralNcclRunsAreSeveralTables) {
  const auto logs = parse_message_log(nccl() + nccl(), "log");
  ASSERT_EQ(logs.size(), 2);
  for (const MessageLog& log : logs) {
    EXPECT_EQ(log.ranks, 2);
    EXPECT_EQ(log.samples.size(), 2);
  }
  EXPECT_THAT(logs[1].source, HasSubstr("run 2 of 2"));
  EXPECT_EQ(parse_message_log(unnamed() + unnamed(), "log").size(), 2);
  expect_refused(kNccl + kNccl + kNcclEnd, "log:11: another run begins before the closing lines");
  expect_refused(nccl("#  Rank  1 Group", "#  Rank  0 Group"), "log:4: rank 0 is listed twice");
}

TEST(MessageLog, OtherCollectivesOfNcclAreRefused) {
  EXPECT_EQ(parse_message_log(unnamed(), "log")[0].kind, MessagePattern::all_reduce);
  expect_refused(unnamed("sum      -1    215.4", "none     -1    215.4"), "redop 'none' is not");
  expect_refused(unnamed("sum      -1    215.4", "sum       0    215.4"), "root 0 is not");
  expect_refused(unnamed("262144     float", "131072     float"), "131072 elements are not");
  // Four ranks, so busbw would be 1.5 algbw.
  expect_refused(unnamed("#  Rank  1", "#  Rank  2 Group\n#  Rank  3 Group  0\n#  Rank  1"),
                 "busbw is 1.00 algbw");
  expect_refused(std::regex_replace(unnamed(), std::regex(R"((\d\.\d\d {6})0\n)"), "$1N/A\n"),
                 "results in place are N/A, as of sendrecv_perf");
  expect_refused(nccl(": all_reduce_perf", ": "), "log:1: the name of the test is missing");
}

TEST(MessageLog, WrongResultsOfNcclAreRefused) {
  expect_refused(nccl("4.88    4.88      0", "4.88    4.88      7"), "log:9: the result was wrong");
  expect_refused(nccl("values : 0 OK", "values : 12 FAILED"), "log:11: the test found wrong");
}

TEST(MessageLog, OldLogsAndMessagesOfNcclAreRead) {
  std::string old = nccl();
  for (auto at = old.find("#wrong"); at != std::string::npos; at = old.find("#wrong"))
    old.replace(at, 6, " error");
  old = std::regex_replace(old, std::regex(R"((\d\.\d\d) {6}0)"), "$1  2e-07");
  ASSERT_THAT(old, HasSubstr("2e-07"));
  EXPECT_EQ(parse_message_log(old, "log")[0].samples.size(), 2);
  EXPECT_EQ(parse_message_log("192.0.2.1:4711:4712 [0] NCCL INFO Bootstrap : Using eth0\n" +
                                  nccl("#       size", "192.0.2.1:47:47 [0] NCCL INFO a b\n# size"),
                              "log")[0]
                .samples.size(),
            2);
}

TEST(MessageLog, TagsOfMpirunDoNotCount) {
  std::istringstream lines(nccl());
  std::string tagged;
  for (std::string line; std::getline(lines, line);) tagged += "[1,0]<stdout>:" + line + "\n";
  EXPECT_EQ(parse_message_log(tagged, "log")[0].samples.size(), 2);
}

TEST(MessageLog, WhatLaunchersPutBeforeEachLineDoesNotCount) {
  for (const char* prefix :
       {"Fri Feb 26 10:11:12 2021[1,0]<stdout>:", "[prterun-node-4@1,0]<stdout>: ", "0: ", " 3: ",
        "[0] ", "node01: ", "2024-05-01T10:11:12.123Z ", "[2024-05-01 10:11:12,5] node01: "}) {
    std::istringstream lines(nccl());
    std::string tagged;
    for (std::string line; std::getline(lines, line);) tagged += prefix + line + "\n";
    const std::vector<MessageLog> logs = parse_message_log(tagged, "log");
    EXPECT_EQ(logs[0].samples.size(), 2) << prefix;
    EXPECT_EQ(logs[0].ranks, 2) << prefix;
  }
}

TEST(MessageLog, TimeStampsOfNcclTestsAreNoColumn) {
  std::string text = std::regex_replace(nccl(), std::regex("#wrong\n"), "#wrong  timestamp\n");
  text = std::regex_replace(text, std::regex("      0\n"), "      0  2025-01-02 10:11:12\n");
  ASSERT_THAT(text, HasSubstr("12\n     2097152"));
  EXPECT_EQ(parse_message_log(text, "log")[0].samples.size(), 2);
  expect_refused(std::regex_replace(nccl(), std::regex("    time"), " cputime"),
                 "the times are the CPU's");
}

TEST(MessageLog, JsonOfNcclTestsIsRead) {
  const auto json = [](const std::string& more, const std::string& wrong = "0.0",
                       const std::string& program = "/opt/all_reduce_perf") {
    return R"({"version": 1, "args": [")" + program + R"(", "-J", "x"], "config": {"devices": [
      {"rank": 0}, {"rank": 1}]}, "results": [)" +
           more +
           R"({"size": 1048576, "count": 262144, "type": "float", "redop": "sum", "root": "    -1",
      "out_of_place": {"time": 215.4, "alg_bw": 4.87, "bus_bw": 4.87, "nwrong": )" +
           wrong +
           R"(}, "in_place": {"time": 214.9, "alg_bw": 4.88, "bus_bw": 4.88, "nwrong": null},
      "actual_iterations": 20}], "out_of_bounds": {"count": 0, "okay": "true"}, "end_time": "x"})";
  };
  const std::vector<MessageLog> logs = parse_message_log(json(""), "log");
  ASSERT_EQ(logs.size(), 1);
  EXPECT_EQ(logs[0].kind, MessagePattern::all_reduce);
  EXPECT_EQ(logs[0].ranks, 2);
  EXPECT_EQ(logs[0].source, "log (nccl-tests)");
  ASSERT_EQ(logs[0].samples.size(), 1);
  EXPECT_EQ(logs[0].samples[0].bytes, 1048576);
  EXPECT_THAT(logs[0].samples[0].seconds, DoubleNear(215.4e-6, 1e-12));
  expect_refused(json("", "7.0"), "log: $.results:0: the result was wrong in 7 places");
  expect_refused(json("7, "), "log: $.results[0]: expected an object");
  expect_refused(json("{\"size\": 8}, "), "log: $.results[0].count: expected a value");
  expect_refused(json("", "0.0", "all_gather_perf"), "'all_gather_perf' is not used");
  expect_refused("{\"results\": [], \"config\": {\"collective\": true}}",
                 "log: $.config.collective: expected a string");
  expect_refused("{\"results\": 1}", "log: expected 'results'");
}

TEST(MessageLog, RanksAreCompletedAndNeverOverridden) {
  EXPECT_EQ(parse_message_log(nccl(), "log", {}, 2)[0].ranks, 2);
  EXPECT_THAT(
      [] { parse_message_log(nccl(), "log", {}, 4); },
      ThrowsMessage<InputError>(HasSubstr("log: its all-reduces are of 2 ranks, not of 4")));
  const std::string csv = "bytes,seconds,ranks\n8,1e-6,2\n16,2e-6,2\n8,3e-6,4\n";
  const auto logs = parse_message_log(csv, "log", {}, 4);
  ASSERT_EQ(logs.size(), 1);
  EXPECT_EQ(logs[0].ranks, 4);
  EXPECT_THAT([&] { parse_message_log(csv, "log", {}, 7); },
              ThrowsMessage<InputError>(HasSubstr("of 2, 4 ranks, not of 7")));
  for (const char* ranks : {"1e300", "0.5", "2.5", "1"})
    expect_refused("bytes,seconds,ranks\n8,1e-6," + std::string(ranks) + "\n",
                   "log:2: expected a whole number of 2 ranks or more");
}

TEST(MessageLog, OsuBenchmarksAreRead) {
  const auto latency = parse_message_log(
      "# OSU MPI Latency Test v5.9\n# Size          Latency (us)\n0  1.5\n8  2.0\n1024  3.5\n",
      "l");
  EXPECT_EQ(latency[0].kind, MessagePattern::point_to_point);
  ASSERT_EQ(latency[0].samples.size(), 2);
  EXPECT_THAT(latency[0].samples[1].seconds, DoubleNear(3.5e-6, 1e-15));
  const auto bandwidth = parse_message_log(
      "# OSU MPI Bandwidth Test v5.9\n# Size      Bandwidth (MB/s)\n1000   500\n2000  800\n", "b");
  EXPECT_EQ(bandwidth[0].kind, MessagePattern::bandwidth);
  EXPECT_THAT(bandwidth[0].samples[0].seconds, DoubleNear(2e-6, 1e-15));
  const auto reduce = parse_message_log(
      "# OSU MPI Allreduce Latency Test v5.9\n# Size   Avg Latency(us)   Min Latency(us)   Max "
      "Latency(us)  Iterations\n4  10.0  9.0  11.0  1000\n8  11.0  9.5  12.0 1000\n",
      "r", {}, 16);
  EXPECT_EQ(reduce[0].kind, MessagePattern::all_reduce);
  EXPECT_EQ(reduce[0].ranks, 16);
}

TEST(MessageLog, DamagedOsuLogsAreRefusedWithTheirLine) {
  expect_refused("# OSU MPI Latency Test v5.9\n# Size   Latency (us)\n8  2.0\n16\n",
                 "log:4: 1 columns, expected 2");
  expect_refused("# OSU MPI Latency Test v5.9\n# Size   Bandwidth (MB/s)\n8  2.0\n", "log:2: ");
  expect_refused("# OSU MPI Bcast\n", "log:1: expected osu_latency");
  expect_refused("# OSU MPI Latency Test v5.9\n", "log:1: there are no measurements");
  expect_refused("hello\n", "log:1: expected the output of nccl-tests");
}

TEST(MessageLog, SeveralOsuRunsAreSeveralTables) {
  const std::string latency =
      "# OSU MPI Latency Test v5.9\n# Size          Latency (us)\n8  2.0\n1024  3.5\n";
  const std::string bandwidth =
      "# OSU MPI-CUDA Bandwidth Test v7.4\n# Datatype: MPI_CHAR.\n# Size      Bandwidth (MB/s)\n"
      "1000   500\n2000  800\n";
  const auto logs = parse_message_log(latency + bandwidth, "log");
  ASSERT_EQ(logs.size(), 2);
  EXPECT_EQ(logs[0].kind, MessagePattern::point_to_point);
  EXPECT_EQ(logs[1].kind, MessagePattern::bandwidth);
  EXPECT_THAT(logs[1].samples[0].seconds, DoubleNear(2e-6, 1e-15));
  expect_refused(latency + nccl(), "log: holds logs of nccl-tests and of OSU");
}

TEST(MessageLog, OtherOsuBenchmarksAreRefused) {
  for (const char* test :
       {"MPI All-to-All Personalized Exchange Latency Test", "MPI Broadcast Latency Test",
        "MPI Allgather Latency Test", "MPI Reduce Latency Test", "MPI Multi Latency Test",
        "MPI_Put Latency Test", "MPI Non-blocking Allreduce Latency Test",
        "MPI Multi-threaded Latency Test", "MPI Bi-Directional Bandwidth Test"})
    expect_refused(
        "# OSU " + std::string(test) + " v5.9\n# Size  Latency (us)\n8  2.0\n16  3.0\n",
        "log:1: expected osu_latency, osu_bw or osu_allreduce, found '# OSU " + std::string(test));
}

TEST(MessageLog, ValidationOfOsuMustPassAndWarningsAreSkipped) {
  const std::string head =
      "--------------\nWARNING: There is at least one non-excluded port\n"
      "# OSU MPI Latency Test v7.0\n# Size          Avg Latency(us)        Validation\n";
  EXPECT_EQ(parse_message_log(head + "8  2.0  Pass\n16  3.0  Pass\n", "log")[0].samples.size(), 2);
  expect_refused(head + "8  2.0  Pass\n16  3.0  Fail\n", "log:6: the validation says 'Fail'");
  expect_refused(head + "8  2.0\n16  3.0\n", "log:5: 2 columns, expected 3");
  expect_refused(head + "8k  2.0  Pass\n", "log:5: expected a size in whole bytes, found '8k'");
}

TEST(MessageLog, FiguresThatNoNetworkHasAreRefused) {
  expect_refused("bytes,seconds\n1,1e-300\n2,2e-300\n",
                 "log:2: expected a time of 1 ns to one day");
  expect_refused("bytes,seconds\n1e300,1\n", "log:2: expected a size of 1 byte to 1 PB");
}

TEST(MessageLog, CsvHeadersAreReadWithCare) {
  EXPECT_EQ(parse_message_log(" bytes , seconds \r\n8, 1e-6\r\n16 ,2e-6\r\n", "log").size(), 1);
  expect_refused("bytes,seconds,bytes\n8,1e-6,9\n", "log:1: the column 'bytes' appears twice");
  EXPECT_THAT(
      [] {
        parse_message_log("bytes,seconds,ranks\n8,1,2\n", "log", MessagePattern::point_to_point);
      },
      ThrowsMessage<InputError>(HasSubstr("log:1: the column 'ranks' is of all-reduces")));
}

TEST(MessageLog, CsvIsReadByRanksAndRefused) {
  const auto logs =
      parse_message_log("bytes,seconds,ranks\n8,1e-6,2\n16,2e-6,2\n8,3e-6,4\n", "t.csv");
  ASSERT_EQ(logs.size(), 2);
  EXPECT_EQ(logs[0].ranks, 2);
  EXPECT_EQ(logs[0].samples.size(), 2);
  EXPECT_EQ(logs[1].ranks, 4);
  expect_refused("bytes,time\n8,1e-6\n", "log:1: expected the columns bytes, seconds");
  expect_refused("bytes,seconds\n8,nan\n", "log:2: expected a positive time, found 'nan'");
  expect_refused("bytes,seconds\n8,1e-6\n16\n", "log:3: 1 fields");
  EXPECT_THAT([] { read_message_log("/nonexistent.log"); },
              ThrowsMessage<InputError>(HasSubstr("cannot be read: No such file")));
}

}  // namespace
}  // namespace paceline
