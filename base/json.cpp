#include "base/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

constexpr int kDeepest = 200;  // what is nested deeper is no file of ours, and overflows the stack

// nlohmann's parse keeps the last of two equal keys silently; this callback refuses the second one.
// It also bounds the depth: copies, writing and reading recurse.
class ParseChecks {
 public:
  explicit ParseChecks(const std::string& name) : name_(name) {}
  bool operator()(int depth, nlohmann::detail::parse_event_t event, const Json& parsed) {
    using enum nlohmann::detail::parse_event_t;
    if (depth >= kDeepest && (event == object_start || event == array_start))
      throw InputError(
          fmt::format("{}: objects and arrays are nested more than {} deep", name_, kDeepest));
    if (event == object_start) keys_.emplace_back();
    if (event == object_end) keys_.pop_back();
    if (event == key && !keys_.back().insert(parsed.get<std::string>()).second)
      throw InputError(fmt::format("{}: key '{}' appears twice in one object", name_,
                                   parsed.get<std::string>()));
    return true;
  }

 private:
  const std::string& name_;
  std::vector<std::set<std::string>> keys_;
};

// "line 2, column 5" of a byte of the text.
std::string place(std::string_view text, std::size_t byte) {
  const std::size_t at = std::min(byte, text.size());
  const auto line =
      1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  const std::size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  return fmt::format("line {}, column {}", line,
                     newline == std::string_view::npos ? at + 1 : at - newline);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& name) {
  try {
    return Json::parse(text, ParseChecks(name));
  } catch (const nlohmann::json::parse_error& error) {
    std::string what = error.what();
    if (const auto colon = what.find("; "); colon != std::string::npos)
      what = what.substr(colon + 2);
    else if (const auto dash = what.find(": "); dash != std::string::npos)
      what = what.substr(dash + 2);
    throw InputError(fmt::format("{}: {}: not JSON: {}", name,
                                 place(text, error.byte > 0 ? error.byte - 1 : 0), what));
  } catch (const nlohmann::json::out_of_range& error) {  // "...number overflow parsing '1e999'"
    const std::string_view what = error.what();
    const std::size_t from = what.find('\'') + 1;
    const std::string_view number = what.substr(from, what.rfind('\'') - from);
    throw InputError(fmt::format("{}: {}: the number {} is too large", name,
                                 place(text, text.find(number)), number));
  }
}

Json parse_json_or_text(std::string_view text, const std::string& name) {
  return Json::accept(text) ? parse_json(text, name) : Json(std::string(text));
}

Json load_json(const std::filesystem::path& file) {
  return parse_json(read_file(file, "a JSON file"), file.string());
}

void save_json(const std::filesystem::path& file, const Json& json) {
  save_text(file, json.dump(2) + '\n');  // dump before anything is on the disk: it may throw
}

OwnedJson::OwnedJson() : OwnedJson(Json::object()) {}
OwnedJson::OwnedJson(Json json) : json_(std::make_unique<Json>(std::move(json))) {}
OwnedJson::OwnedJson(const OwnedJson& other) : OwnedJson(*other) {}
OwnedJson::OwnedJson(OwnedJson&& other) noexcept = default;
OwnedJson& OwnedJson::operator=(OwnedJson other) noexcept {
  json_.swap(other.json_);
  return *this;
}
bool OwnedJson::operator==(const OwnedJson& other) const {
  return *json_ == *other.json_;
}
OwnedJson::~OwnedJson() = default;

}  // namespace paceline
