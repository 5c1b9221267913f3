#include "models/model_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/units.hpp"

namespace paceline {

NamedOptions split_options(std::string_view text) {
  NamedOptions split;
  const std::size_t file = text.find(".json");  // a path may have colons of its own
  std::size_t colon =
      std::min(text.find(':', file == std::string_view::npos ? 0 : file), text.size());
  split.name = text.substr(0, colon);
  while (colon < text.size()) {
    const std::size_t start = colon + 1;
    colon = std::min(text.find(':', start), text.size());
    const std::string_view option = text.substr(start, colon - start);
    const std::size_t equals = option.find('=');
    const auto fail = [&](const char* why) {
      throw InputError(
          fmt::format("model '{}': option '{}' {} (expected e.g. seq=128)", text, option, why));
    };
    if (equals == std::string_view::npos || equals == 0) fail("has no value");
    double value = 0;
    try {
      value = parse_count(option.substr(equals + 1));
    } catch (const InputError&) {
      fail("is no number");
    }
    if (!(value >= 1 && value <= 1e9) || value != std::floor(value))
      fail("is no whole number from 1 to 1e9");
    if (!split.options.emplace(option.substr(0, equals), static_cast<std::int64_t>(value)).second)
      fail("stands twice");
  }
  return split;
}

std::string options_text(const std::map<std::string, std::int64_t>& options) {
  std::string text;
  for (const auto& [key, value] : options) text += fmt::format(":{}={}", key, value);
  return text;
}

}  // namespace paceline
