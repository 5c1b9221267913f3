#pragma once

#include "commands.hpp"

namespace paceline {

/// Commands about the program itself: its files' schemas, completion, manual page.
AddCommand add_schema, add_shell;
inline constexpr AddCommand* kShellCommands[]{add_schema, add_shell};

}  // namespace paceline
