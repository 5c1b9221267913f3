#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sim/layer_log.hpp"

namespace paceline {

/// Events of a run for the Chrome/Perfetto trace viewer: one process per worker, one track per
/// stream, and one process with a counter per link.
class Recorder {
 public:
  /// Spans, and transfers over links; what comes later is only counted.
  static constexpr std::size_t kKept = 2'000'000;
  static constexpr double kNoBytes = -1;

  /// Streams of a worker or server, in the order in which viewers show them.
  enum Track : std::uint32_t {
    steps = 0,
    compute = 1,
    copy_in = 2,
    copy_out = 3,
    host = 4,
    communication = 5,   ///< and one more for each further communication stream
    pushes = 1'000'000,  ///< to server 0, and one more for each further server
    pulls = 2'000'000    ///< from server 0
  };
  /// Spans of one track follow one another, or one holds the other.
  void span(std::uint32_t worker, std::uint32_t track, std::string name, std::string_view category,
            double start_s, double end_s, double bytes = kNoBytes);
  /// A link carries so many bytes, evenly from `start_s` to `end_s`.
  void traffic(std::uint32_t link, double start_s, double end_s, double bytes);
  void name_links(std::vector<std::string> names) { links_ = std::move(names); }
  void name_worker(std::uint32_t worker, std::string name);  ///< or a server's host
  [[nodiscard]] std::size_t size() const { return spans_.size(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  /// Trace Event Format (JSON object form): "X" events in microseconds to the picosecond, a span
  /// that follows another begins exactly where that ends; "C" events for links; metadata events for
  /// the names.
  void write(std::ostream& out) const;

  std::optional<LayerLog>
      layers;  ///< of the first job, where it is wanted: to be set before the run

 private:
  struct Span {
    std::uint32_t worker, track;
    std::uint32_t name, category;
    double start_s, end_s;
    double bytes;
  };
  struct Traffic {
    std::uint32_t link;
    double start_s, end_s;
    double bytes_per_s;
  };
  class Lines;
  std::uint32_t intern(std::string name);
  void write_names(Lines& lines) const;
  void write_links(Lines& lines) const;

  std::vector<Span> spans_;
  std::vector<Traffic> traffic_;
  std::vector<std::string> links_;
  std::vector<std::string> names_;
  std::vector<std::pair<std::uint32_t, std::string>> workers_;
  std::uint64_t dropped_ = 0;
  std::unordered_map<std::string, std::uint32_t> index_;  // into names_
};

}  // namespace paceline
