#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "base/error.hpp"
#include "base/files.hpp"
#include "calibrate/csv.hpp"
#include "calibrate/network_fit.hpp"

namespace paceline {
namespace {

struct Line {
  std::size_t number;
  std::string text;
};

[[noreturn]] void refuse(const std::string& file, std::size_t line, const std::string& why) {
  throw InputError(fmt::format("{}:{}: {}", file, line, why));
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

double positive(const std::string& file, std::size_t line, const std::string& what,
                const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
      value <= 0)
    refuse(file, line, fmt::format("expected a positive {}, found '{}'", what, text));
  return value;
}

void need_samples(const std::string& file, const TransferLog& log) {
  if (log.samples.empty()) throw InputError(fmt::format("{}: there are no measurements", file));
}

std::optional<TransferKind> nccl_kind(const std::string& file, const Line& line) {
  const auto at = line.text.find("Collective test starting: ");
  if (at == std::string::npos) return {};
  const std::string name = words_of(line.text.substr(at + 26)).at(0);
  if (name == "all_reduce_perf") return TransferKind::all_reduce;
  if (name == "sendrecv_perf") return TransferKind::point_to_point;
  refuse(file, line.number,
         fmt::format("'{}' is not used; expected all_reduce_perf or sendrecv_perf", name));
}

// "size count type redop [root] time algbw busbw #wrong time algbw busbw #wrong", times in us.
TransferLog read_nccl(const std::vector<Line>& lines, const std::string& file) {
  TransferLog log{TransferKind::all_reduce, 0, {}, file + " (nccl-tests)"};
  std::vector<std::string> columns;
  bool ended = false;
  for (const Line& line : lines) {
    const std::vector<std::string> words = words_of(line.text);
    if (words.empty()) continue;
    if (words[0].starts_with('#')) {
      if (const auto kind = nccl_kind(file, line)) log.kind = *kind;
      if (words.size() > 2 && words[1] == "Rank") ++*log.ranks;
      if (words.size() > 2 && words[1] == "size" && words[2] == "count")
        columns.assign(words.begin() + 1, words.end());
      ended |= line.text.find("Out of bounds values") != std::string::npos ||
               line.text.find("Avg bus bandwidth") != std::string::npos;
      continue;
    }
    if (!std::isdigit(static_cast<unsigned char>(words[0][0]))) continue;  // NCCL's own messages
    if (columns.empty())
      refuse(file, line.number, "numbers before the line that names the columns");
    if (words.size() != columns.size())
      refuse(file, line.number,
             fmt::format("{} columns, expected {}: the log is cut off or of another program",
                         words.size(), columns.size()));
    const auto time = std::find(columns.begin(), columns.end(), "time");
    const auto wrong = std::find_if(columns.begin(), columns.end(),
                                    [](const std::string& c) { return c.ends_with("wrong"); });
    if (time == columns.end() || wrong == columns.end())
      refuse(file, line.number, "the columns 'time' and '#wrong' are missing");
    const std::string& errors = words[static_cast<std::size_t>(wrong - columns.begin())];
    if (errors != "0" && errors != "0e+00" && errors != "N/A")
      refuse(file, line.number, fmt::format("the result was wrong in {} places", errors));
    if (words[0] == "0") continue;
    log.samples.push_back(
        TransferSample{positive(file, line.number, "size", words[0]),
                       1e-6 * positive(file, line.number, "time",
                                       words[static_cast<std::size_t>(time - columns.begin())]),
                       line.number});
  }
  if (!ended)
    refuse(file, lines.back().number,
           "the log is cut off: its closing lines ('# Avg bus "
           "bandwidth') are missing");
  if (*log.ranks == 0) log.ranks.reset();
  return log;
}

// "# Size  Latency (us)" and numbers. Bandwidths are in MB/s, 10^6 bytes.
TransferLog read_osu(const std::vector<Line>& lines, const std::string& file) {
  TransferLog log{TransferKind::point_to_point, {}, {}, file + " (OSU micro-benchmarks)"};
  std::size_t columns = 0;
  for (const Line& line : lines) {
    const std::vector<std::string> words = words_of(line.text);
    if (words.empty()) continue;
    if (words[0] == "#" || words[0].starts_with('#')) {
      const auto says = [&](const char* what) { return line.text.find(what) != std::string::npos; };
      if (says("OSU")) {
        if (says("Allreduce"))
          log.kind = TransferKind::all_reduce;
        else if (says("Bandwidth Test") && !says("Bi-Directional"))
          log.kind = TransferKind::bandwidth;
        else if (!says("Latency Test"))
          refuse(file, line.number,
                 "expected osu_latency, osu_bw or osu_allreduce, found '" + line.text + "'");
      }
      if (says("Size")) {
        const bool bandwidth = says("MB/s");
        if (bandwidth != (log.kind == TransferKind::bandwidth) || (!bandwidth && !says("(us)")))
          refuse(file, line.number, "the columns are not those of the benchmark above");
        columns = 1;  // of the first row on
      }
      continue;
    }
    if (columns == 0) refuse(file, line.number, "numbers before the line that names the columns");
    if (columns == 1) columns = std::max<std::size_t>(2, words.size());
    if (words.size() != columns)
      refuse(file, line.number,
             fmt::format("{} columns, expected {}: the log is cut off or of another program",
                         words.size(), columns));
    if (words[0] == "0") continue;
    const double size = positive(file, line.number, "size", words[0]);
    const double figure = positive(file, line.number, "figure", words[1]);
    log.samples.push_back(
        {size, log.kind == TransferKind::bandwidth ? size / (figure * 1e6) : figure * 1e-6,
         line.number});
  }
  return log;
}

std::vector<TransferLog> read_csv(std::string_view text, const std::string& file, TransferKind kind,
                                  std::optional<int> ranks) {
  const CsvTable table(text, file);
  for (const char* column : {"bytes", "seconds"})
    if (!table.has_column(column))
      refuse(file, 1,
             fmt::format("expected the columns bytes, seconds and perhaps ranks; '{}' is "
                         "missing",
                         column));
  std::map<int, TransferLog> logs;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::size_t line = table.line(row);
    int of = ranks.value_or(0);
    if (table.has_column("ranks"))
      of = static_cast<int>(positive(file, line, "number of ranks", table.text(row, "ranks")));
    TransferLog& log = logs[of];
    log.samples.push_back({positive(file, line, "size", table.text(row, "bytes")),
                           positive(file, line, "time", table.text(row, "seconds")), line});
    log.kind = kind;
    log.source = of == 0 ? file : fmt::format("{} ({} ranks)", file, of);
    if (of > 0) log.ranks = of;
  }
  std::vector<TransferLog> result;
  for (auto& [of, log] : logs) result.push_back(std::move(log));
  if (result.empty()) throw InputError(fmt::format("{}: there are no measurements", file));
  return result;
}

}  // namespace

