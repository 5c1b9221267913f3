#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace paceline {

/// Traces of one run on two clocks: a simulated one, and one that real ranks have written.
///
/// The k-th operation of a name on a worker's stream is the same in both. On a stream the durations
/// and the idle times before operations add up to the date at which its last one ends, so that what
/// both differ in there is spread over the operations without a rest.
struct TraceComparison {
  /// All operations of one name on one stream of the workers, means over the workers.
  struct Operation {
    std::string stream, name;
    double count = 0;                    ///< per worker, in both traces
    double simulated_s = 0, real_s = 0;  ///< of one
    double longer_s = 0, later_s = 0;    ///< real less simulated, of all: taking; idle before
    [[nodiscard]] double both_s() const { return longer_s + later_s; }
  };
  struct Stream {
    std::string name;
    double simulated_s = 0, real_s = 0;  ///< end of the last operation, mean over the workers
    double simulated_busy_s = 0, real_busy_s = 0;
  };
  std::size_t workers = 0;
  std::vector<Stream> streams;
  std::vector<Operation> operations;               ///< the largest difference first
  std::int64_t only_simulated = 0, only_real = 0;  ///< operations that the other has not
};

/// Trace files as `paceline run --trace` and `paceline-mpi run --trace` write them; the latter one a
/// rank. Throws InputError for others, and where no operation is in both.
TraceComparison compare_traces(const std::filesystem::path& simulated,
                               const std::vector<std::filesystem::path>& real);

}  // namespace paceline
