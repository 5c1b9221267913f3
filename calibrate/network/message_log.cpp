#include "calibrate/network/message_log.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text_file.hpp"
#include "calibrate/network/message_log_lines.hpp"

namespace paceline {
namespace {

constexpr double kLeastSeconds = 1e-9, kMostSeconds = 86400, kMostBytes = 1e15;
constexpr int kMostRanks = 1 << 20;

int whole_ranks(const std::string& file, std::size_t line, const std::string& text) {
  const double value = positive_number(file, line, "number of ranks", text);
  if (value < 2 || value > kMostRanks || value != std::floor(value))
    refuse_line(file, line,
                fmt::format("expected a whole number of 2 ranks or more, found '{}'", text));
  return static_cast<int>(value);
}

void check_columns(const CsvTable& table, const std::string& file, MessagePattern kind) {
  for (const char* column : {"bytes", "seconds"})
    if (!table.has_column(column))
      refuse_line(file, 1,
                  fmt::format("expected the columns bytes, seconds and perhaps ranks; '{}' is "
                              "missing",
                              column));
  if (table.has_column("ranks") && kind != MessagePattern::all_reduce)
    refuse_line(file, 1,
                fmt::format("the column 'ranks' is of all-reduces, not of {}", to_string(kind)));
}

// One log per number of ranks.
std::vector<MessageLog> read_csv(std::string_view text, const std::string& file,
                                 MessagePattern kind) {
  const CsvTable table(text, file);
  check_columns(table, file, kind);
  std::map<int, MessageLog> logs;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::size_t line = table.line(row);
    const int of =
        table.has_column("ranks") ? whole_ranks(file, line, table.text(row, "ranks")) : 0;
    MessageLog& log = logs[of];
    log.samples.push_back(
        transfer_sample(file, line, positive_number(file, line, "size", table.text(row, "bytes")),
                        positive_number(file, line, "time", table.text(row, "seconds"))));
    log.kind = kind;
    log.source = of == 0 ? file : fmt::format("{} ({} ranks)", file, of);
    if (of > 0) log.ranks = of;
  }
  std::vector<MessageLog> result;
  for (auto& [of, log] : logs) result.push_back(std::move(log));
  if (result.empty()) throw InputError(fmt::format("{}: there are no measurements", file));
  return result;
}

void apply_ranks(std::vector<MessageLog>& logs, int ranks, const std::string& name) {
  std::set<int> known;
  for (MessageLog& log : logs) {
    if (log.kind != MessagePattern::all_reduce) continue;
    if (!log.ranks) log.ranks = ranks;
    known.insert(*log.ranks);
  }
  if (known.empty() || known.contains(ranks)) {
    std::erase_if(logs, [&](const MessageLog& log) {
      return log.kind == MessagePattern::all_reduce && log.ranks != ranks;
    });
    return;
  }
  throw InputError(fmt::format("{}: its all-reduces are of {} ranks, not of {} (--ranks)", name,
                               fmt::join(known, ", "), ranks));
}

}  // namespace

void refuse_line(const std::string& file, std::size_t line, const std::string& why) {
  throw InputError(fmt::format("{}:{}: {}", file, line, why));
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

double positive_number(const std::string& file, std::size_t line, const std::string& what,
                       const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
      value <= 0)
    refuse_line(file, line, fmt::format("expected a positive {}, found '{}'", what, text));
  return value;
}

MessageSample transfer_sample(const std::string& file, std::size_t line, double bytes,
                              double seconds) {
  if (bytes < 1 || bytes > kMostBytes)
    refuse_line(file, line, fmt::format("expected a size of 1 byte to 1 PB, found {} B", bytes));
  if (seconds < kLeastSeconds || seconds > kMostSeconds)
    refuse_line(file, line, fmt::format("expected a time of 1 ns to one day, found {} s", seconds));
  return {bytes, seconds, line};
}

bool is_row(const std::string& file, const LogLine& line, const std::string& first_word) {
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  if (std::all_of(first_word.begin(), first_word.end(), digit)) return true;
  if (!digit(first_word[0]) || first_word.find(':') != std::string::npos) return false;
  refuse_line(file, line.number,
              fmt::format("expected a size in whole bytes, found '{}'", first_word));
}

std::string to_string(MessagePattern kind) {
  switch (kind) {
    case MessagePattern::all_reduce:
      return "all-reduce";
    case MessagePattern::point_to_point:
      return "point-to-point";
    case MessagePattern::bandwidth:
      return "bandwidth";
    case MessagePattern::all_gather:
      return "all-gather";
  }
  throw std::logic_error("unknown kind of transfer");
}

std::vector<MessageLog> parse_message_log(std::string_view text, const std::string& name,
                                          std::optional<MessagePattern> kind,
                                          std::optional<int> ranks) {
  std::vector<LogLine> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) lines.push_back({lines.size() + 1, line});
  strip_launcher(lines);
  if (lines.empty()) throw InputError(fmt::format("{}: the file is empty", name));
  const auto contains = [&](const char* what) { return text.find(what) != std::string_view::npos; };
  const bool nccl = contains("busbw") || contains("bus_bw") || contains("Collective test starting");
  const bool osu = contains("# OSU");
  if (nccl && osu)
    throw InputError(fmt::format(
        "{}: holds logs of nccl-tests and of OSU benchmarks; give each its file", name));
  std::vector<MessageLog> logs;
  if (trimmed(text).starts_with('{'))
    logs = contains("\"intervals\"") || contains("\"error\"") ? read_iperf_json(text, name)
                                                              : read_nccl_json(text, name, kind);
  else if (nccl)
    logs = read_nccl_log(lines, name, kind);
  else if (osu)
    logs = read_osu_log(lines, name);
  else if (contains("#bytes"))
    logs = read_perftest_log(lines, name);
  else if (contains("bits/sec") || contains("Bytes/sec"))
    logs = read_iperf_log(lines, name);
  else if (lines[0].text.find(',') != std::string::npos)
    logs = read_csv(text, name, kind.value_or(MessagePattern::all_reduce));
  else
    refuse_line(name, 1,
                "expected the output of nccl-tests, of an OSU benchmark, of ib_write_bw or iperf, "
                "or CSV with columns "
                "bytes and seconds");
  for (const MessageLog& log : logs)
    if (kind && *kind != log.kind)
      throw InputError(fmt::format("{}: the log is of {}, not of {} (--kind)", log.source,
                                   to_string(log.kind), to_string(*kind)));
  if (ranks) apply_ranks(logs, *ranks, name);
  return logs;
}

std::vector<MessageLog> read_message_log(const std::filesystem::path& file,
                                         std::optional<MessagePattern> kind,
                                         std::optional<int> ranks) {
  return parse_message_log(read_text_file(file), file.string(), kind, ranks);
}

}  // namespace paceline