std::string to_string(TransferKind kind) {
  switch (kind) {
    case TransferKind::all_reduce:
      return "all-reduce";
    case TransferKind::point_to_point:
      return "point-to-point";
    case TransferKind::bandwidth:
      return "bandwidth";
  }
  throw std::logic_error("unknown kind of transfer");
}

std::vector<TransferLog> parse_transfer_log(std::string_view text, const std::string& name,
                                            std::optional<TransferKind> kind,
                                            std::optional<int> ranks) {
  std::vector<Line> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) lines.push_back({lines.size() + 1, line});
  if (lines.empty()) throw InputError(fmt::format("{}: cannot be read or is empty", name));
  const auto contains = [&](const char* what) { return text.find(what) != std::string_view::npos; };
  std::optional<TransferLog> log;
  if (contains("busbw"))
    log = read_nccl(lines, name);
  else if (contains("# OSU"))
    log = read_osu(lines, name);
  else if (lines[0].text.find(',') != std::string::npos)
    return read_csv(text, name, kind.value_or(TransferKind::all_reduce), ranks);
  if (!log)
    refuse(name, 1,
           "expected the output of nccl-tests or of an OSU benchmark, or CSV with columns "
           "bytes and seconds");
  if (kind && *kind != log->kind)
    refuse(name, 1,
           fmt::format("the log is of {}, not of {}", to_string(log->kind), to_string(*kind)));
  if (ranks) log->ranks = ranks;
  need_samples(name, *log);
  return {*log};
}

std::vector<TransferLog> read_transfer_log(const std::filesystem::path& file,
                                           std::optional<TransferKind> kind,
                                           std::optional<int> ranks) {
  return parse_transfer_log(read_file(file, "a log"), file.string(), kind, ranks);
}

}  // namespace paceline
