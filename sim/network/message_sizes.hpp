#pragma once

#include <cstdint>

namespace paceline {

/// Where the sizes of messages come from: what is sent says them (a selection of k entries sends
/// k); the values, counted; or, where those decide, the expectation that the schedule goes by.
enum class MessageSizes : std::uint8_t { fixed, actual, expected };
const char* to_string(MessageSizes sizes);

}  // namespace paceline
