// nccl-tests: "size count type redop [root] time algbw busbw #wrong time algbw busbw #wrong", the
// first four out of place, the others in place, times in us; "error" in place of "#wrong" before
// 2022.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"
#include "calibrate/network/message_log_lines.hpp"

namespace paceline {
namespace {

constexpr std::string_view kStart = "Collective test starting:";
constexpr std::string_view kBounds = "Out of bounds values";

double bytes_of_type(const std::string& type) {
  static const std::map<std::string, double> bytes{
      {"int8", 1},  {"uint8", 1},    {"char", 1},  {"f8e4m3", 1}, {"f8e5m2", 1},
      {"half", 2},  {"bfloat16", 2}, {"int32", 4}, {"uint32", 4}, {"float", 4},
      {"int64", 8}, {"uint64", 8},   {"double", 8}};
  const auto found = bytes.find(type);
  return found == bytes.end() ? 0 : found->second;
}

bool is_reduction(const std::string& name) {
  static constexpr std::array<std::string_view, 6> kNames{"sum", "prod", "min",
                                                          "max", "avg",  "mulsum"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

class NcclReader {
 public:
  NcclReader(const std::string& file, std::optional<MessagePattern> kind)
      : file_(file), asked_(kind) {}

  void read(const LogLine& line) {
    const std::vector<std::string> words = words_of(line.text);
    if (words.empty()) return;
    last_ = line.number;
    if (words[0].starts_with('#'))
      comment(line, words);
    else if (is_row(file_, line, words[0]))
      row(line, words);
  }

  std::vector<MessageLog> finish() {
    end_run();
    for (std::size_t i = 0; i < logs_.size(); ++i)
      logs_[i].source = logs_.size() == 1 ? file_ + " (nccl-tests)"
                                          : fmt::format("{} (nccl-tests, run {} of {})", file_,
                                                        i + 1, logs_.size());
    return std::move(logs_);
  }

 private:
  struct Run {
    std::size_t line = 0;                // where it starts
    std::optional<MessagePattern> kind;  // as its name says
    bool headed = false, ended = false;  // "# nThread ..." and the closing lines were seen
    bool out_of_place_only = false;      // only those results were checked
    std::set<std::string> ranks;
    std::vector<std::string> columns;
    std::vector<MessageSample> samples;
    double bandwidth = 0, factor = 0;  // algbw of the fastest row, and its busbw / algbw
    [[nodiscard]] bool begun() const { return kind || headed || !columns.empty(); }
  };

  [[noreturn]] void refuse(std::size_t line, const std::string& why) const {
    refuse_line(file_, line, why);
  }

  void comment(const LogLine& line, const std::vector<std::string>& words) {
    const auto says = [&](std::string_view what) {
      return line.text.find(what) != std::string::npos;
    };
    if (says(kStart)) {
      if (run_.begun()) next_run(line);
      run_.kind = kind_of(line);
    } else if (words.size() > 1 && words[1] == "nThread") {
      if (run_.headed || !run_.columns.empty()) next_run(line);
      run_.headed = true;
    } else if (words.size() > 2 && words[1] == "size" && words[2] == "count") {
      if (!run_.columns.empty()) next_run(line);
      run_.columns.assign(words.begin() + 1, words.end());
    } else if (words.size() > 2 && words[1] == "Rank") {
      if (!run_.ranks.insert(words[2]).second)
        refuse(line.number,
               fmt::format("rank {} is listed twice: the output of several processes is mixed "
                           "(was nccl-tests built with MPI=1?)",
                           words[2]));
    } else if (says(kBounds)) {
      check_bounds(line);
      run_.ended = true;
    } else if (says("Avg bus bandwidth")) {
      run_.ended = true;
    }
    if (run_.line == 0) run_.line = line.number;
  }

  MessagePattern kind_of(const LogLine& line) const {
    const std::vector<std::string> words =
        words_of(line.text.substr(line.text.find(kStart) + kStart.size()));
    if (words.empty()) refuse(line.number, "the name of the test is missing");
    if (words[0] == "all_reduce_perf") return MessagePattern::all_reduce;
    if (words[0] == "sendrecv_perf") return MessagePattern::point_to_point;
    refuse(line.number,
           fmt::format("'{}' is not used; expected all_reduce_perf or sendrecv_perf", words[0]));
  }

  void check_bounds(const LogLine& line) const {
    const auto colon = line.text.find(':', line.text.find(kBounds));
    const std::vector<std::string> words = colon == std::string::npos
                                               ? std::vector<std::string>{}
                                               : words_of(line.text.substr(colon + 1));
    if (words.empty() || words[0] != "0" || line.text.find("FAILED") != std::string::npos)
      refuse(line.number, fmt::format("the test found wrong results: '{}'", line.text));
  }

  void next_run(const LogLine& line) {
    if (!run_.ended)
      refuse(line.number,
             fmt::format("another run begins before the closing lines of the one of line {}: it is "
                         "cut off, or the output of several processes is mixed",
                         run_.line));
    end_run();
    run_.line = line.number;
  }

  void end_run() {
    if (!run_.ended)
      refuse(last_, "the log is cut off: its closing lines ('# Avg bus bandwidth') are missing");
    if (!run_.kind) check_unnamed();
    if (run_.samples.empty())
      throw InputError(fmt::format("{}:{}: there are no measurements", file_, run_.line));
    MessageLog log;
    log.kind = kind();
    if (!run_.ranks.empty()) log.ranks = static_cast<int>(run_.ranks.size());
    log.samples = std::move(run_.samples);
    logs_.push_back(std::move(log));
    run_ = {};
  }

  // A log of before 2023 does not name its test; all-reduces run in place too and have
  // busbw = 2(P-1)/P algbw.
  void check_unnamed() const {
    if (asked_) return;
    if (run_.out_of_place_only)
      refuse(
          run_.line,
          "results in place are N/A, as of sendrecv_perf; expected the log of all_reduce_perf, or "
          "--kind point-to-point");
    const auto ranks = static_cast<double>(run_.ranks.size());
    if (ranks < 2 || run_.bandwidth < 1) return;
    const double expected = 2 * (ranks - 1) / ranks;
    if (std::abs(run_.factor / expected - 1) > 0.03)
      refuse(
          run_.line,
          fmt::format("busbw is {:.2f} algbw, that of an all-reduce of {} ranks {:.2f}; expected "
                      "the log of all_reduce_perf, or --kind point-to-point for sendrecv_perf",
                      run_.factor, ranks, expected));
  }

  [[nodiscard]] MessagePattern kind() const {
    return run_.kind.value_or(asked_.value_or(MessagePattern::all_reduce));
  }

  void row(const LogLine& line, std::vector<std::string> words) {
    if (run_.columns.empty()) refuse(line.number, "numbers before the line that names the columns");
    if (run_.columns.back() == "timestamp" && words.size() == run_.columns.size() + 1) {
      words[words.size() - 2] += ' ' + words.back();  // a day and a time of day
      words.pop_back();
    }
    if (run_.ended) refuse(line.number, "numbers after the closing lines of the run");
    if (words.size() != run_.columns.size())
      refuse(line.number,
             fmt::format("{} columns, expected {}: the log is cut off or of another program",
                         words.size(), run_.columns.size()));
    check_results(line, words);
    if (kind() == MessagePattern::all_reduce) check_all_reduce(line, words);
    if (words[0] == "0") return;
    const std::string* time = value(words, "time");
    if (time == nullptr)
      refuse(line.number, value(words, "cputime") == nullptr
                              ? "the column 'time' is missing"
                              : "the times are the CPU's (-C, --report_cputime); expected the "
                                "collectives'");
    const double bytes = positive_number(file_, line.number, "size", words[0]);
    const double us = positive_number(file_, line.number, "time", *time);
    run_.samples.push_back(transfer_sample(file_, line.number, bytes, 1e-6 * us));
    note_bandwidth(line, words);
  }

  void note_bandwidth(const LogLine& line, const std::vector<std::string>& words) {
    const std::string *algbw = value(words, "algbw"), *busbw = value(words, "busbw");
    if (algbw == nullptr || busbw == nullptr || *algbw == "0.00" || *busbw == "0.00") return;
    const double bandwidth = positive_number(file_, line.number, "algbw", *algbw);
    if (bandwidth <= run_.bandwidth) return;
    run_.bandwidth = bandwidth;
    run_.factor = positive_number(file_, line.number, "busbw", *busbw) / bandwidth;
  }

  // "#wrong" counts wrong elements; "error" is a deviation, judged by the line "Out of bounds".
  void check_results(const LogLine& line, const std::vector<std::string>& words) {
    bool checked = false;
    std::string judged;  // by the column before
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& column = run_.columns[i];
      if (column == "error") checked = true;
      if (!column.ends_with("wrong")) continue;
      checked = true;
      if (words[i] != "0" && words[i] != "0e+00" && words[i] != "N/A")
        refuse(line.number, fmt::format("the result was wrong in {} places", words[i]));
      run_.out_of_place_only |= !judged.empty() && judged != "N/A" && words[i] == "N/A";
      judged = words[i];
    }
    if (!checked) refuse(line.number, "the column '#wrong' (formerly 'error') is missing");
  }

  void check_all_reduce(const LogLine& line, const std::vector<std::string>& words) const {
    constexpr std::string_view kExpected = "expected all_reduce_perf or sendrecv_perf";
    const std::string *reduction = value(words, "redop"), *root = value(words, "root");
    if (reduction == nullptr || !is_reduction(*reduction))
      refuse(line.number,
             fmt::format("redop '{}' is not of an all-reduce (all_gather, broadcast?); {}",
                         reduction == nullptr ? "" : *reduction, kExpected));
    if (root != nullptr && *root != "-1")
      refuse(line.number,
             fmt::format("root {} is not of an all-reduce (reduce_perf?); {}", *root, kExpected));
    const std::string *count = value(words, "count"), *type = value(words, "type");
    if (words[0] == "0" || count == nullptr || type == nullptr || bytes_of_type(*type) == 0) return;
    const double bytes =
        positive_number(file_, line.number, "count", *count) * bytes_of_type(*type);
    if (bytes != positive_number(file_, line.number, "size", words[0]))
      refuse(line.number, fmt::format("{} elements are not {} bytes of '{}' (reduce_scatter?); {}",
                                      *count, words[0], *type, kExpected));
  }

  // The first column of that name: out of place.
  [[nodiscard]] const std::string* value(const std::vector<std::string>& words,
                                         std::string_view column) const {
    const auto found = std::find(run_.columns.begin(), run_.columns.end(), column);
    return found == run_.columns.end()
               ? nullptr
               : &words[static_cast<std::size_t>(found - run_.columns.begin())];
  }

  std::string file_;
  std::optional<MessagePattern> asked_;
  Run run_;
  std::size_t last_ = 1;  // line
  std::vector<MessageLog> logs_;
};

}  // namespace

std::vector<MessageLog> read_nccl_log(const std::vector<LogLine>& lines, const std::string& file,
                                      std::optional<MessagePattern> kind) {
  NcclReader reader(file, kind);
  for (const LogLine& line : lines) reader.read(line);
  return reader.finish();
}

}  // namespace paceline
