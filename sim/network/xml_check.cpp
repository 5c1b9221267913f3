#include "sim/network/xml_check.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
const std::set<std::string_view> kRates{"bandwidth", "bw",     "bb_bw", "loopback_bw",
                                        "bw_in",     "bw_out", "speed"},
    kDelays{"latency", "lat", "bb_lat", "loopback_lat"};

using Attributes = std::map<std::string_view, std::string_view>;

// What stands between `<name` and `>`.
Attributes attributes_of(std::string_view tag) {
  Attributes attributes;
  for (;;) {
    const std::size_t begin = tag.find_first_not_of(kSpace), equals = tag.find('=');
    if (begin == tag.npos || equals == tag.npos || equals < begin) return attributes;
    const std::string_view name = tag.substr(begin, tag.find_first_of("= \t\r\n", begin) - begin);
    const std::size_t quote = tag.find_first_of("\"'", equals);
    if (quote == tag.npos) return attributes;
    const std::size_t end = tag.find(tag[quote], quote + 1);
    if (end == tag.npos) return attributes;
    attributes[name] = tag.substr(quote + 1, end - quote - 1);
    tag.remove_prefix(end + 1);
  }
}

// A speed may be a list, one for each state of the processor.
bool good(std::string_view values, bool zero_allowed) {
  for (;;) {
    const std::size_t comma = values.find(',');
    std::string_view text = values.substr(0, comma);
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range) return false;
    // What is no number at all is SimGrid's to refuse.
    if (error == std::errc{} &&
        (!std::isfinite(value) || value < 0 || (value == 0 && !zero_allowed)))
      return false;
    if (comma == values.npos) return true;
    values.remove_prefix(comma + 1);
  }
}

}  // namespace

void check_platform_values(std::string_view xml, const std::string& file) {
  for (std::size_t at = 0; (at = xml.find('<', at)) != xml.npos;) {
    if (xml.substr(at).starts_with("<!--")) {
      at = std::min(xml.find("-->", at), xml.size());
      continue;
    }
    const std::size_t end = std::min(xml.find('>', at), xml.size());
    const std::string_view tag = xml.substr(at + 1, end - at - 1);
    const std::size_t name_end = std::min(tag.find_first_of(kSpace), tag.size());
    const Attributes attributes = attributes_of(tag.substr(name_end));
    for (const auto& [key, value] : attributes) {
      const bool delay = kDelays.contains(key);
      if ((!delay && !kRates.contains(key)) || good(value, delay)) continue;
      const auto id = attributes.find("id");
      throw InputError(fmt::format("{}: {} '{}': {} '{}' must be {} and finite", file,
                                   tag.substr(0, name_end),
                                   id == attributes.end() ? "" : id->second, key, value,
                                   delay ? "zero or more" : "greater than zero"));
    }
    at = end;
  }
}

}  // namespace paceline
