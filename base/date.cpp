#include "base/date.hpp"

#include <fmt/chrono.h>

#include <ctime>

namespace paceline {

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace paceline
