#pragma once

#include "base/json.hpp"

namespace paceline {

/// ResNet-50 on 16 GPUs: what most tests of experiments ask, with a key or two of their own.
inline Json small() {
  return {{"format", "paceline-experiment-1"},
          {"model", "resnet50"},
          {"batch", 32},
          {"cluster", "16x1-1080ti-10gbe"}};
}

}  // namespace paceline
