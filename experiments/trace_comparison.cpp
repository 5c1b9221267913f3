#include "experiments/trace_comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

using StreamKey = std::pair<std::int64_t, std::int64_t>;  // worker, stream

struct Event {
  std::string name;
  double start_s, duration_s;
};

struct Trace {
  std::map<StreamKey, std::vector<Event>> streams;  // each by start
  std::map<std::int64_t, std::string> names;        // of streams, by number
};

void read_event(const Json& event, Trace& trace) {
  const StreamKey key(event.at("pid").get<std::int64_t>(), event.at("tid").get<std::int64_t>());
  const auto phase = event.at("ph").get<std::string>();
  if (phase == "X")
    trace.streams[key].push_back({event.at("name").get<std::string>(),
                                  1e-6 * event.at("ts").get<double>(),
                                  1e-6 * event.at("dur").get<double>()});
  else if (phase == "M" && event.at("name") == "thread_name")
    trace.names[key.second] = event.at("args").at("name").get<std::string>();
}

void read_trace(const std::filesystem::path& file, Trace& trace) {
  const Json json = load_json(file);
  if (!json.is_object() || !json.contains("traceEvents"))
    throw InputError(
        fmt::format("{}: is no trace (expected \"traceEvents\"): 'paceline run --trace FILE' and "
                    "'paceline-mpi run --trace FILE' write one",
                    file.string()));
  try {
    for (const Json& event : json.at("traceEvents")) read_event(event, trace);
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{}: $.traceEvents: {}", file.string(), error.what()));
  }
}

void sort(Trace& trace) {
  for (auto& [key, events] : trace.streams)
    std::stable_sort(events.begin(), events.end(),
                     [](const Event& a, const Event& b) { return a.start_s < b.start_s; });
}

// An event in its stream: the idle time before it, negative where it overlaps the one before.
struct Placed {
  double idle_s = 0, duration_s = 0;
};

// By name and number among those of that name.
std::map<std::pair<std::string, std::int64_t>, Placed> placed(const std::vector<Event>& events) {
  std::map<std::pair<std::string, std::int64_t>, Placed> found;
  std::map<std::string, std::int64_t> counts;
  double end = 0;
  for (const Event& event : events) {
    found[{event.name, counts[event.name]++}] = {event.start_s - end, event.duration_s};
    end = event.start_s + event.duration_s;
  }
  return found;
}

double busy_s(const std::vector<Event>& events) {
  double sum = 0;
  for (const Event& event : events) sum += event.duration_s;
  return sum;
}

double end_s(const std::vector<Event>& events) {
  return events.empty() ? 0 : events.back().start_s + events.back().duration_s;
}

}  // namespace

TraceComparison compare_traces(const std::filesystem::path& simulated,
                               const std::vector<std::filesystem::path>& real) {
  Trace sim, measured;
  read_trace(simulated, sim);
  for (const std::filesystem::path& file : real) read_trace(file, measured);
  sort(sim);
  sort(measured);
  TraceComparison comparison;
  std::map<std::int64_t, TraceComparison::Stream> streams;
  std::map<std::pair<std::int64_t, std::string>, TraceComparison::Operation> operations;
  std::set<std::int64_t> workers;
  for (const auto& [key, events] : measured.streams) {
    const auto here = sim.streams.find(key);
    if (here == sim.streams.end()) {
      comparison.only_real += static_cast<std::int64_t>(events.size());
      continue;
    }
    workers.insert(key.first);
    TraceComparison::Stream& stream = streams[key.second];
    stream.name = measured.names[key.second];
    stream.simulated_s += end_s(here->second);
    stream.real_s += end_s(events);
    stream.simulated_busy_s += busy_s(here->second);
    stream.real_busy_s += busy_s(events);
    auto expected = placed(here->second);
    for (const auto& [which, found] : placed(events)) {
      const auto match = expected.find(which);
      if (match == expected.end()) {
        ++comparison.only_real;
        continue;
      }
      TraceComparison::Operation& operation = operations[{key.second, which.first}];
      operation.stream = stream.name;
      operation.name = which.first;
      operation.count += 1;
      operation.simulated_s += match->second.duration_s;
      operation.real_s += found.duration_s;
      operation.longer_s += found.duration_s - match->second.duration_s;
      operation.later_s += found.idle_s - match->second.idle_s;
      expected.erase(match);
    }
    comparison.only_simulated += static_cast<std::int64_t>(expected.size());
  }
  // Of workers whose trace is not given nothing is asked.
  for (const auto& [key, events] : sim.streams)
    if (workers.count(key.first) != 0 && measured.streams.count(key) == 0)
      comparison.only_simulated += static_cast<std::int64_t>(events.size());
  if (operations.empty())
    throw InputError(
        fmt::format("{}: no operation of it is in {}: are these traces of the same experiment?",
                    simulated.string(), real.front().string()));
  comparison.workers = workers.size();
  const auto n = static_cast<double>(workers.size());
  for (auto& [number, stream] : streams) {
    for (double* sum :
         {&stream.simulated_s, &stream.real_s, &stream.simulated_busy_s, &stream.real_busy_s})
      *sum /= n;
    comparison.streams.push_back(stream);
  }
  for (auto& [key, operation] : operations) {
    operation.simulated_s /= operation.count;
    operation.real_s /= operation.count;
    operation.count /= n;
    operation.longer_s /= n;
    operation.later_s /= n;
    comparison.operations.push_back(operation);
  }
  std::stable_sort(
      comparison.operations.begin(), comparison.operations.end(),
      [](const auto& a, const auto& b) { return std::abs(a.both_s()) > std::abs(b.both_s()); });
  return comparison;
}

}  // namespace paceline
