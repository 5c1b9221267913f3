#pragma once

namespace paceline {

/// What results and `--version` call this program: the project's version and what `git describe`
/// said when it was built, "0.1.0-v0.1.0-12-gabcdef"; without git the former only. Of the target
/// paceline_version, which alone is built again when it changes.
const char* version();

}  // namespace paceline
