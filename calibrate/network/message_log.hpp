#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// What was timed. No log is read as `all_gather`: only shipped fits are.
enum class MessagePattern { all_reduce, point_to_point, bandwidth, all_gather };
std::string to_string(MessagePattern kind);

struct MessageSample {
  double bytes = 0;
  double seconds = 0;
  std::size_t line = 0;
};

/// What one run of a benchmark says. `bandwidth`: seconds per message of many in flight (osu_bw),
/// so what the wire and the software need for each, without latency.
struct MessageLog {
  MessagePattern kind = MessagePattern::all_reduce;
  std::optional<int> ranks;  ///< of a collective; absent if the log does not say
  std::vector<MessageSample> samples;
  std::string source;  ///< file and form
};

/// Reads the text output of nccl-tests (all_reduce_perf, sendrecv_perf; the out-of-place columns),
/// of the OSU micro-benchmarks (osu_latency, osu_bw, osu_allreduce), of perftest (ib_write_bw),
/// iperf and iperf3 (also its JSON), or a CSV with columns bytes, seconds and perhaps ranks. One log per run in the file and, of a CSV, per number of ranks.
/// `kind` completes a CSV. `ranks` completes what does not say, and of what says drops all-reduces
/// of other numbers. Throws InputError "file:line: ..." for a run that ends too early, other
/// columns, another benchmark, wrong results, sizes or times that no network has.
std::vector<MessageLog> read_message_log(const std::filesystem::path& file,
                                         std::optional<MessagePattern> kind = {},
                                         std::optional<int> ranks = {});
/// The same of a text; `name` stands for the file in messages.
std::vector<MessageLog> parse_message_log(std::string_view text, const std::string& name,
                                          std::optional<MessagePattern> kind = {},
                                          std::optional<int> ranks = {});

}  // namespace paceline
