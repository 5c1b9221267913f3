#include "sim/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>
#include <set>
#include <unordered_map>

#include "base/json.hpp"

namespace paceline {
namespace {

constexpr std::uint32_t kLinksProcess = 1'000'000'000;  // beyond every endpoint's number

// Picoseconds, so that a difference of dates is the difference of what is printed.
std::int64_t picoseconds(double seconds) {
  constexpr double kMost = 9e18;
  return static_cast<std::int64_t>(std::llround(std::min(seconds * 1e12, kMost)));
}

std::string microseconds(std::int64_t picoseconds) {
  constexpr std::int64_t kPerMicrosecond = 1'000'000;
  return fmt::format("{}.{:06}", picoseconds / kPerMicrosecond, picoseconds % kPerMicrosecond);
}

std::string track_name(std::uint32_t track) {
  static const char* const kNames[] = {"steps",    "compute", "copy in",
                                       "copy out", "host",    "communication"};
  if (track <= Recorder::communication) return kNames[track];
  if (track >= Recorder::pulls) return fmt::format("pull from server {}", track - Recorder::pulls);
  if (track >= Recorder::pushes) return fmt::format("push to server {}", track - Recorder::pushes);
  return fmt::format("communication {}", track - Recorder::communication);
}

}  // namespace

// The lines of the file, with a comma between two.
class Recorder::Lines {
 public:
  explicit Lines(std::ostream& out) : out_(out) {}
  void add(const std::string& text) {
    out_ << (first_ ? "" : ",\n") << text;
    first_ = false;
  }
  void name(std::uint32_t process, std::uint32_t track, std::string_view what,
            const std::string& name) {
    add(fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"{}","args":{{"name":{}}}}})", process,
                    track, what, Json(name).dump()));
  }

 private:
  std::ostream& out_;
  bool first_ = true;
};

std::uint32_t Recorder::intern(std::string name) {
  const auto [it, fresh] =
      index_.try_emplace(std::move(name), static_cast<std::uint32_t>(names_.size()));
  if (fresh) names_.push_back(it->first);
  return it->second;
}

void Recorder::span(std::uint32_t worker, std::uint32_t track, std::string name,
                    std::string_view category, double start_s, double end_s, double bytes) {
  if (spans_.size() >= kKept) {
    ++dropped_;
    return;
  }
  const std::uint32_t name_index = intern(std::move(name));
  spans_.push_back(
      {worker, track, name_index, intern(std::string(category)), start_s, end_s, bytes});
}

void Recorder::traffic(std::uint32_t link, double start_s, double end_s, double bytes) {
  if (bytes <= 0 || end_s <= start_s) return;
  if (traffic_.size() >= kKept) {
    ++dropped_;
    return;
  }
  traffic_.push_back({link, start_s, end_s, bytes / (end_s - start_s)});
}

void Recorder::name_worker(std::uint32_t worker, std::string name) {
  workers_.emplace_back(worker, std::move(name));
}

void Recorder::write_names(Lines& lines) const {
  for (const auto& [worker, name] : workers_) lines.name(worker, 0, "process_name", name);
  if (!traffic_.empty()) lines.name(kLinksProcess, 0, "process_name", "links");
  std::set<std::pair<std::uint32_t, std::uint32_t>> tracks;
  for (const Span& span : spans_) tracks.emplace(span.worker, span.track);
  for (const auto& [worker, track] : tracks)
    lines.name(worker, track, "thread_name", track_name(track));
}

// What each link carries, from each date at which that changes.
void Recorder::write_links(Lines& lines) const {
  struct Change {
    double bytes_per_s = 0;
    int transfers = 0;
  };
  std::map<std::uint32_t, std::map<std::int64_t, Change>> links;
  for (const Traffic& traffic : traffic_) {
    Change& begins = links[traffic.link][picoseconds(traffic.start_s)];
    begins.bytes_per_s += traffic.bytes_per_s;
    ++begins.transfers;
    Change& ends = links[traffic.link][picoseconds(traffic.end_s)];
    ends.bytes_per_s -= traffic.bytes_per_s;
    --ends.transfers;
  }
  for (const auto& [link, changes] : links) {
    Change now;
    for (const auto& [date, change] : changes) {
      now.bytes_per_s += change.bytes_per_s;
      now.transfers += change.transfers;
      if (now.transfers == 0) now.bytes_per_s = 0;  // and not what rounding left
      lines.add(fmt::format(
          R"({{"ph":"C","pid":{},"tid":0,"ts":{},"name":{},"args":{{"Gbit/s":{:.6g}}}}})",
          kLinksProcess, microseconds(date), Json(links_[link]).dump(), now.bytes_per_s * 8 / 1e9));
    }
  }
}

void Recorder::write(std::ostream& out) const {
  out << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  Lines lines(out);
  write_names(lines);
  for (const Span& span : spans_) {
    const std::int64_t start = picoseconds(span.start_s);
    const std::string arguments =
        span.bytes < 0 ? "" : fmt::format(R"(,"args":{{"bytes":{:.17g}}})", span.bytes);
    lines.add(fmt::format(
        R"({{"ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":{},"cat":"{}"{}}})", span.worker,
        span.track, microseconds(start), microseconds(picoseconds(span.end_s) - start),
        Json(names_[span.name]).dump(), names_[span.category], arguments));
  }
  write_links(lines);
  out << "\n]}\n";
}

}  // namespace paceline
