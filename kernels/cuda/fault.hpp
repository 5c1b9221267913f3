#pragma once

namespace paceline::cuda {

/// An input that a kernel found wrong: told at the next synchronisation, as a kernel cannot throw.
/// Lives in host memory that the device writes.
struct Fault {
  int kind;  ///< 0 none, 1 token, 2 label
  float value;
};

}  // namespace paceline::cuda
