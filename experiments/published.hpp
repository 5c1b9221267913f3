#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace paceline {

/// What a simulation may know of a published measurement before it is held against it.
enum class RowCategory : std::uint8_t {
  predicted,  ///< nothing from that source but the machine
  driven,     ///< its time on a single GPU, or another figure of it that `why` names
  reported    ///< shown, never scored: suspect or impossible, `why` says so
};
std::string to_string(RowCategory category);

/// What was measured. passes: forward and backward, without update and communication; memory: of
/// the GPU that holds most, allocated: without the framework's context. The latter two in bytes.
enum class RowMeasure : std::uint8_t {
  iteration,
  passes,
  forward,
  backward,
  all_reduce,
  memory,
  allocated
};
/// Bytes, not seconds.
constexpr bool is_memory(RowMeasure measure) {
  return measure == RowMeasure::memory || measure == RowMeasure::allocated;
}
std::string to_string(RowMeasure measure);

/// One measurement, and the experiment that replays it.
struct PublishedRow {
  std::string set, series, name;  ///< name: "8 GPUs"
  RowCategory category = RowCategory::predicted;
  std::string why;        ///< of a row that is not predicted
  bool training = false;  ///< constants may be fitted on it; it is never judged
  RowMeasure measure = RowMeasure::iteration;
  double measured_s = 0;                     ///< of `measure`: seconds, or bytes
  std::optional<double> one_gpu_measured_s;  ///< of the same series, an iteration of one GPU
  bool base = false;  ///< scaling of the others in the series is over this row, not over one GPU
  std::int64_t gpus = 1;
  Json experiment;  ///< "paceline-experiment-1", of one point

  /// "set/series/name": what it is called in lists and messages.
  [[nodiscard]] std::string id() const { return set + "/" + series + "/" + name; }
};

/// What the errors of the judged rows may be, relative; beyond it `validate` ends with exit code 3.
struct ErrorBar {
  double mean = 0, p90 = 0;
};

/// Measurements of one source on one machine and stack: a file of experiments/published, "format":
/// "paceline-published-1"; docs/validation.md says what the keys mean.
struct PublishedSet {
  std::string name, title, source, licence, hardware, software;
  std::vector<std::string> cautions;
  std::optional<ErrorBar> bar;
  std::vector<PublishedRow> rows;
};

/// `name` becomes the set's. Throws InputError "file: $.series[1].rows[0]: ..." for what the format
/// does not allow; the experiments are read when they are replayed.
PublishedSet read_published(const Json& json, const std::string& name, const std::string& file);

/// Texts of the sets in this program, by name.
const std::map<std::string, std::string_view>& published_texts();

/// A shipped set, or the one in a file. Throws InputError naming the nearest.
PublishedSet load_published(const std::string& name_or_path);
/// All shipped sets, by name.
std::vector<PublishedSet> shipped_published();

}  // namespace paceline
