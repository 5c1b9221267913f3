#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/layer_log.hpp"

namespace paceline {

/// Events of a run for the Chrome/Perfetto trace viewer: one process per worker, one track per
/// stream.
class Recorder {
 public:
  static constexpr std::size_t kKept = 2'000'000;  ///< spans; what comes later is only counted

  /// Streams of a worker or server.
  enum Track : std::uint32_t {
    compute = 0,
    copy_in = 1,
    copy_out = 2,
    host = 3,
    communication = 4
  };
  /// `track` of communication stream i is communication + i.
  void span(std::uint32_t worker, std::uint32_t track, std::string name, std::string_view category,
            double start_s, double end_s);
  void name_worker(std::uint32_t worker, std::string name);  ///< or a server's host
  [[nodiscard]] std::size_t size() const { return spans_.size(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  /// Trace Event Format (JSON object form): "X" events in microseconds, metadata events for the
  /// names.
  void write(std::ostream& out) const;

  std::optional<LayerLog>
      layers;  ///< of the first job, where it is wanted: to be set before the run

 private:
  struct Span {
    std::uint32_t worker, track;
    std::uint32_t name, category;
    double start_s, end_s;
  };
  std::uint32_t intern(std::string name);

  std::vector<Span> spans_;
  std::vector<std::string> names_;
  std::vector<std::pair<std::uint32_t, std::string>> workers_;
  std::uint64_t dropped_ = 0;
  std::unordered_map<std::string, std::uint32_t> index_;  // into names_
};

}  // namespace paceline
