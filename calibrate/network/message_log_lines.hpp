#pragma once

#include "calibrate/network/message_log.hpp"

// Shared by the readers of logs.
namespace paceline {

struct LogLine {
  std::size_t number;
  std::string text;
};

/// Throws InputError "file:line: why".
[[noreturn]] void refuse_line(const std::string& file, std::size_t line, const std::string& why);
std::vector<std::string> words_of(const std::string& text);
/// A number > 0; `what` names it in the message.
double positive_number(const std::string& file, std::size_t line, const std::string& what,
                       const std::string& text);
/// Refuses sizes and times that no network has: they would make fits infinite.
MessageSample transfer_sample(const std::string& file, std::size_t line, double bytes,
                              double seconds);
/// Rows of numbers begin with a whole number; anything else is a message of MPI, NCCL or the host,
/// also "192.0.2.1:12:12 [0] NCCL INFO ...". Refuses what is neither.
bool is_row(const std::string& file, const LogLine& line, const std::string& first_word);

/// Takes away what launchers put before each line: "[1,0]<stdout>:" (mpirun --tag-output, also with
/// dates), "3: " (srun -l), "[3] " (mpiexec -prepend-rank), "node01: " (pdsh, kubectl), dates.
void strip_launcher(std::vector<LogLine>& lines);

/// What `nccl-tests -J FILE` writes; `kind` as below.
std::vector<MessageLog> read_nccl_json(std::string_view text, const std::string& file,
                                       std::optional<MessagePattern> kind);
std::vector<MessageLog> read_nccl_log(const std::vector<LogLine>& lines, const std::string& file,
                                      std::optional<MessagePattern> kind);
/// One figure, or one for each size of `ib_write_bw -a`.
std::vector<MessageLog> read_perftest_log(const std::vector<LogLine>& lines,
                                          const std::string& file);
std::vector<MessageLog> read_iperf_log(const std::vector<LogLine>& lines, const std::string& file);
std::vector<MessageLog> read_iperf_json(std::string_view text, const std::string& file);
std::vector<MessageLog> read_osu_log(const std::vector<LogLine>& lines, const std::string& file);

}  // namespace paceline
