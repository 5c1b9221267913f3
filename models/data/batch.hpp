#pragma once

#include <vector>

namespace paceline {

/// What one step of training or evaluation reads, row-major in host memory.
struct Batch {
  std::vector<float> inputs;  ///< [samples, sample shape]; token numbers as whole numbers
  std::vector<float> labels;  ///< class numbers: [samples], or [samples, steps] for sequences
};

}  // namespace paceline
