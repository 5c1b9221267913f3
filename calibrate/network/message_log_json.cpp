// nccl-tests since 2.17: `-J FILE` writes the table as JSON too (src/util.cu there).
#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/network/message_log_lines.hpp"

namespace paceline {
namespace {

// The same table as text, which one reader judges. Below, of the JSON's own names.
class JsonLog {
 public:
  JsonLog(const Json& json, std::string file) : json_(json), file_(std::move(file)) {}

  std::vector<LogLine> lines() {
    const auto results = json_.find("results");
    if (results == json_.end() || !results->is_array())
      refuse("expected 'results', as nccl-tests -J writes them");
    if (const std::string program = test(); !program.empty())
      add(0, "# Collective test starting: " + program);
    ranks();
    add(0, "# size count type redop root time algbw busbw #wrong time algbw busbw #wrong");
    for (std::size_t i = 0; i < results->size(); ++i) result((*results)[i], i);
    if (const auto bounds = json_.find("out_of_bounds");
        bounds != json_.end() && bounds->is_object() && bounds->contains("count"))
      add(results->size(), "# Out of bounds values : " + bounds->at("count").dump());
    add(results->size(), "# Avg bus bandwidth :");
    return std::move(lines_);
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw InputError(fmt::format("{}: {}", file_, why));
  }
  void add(std::size_t row, std::string text) { lines_.push_back({row, std::move(text)}); }

  // The name of the program, or of the collective.
  [[nodiscard]] std::string test() const {
    if (const auto args = json_.find("args");
        args != json_.end() && args->is_array() && !args->empty() && args->front().is_string())
      return std::filesystem::path(args->front().get<std::string>()).filename().string();
    const auto config = json_.find("config");
    if (config == json_.end() || !config->is_object() || !config->contains("collective")) return "";
    if (!config->at("collective").is_string()) refuse("$.config.collective: expected a string");
    return config->at("collective").get<std::string>();
  }

  void ranks() {
    const auto config = json_.find("config");
    if (config == json_.end() || !config->is_object() || !config->contains("devices")) return;
    const Json& devices = config->at("devices");
    if (!devices.is_array()) refuse("$.config.devices: expected an array");
    for (const Json& device : devices)
      if (device.is_object() && device.contains("rank"))
        add(0, "# Rank " + device.at("rank").dump());
  }

  void result(const Json& result, std::size_t row) {
    const auto fail = [&](const char* key, const std::string& expected) {
      refuse(fmt::format("$.results[{}].{}: expected {}", row, key, expected));
    };
    if (!result.is_object()) refuse(fmt::format("$.results[{}]: expected an object", row));
    std::string line;
    for (const char* key : {"size", "count", "type", "redop", "root"}) {
      const auto found = result.find(key);
      if (found == result.end()) fail(key, "a value");
      line += ' ' + word(found->is_string() ? found->get<std::string>() : found->dump());
    }
    for (const char* place : {"out_of_place", "in_place"}) {
      const auto found = result.find(place);
      if (found == result.end() || !found->is_object()) fail(place, "the times of a collective");
      if (found->contains("cpu_time"))
        fail(place, "the collectives' times, not the CPU's (-C, --report_cputime)");
      for (const char* key : {"time", "alg_bw", "bus_bw", "nwrong"}) {
        const auto figure = found->find(key);
        if (figure == found->end()) fail(place, fmt::format("'{}'", key));
        line += ' ' + (figure->is_null() ? "N/A" : number(*figure, key));
      }
    }
    add(row, line);
  }

  // As the text has it: of bandwidths two digits after the point, which may be all 0.
  [[nodiscard]] static std::string number(const Json& value, std::string_view key) {
    if (!value.is_number()) return word(value.dump());
    const auto figure = value.get<double>();
    if (key.ends_with("_bw") && std::abs(figure) < 0.005) return "0.00";
    return fmt::format("{}", figure);
  }

  // Of one column.
  static std::string word(std::string text) {
    std::erase_if(text, [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '"'; });
    return text.empty() ? "-" : text;
  }

  const Json& json_;
  std::string file_;
  std::vector<LogLine> lines_;
};

}  // namespace

std::vector<MessageLog> read_nccl_json(std::string_view text, const std::string& file,
                                       std::optional<MessagePattern> kind) {
  const Json json = parse_json(text, file);
  std::vector<MessageLog> logs =
      read_nccl_log(JsonLog(json, file).lines(), file + ": $.results", kind);
  for (MessageLog& log : logs) log.source = file + " (nccl-tests)";
  return logs;
}

}  // namespace paceline
