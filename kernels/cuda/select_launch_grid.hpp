#pragma once

namespace paceline::cuda {

/// How the selection fills a device: blocks that are resident at once.
struct SelectGrid {
  unsigned collect_blocks;
  unsigned resolve_blocks;
};
/// One for each source's kernels, which differ in registers.
struct SelectGrids {
  SelectGrid plain, error_feedback, momentum;
};

}  // namespace paceline::cuda
