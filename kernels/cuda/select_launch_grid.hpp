#pragma once

namespace paceline::cuda {

/// How the selection fills a device: blocks that are resident at once.
struct SelectGrid {
  unsigned collect_blocks;
  unsigned resolve_blocks;
};

}  // namespace paceline::cuda
