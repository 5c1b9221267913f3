#include <algorithm>
#include <array>
#include <regex>
#include <set>

#include "calibrate/network/message_log_lines.hpp"

namespace paceline {
namespace {

constexpr std::size_t kLongestPrefix = 160;

const std::array<std::regex, 5>& prefixes() {
  static const std::array<std::regex, 5> patterns{
      // "Fri Feb 26 10:11:12 2021", with a zone or without
      std::regex(
          R"(\s*[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d( [A-Z]{3,5})? \d{4}:? ?)"),
      // "2024-05-01T10:11:12.123456Z", "[2024-05-01 10:11:12,123]"
      std::regex(R"(\s*\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:?\d\d)?\]?:? ?)"),
      // "[1,0]<stdout>:", "[prterun-node-4@1,0]<stdout>: "
      std::regex(R"(\[[^\]\s]{1,80}\]<std[a-z]{3,4}> ?: ?)"),
      std::regex(R"(\s*\d{1,7}: ?(?=[\s#\d]|$))"),     // "12: "
      std::regex(R"(\[\d{1,7}\] (?=\s*[#\d]|\s*$))"),  // "[12] "
  };
  return patterns;
}

// Before "#" it is a launcher's; "WARNING: 5 of 8 ..." is not.
const std::regex& host() {
  static const std::regex pattern(R"([A-Za-z][\w.-]{0,63}(?=: ?\s*#))");
  return pattern;
}

std::size_t matched(const std::string& text, const std::regex& pattern) {
  std::smatch match;
  const auto end =
      text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), kLongestPrefix));
  if (!std::regex_search(text.begin(), end, match, pattern, std::regex_constants::match_continuous))
    return 0;
  return static_cast<std::size_t>(match.length());
}

}  // namespace

void strip_launcher(std::vector<LogLine>& lines) {
  std::set<std::string> hosts;
  const auto strip = [](std::string& text) {
    for (bool again = true; again && !text.empty();) {
      again = false;
      for (const std::regex& pattern : prefixes())
        if (const std::size_t length = matched(text, pattern); length > 0) {
          text.erase(0, length);
          again = true;
        }
    }
  };
  for (LogLine& line : lines) {
    strip(line.text);
    if (const std::size_t length = matched(line.text, host()); length > 0)
      hosts.insert(line.text.substr(0, length));
  }
  for (LogLine& line : lines) {
    const std::size_t colon = line.text.find(": ");
    if (colon == std::string::npos || !hosts.contains(line.text.substr(0, colon))) continue;
    line.text.erase(0, colon + 2);
    strip(line.text);
  }
}

}  // namespace paceline
