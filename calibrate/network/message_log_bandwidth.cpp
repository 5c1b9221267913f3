// One bandwidth and nothing else: perftest (ib_write_bw, ib_send_bw, ib_read_bw), iperf and iperf3.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/network/message_log_lines.hpp"

namespace paceline {
namespace {

// What a second moves, of a program that says no size of a message.
MessageSample in_a_second(const std::string& file, std::size_t line, double bytes_per_s) {
  return transfer_sample(file, line, bytes_per_s, 1);
}

// perftest prints MB/sec of 2^20 bytes, or with --report_gbits Gb/sec of 10^9 bits (its manual).
double perftest_unit(const std::string& header) {
  return header.find("Gb/sec") != std::string::npos ? 1e9 / 8 : 1048576;
}

bool all_digits(const std::string& word) {
  return !word.empty() && std::all_of(word.begin(), word.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

// "9.38 Gbits/sec" at words[i]: bytes/s, or 0. iperf's "Bytes" with -f K, M, G are of 2^10, its bits
// of 10^3 (its manual).
double rate_at(const std::string& file, std::size_t line, const std::vector<std::string>& words,
               std::size_t i) {
  if (i + 1 >= words.size()) return 0;
  struct Unit {
    const char* name;
    double bytes_per_s;
  };
  static constexpr Unit kUnits[] = {
      {"bits/sec", 1.0 / 8},  {"Kbits/sec", 1e3 / 8},  {"Mbits/sec", 1e6 / 8},
      {"Gbits/sec", 1e9 / 8}, {"Tbits/sec", 1e12 / 8}, {"Bytes/sec", 1},
      {"KBytes/sec", 1024},   {"MBytes/sec", 1048576}, {"GBytes/sec", 1073741824}};
  for (const Unit& unit : kUnits)
    if (words[i + 1] == unit.name)
      return positive_number(file, line, "bandwidth", words[i]) * unit.bytes_per_s;
  return 0;
}

}  // namespace

std::vector<MessageLog> read_perftest_log(const std::vector<LogLine>& lines,
                                          const std::string& file) {
  MessageLog log{MessagePattern::bandwidth, {}, {}, file + " (perftest)"};
  double unit = 0;
  for (const LogLine& line : lines) {
    const std::vector<std::string> words = words_of(line.text);
    if (words.empty()) continue;
    if (words[0] == "#bytes") {
      if (line.text.find("BW average") == std::string::npos)
        refuse_line(file, line.number,
                    "expected 'BW average' among the columns: ib_write_bw, ib_send_bw or "
                    "ib_read_bw, not a latency test");
      unit = perftest_unit(line.text);
    } else if (unit > 0 && words.size() >= 4 && all_digits(words[0]) && all_digits(words[1])) {
      const double size = positive_number(file, line.number, "size", words[0]);
      const double rate = positive_number(file, line.number, "bandwidth", words[3]) * unit;
      log.samples.push_back(transfer_sample(file, line.number, size, size / rate));
    }
  }
  if (log.samples.empty())
    throw InputError(
        fmt::format("{}: there are no measurements: expected a row below '#bytes'", file));
  return {log};
}

std::vector<MessageLog> read_iperf_log(const std::vector<LogLine>& lines, const std::string& file) {
  // The whole run is the last line of all streams together; what the receiver says, if it does.
  struct Found {
    int rank = -1;
    std::size_t line = 0;
    double bytes_per_s = 0;
  } best;
  for (const LogLine& line : lines) {
    const std::vector<std::string> words = words_of(line.text);
    const auto says = [&](const char* word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    };
    if (!says("sec")) continue;
    double rate = 0;
    for (std::size_t i = 0; i < words.size() && rate == 0; ++i)
      rate = rate_at(file, line.number, words, i);
    if (rate == 0) continue;
    const int rank =
        (line.text.find("[SUM]") != std::string::npos ? 1 : 0) + (says("receiver") ? 4
                                                                  : says("sender") ? 2
                                                                                   : 0);
    if (rank >= best.rank) best = {rank, line.number, rate};
  }
  if (best.rank < 0)
    throw InputError(fmt::format(
        "{}: there are no measurements: expected iperf's lines of 'sec' and 'bits/sec'", file));
  return {{MessagePattern::bandwidth,
           {},
           {in_a_second(file, best.line, best.bytes_per_s)},
           file + " (iperf)"}};
}

std::vector<MessageLog> read_iperf_json(std::string_view text, const std::string& file) {
  const Json json = parse_json(text, file);
  if (json.contains("error"))
    throw InputError(fmt::format("{}: iperf3 failed: {}", file, json.at("error").dump()));
  const auto end = json.find("end");
  if (end != json.end() && end->is_object())
    for (const char* sum : {"sum_received", "sum"}) {
      const auto found = end->find(sum);
      if (found == end->end() || !found->is_object()) continue;
      const auto rate = found->find("bits_per_second");
      if (rate == found->end() || !rate->is_number() || !(rate->get<double>() > 0))
        throw InputError(
            fmt::format("{}: $.end.{}.bits_per_second: expected a positive number", file, sum));
      return {{MessagePattern::bandwidth,
               {},
               {in_a_second(file, 1, rate->get<double>() / 8)},
               file + " (iperf3)"}};
    }
  throw InputError(
      fmt::format("{}: $.end.sum_received: expected the sums of a finished run of iperf3", file));
}

}  // namespace paceline
