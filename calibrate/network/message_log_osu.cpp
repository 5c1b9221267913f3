// OSU micro-benchmarks: "# OSU MPI Latency Test v7.4", "# Size  Latency (us)" and numbers.
// Bandwidths are in MB/s of 10^6 bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/error.hpp"
#include "base/text_file.hpp"
#include "calibrate/network/message_log_lines.hpp"

namespace paceline {
namespace {

// Column names hold blanks; two or more stand between them.
std::vector<std::string> columns_of(std::string_view header) {
  std::vector<std::string> columns;
  header.remove_prefix(header.find('#') + 1);
  for (header = trimmed(header); !header.empty(); header = trimmed(header)) {
    const auto end = std::min(header.find("  "), header.find('\t'));
    columns.emplace_back(header.substr(0, end));
    header.remove_prefix(end == std::string_view::npos ? header.size() : end);
  }
  return columns;
}

class OsuReader {
 public:
  explicit OsuReader(const std::string& file) : file_(file) {}

  void read(const LogLine& line) {
    const std::vector<std::string> words = words_of(line.text);
    if (words.empty()) return;
    if (words[0].starts_with('#'))
      comment(line, words);
    else if (is_row(file_, line, words[0]))
      row(line, words);
  }

  std::vector<MessageLog> finish() {
    end_run();
    for (std::size_t i = 0; i < logs_.size(); ++i)
      logs_[i].source = logs_.size() == 1 ? file_ + " (OSU micro-benchmarks)"
                                          : fmt::format("{} (OSU micro-benchmarks, run {} of {})",
                                                        file_, i + 1, logs_.size());
    return std::move(logs_);
  }

 private:
  [[noreturn]] void refuse(std::size_t line, const std::string& why) const {
    refuse_line(file_, line, why);
  }

  void comment(const LogLine& line, const std::vector<std::string>& words) {
    if (words.size() > 1 && words[1] == "OSU") {
      if (begin_ > 0) end_run();
      begin_ = line.number;
      log_.kind = kind_of(line, words);
    } else if (words.size() > 1 && words[1] == "Size") {
      header(line);
    }
  }

  // "# OSU MPI-CUDA Allreduce Latency Test v5.9": exactly three tests are used, of any library.
  MessagePattern kind_of(const LogLine& line, const std::vector<std::string>& words) const {
    std::string test;
    for (std::size_t i = 3; i < words.size(); ++i) {
      const bool version = words[i].size() > 1 && words[i][0] == 'v' &&
                           std::isdigit(static_cast<unsigned char>(words[i][1])) != 0;
      if (!version) test += (test.empty() ? "" : " ") + words[i];
    }
    const std::string library = words.size() > 2 ? words[2] : "";
    const std::string plain = library.substr(0, library.find('-'));  // without "-CUDA"
    if (plain == "MPI" || plain.ends_with("CCL")) {
      if (test == "Latency Test") return MessagePattern::point_to_point;
      if (test == "Bandwidth Test") return MessagePattern::bandwidth;
      if (test == "Allreduce Latency Test") return MessagePattern::all_reduce;
    }
    refuse(line.number, fmt::format("expected osu_latency, osu_bw or osu_allreduce, found '{}'",
                                    trimmed(line.text)));
  }

  void header(const LogLine& line) {
    columns_ = columns_of(line.text);
    const bool bandwidth = log_.kind == MessagePattern::bandwidth;
    const std::string figure = columns_.size() > 1 ? columns_[1] : line.text;
    const auto says = [&](const char* what) { return figure.find(what) != std::string::npos; };
    if (!(bandwidth ? says("Bandwidth") && says("(MB/s)") : says("Lat") && says("(us)")))
      refuse(line.number, "the columns are not those of the benchmark above");
    validated_ = columns_.back() == "Validation";
  }

  void row(const LogLine& line, const std::vector<std::string>& words) {
    if (columns_.empty()) refuse(line.number, "numbers before the line that names the columns");
    if (columns_.size() == 1) columns_.resize(std::max<std::size_t>(2, words.size()));
    if (words.size() != columns_.size())
      refuse(line.number,
             fmt::format("{} columns, expected {}: the log is cut off or of another program",
                         words.size(), columns_.size()));
    if (validated_ && words.back() != "Pass")
      refuse(line.number, fmt::format("the validation says '{}', expected 'Pass'", words.back()));
    if (words[0] == "0") return;
    const double size = positive_number(file_, line.number, "size", words[0]);
    const double figure = positive_number(file_, line.number, "figure", words[1]);
    const bool bandwidth = log_.kind == MessagePattern::bandwidth;
    log_.samples.push_back(transfer_sample(file_, line.number, size,
                                           bandwidth ? size / (figure * 1e6) : figure * 1e-6));
  }

  void end_run() {
    if (log_.samples.empty())
      throw InputError(
          fmt::format("{}:{}: there are no measurements", file_, std::max<std::size_t>(1, begin_)));
    logs_.push_back(std::move(log_));
    log_ = {};
    columns_.clear();
    validated_ = false;
  }

  std::string file_;
  std::size_t begin_ = 0;  // line of the run's title; 0: none yet
  MessageLog log_{MessagePattern::point_to_point, {}, {}, {}};
  std::vector<std::string> columns_;
  bool validated_ = false;
  std::vector<MessageLog> logs_;
};

}  // namespace

std::vector<MessageLog> read_osu_log(const std::vector<LogLine>& lines, const std::string& file) {
  OsuReader reader(file);
  for (const LogLine& line : lines) reader.read(line);
  return reader.finish();
}

}  // namespace paceline
