#include "sim/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <unordered_map>

#include "base/json.hpp"

namespace paceline {

std::uint32_t Recorder::intern(std::string name) {
  const auto [it, fresh] =
      index_.try_emplace(std::move(name), static_cast<std::uint32_t>(names_.size()));
  if (fresh) names_.push_back(it->first);
  return it->second;
}

void Recorder::span(std::uint32_t worker, std::uint32_t track, std::string name,
                    std::string_view category, double start_s, double end_s) {
  if (spans_.size() >= kKept) {
    ++dropped_;
    return;
  }
  const std::uint32_t name_index = intern(std::move(name));
  spans_.push_back({worker, track, name_index, intern(std::string(category)), start_s, end_s});
}

void Recorder::name_worker(std::uint32_t worker, std::string name) {
  workers_.emplace_back(worker, std::move(name));
}

void Recorder::write(std::ostream& out) const {
  static const char* const kTracks[] = {"compute", "copy in", "copy out", "host"};
  out << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  bool first = true;
  const auto line = [&](const std::string& text) {
    out << (first ? "" : ",\n") << text;
    first = false;
  };
  for (const auto& [worker, name] : workers_)
    line(fmt::format(R"({{"ph":"M","pid":{},"tid":0,"name":"process_name","args":{{"name":{}}}}})",
                     worker, Json(name).dump()));
  std::map<std::pair<std::uint32_t, std::uint32_t>, bool> tracks;
  for (const Span& span : spans_) tracks[{span.worker, span.track}] = true;
  for (const auto& [key, used] : tracks) {
    const std::string name = key.second < communication ? kTracks[key.second]
                             : key.second == communication
                                 ? std::string("communication")
                                 : fmt::format("communication {}", key.second - communication);
    line(
        fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})",
                    key.first, key.second, name));
  }
  for (const Span& span : spans_)
    line(fmt::format(
        R"({{"ph":"X","pid":{},"tid":{},"ts":{:.6f},"dur":{:.6f},"name":{},"cat":"{}"}})",
        span.worker, span.track, span.start_s * 1e6, (span.end_s - span.start_s) * 1e6,
        Json(names_[span.name]).dump(), names_[span.category]));
  out << "\n]}\n";
}

}  // namespace paceline
