#pragma once

#include <string>

namespace paceline {

/// "2026-11-30T07:31:43Z", now.
std::string utc_now();

}  // namespace paceline
