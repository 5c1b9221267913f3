#pragma once

namespace paceline {

/// What `git describe` said when the build was configured: "v0.1.0-12-gabcdef".
const char* version();

}  // namespace paceline
