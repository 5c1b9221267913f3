#pragma once

#include <string_view>
#include <vector>

namespace paceline {

/// A reader of ours, given any bytes as its input. It returns whether it takes or refuses them
/// (InputError); whatever else it throws, and each crash, is a finding.
struct FuzzReader {
  const char* name;  ///< also of its folder in corpus/
  void (*read)(std::string_view bytes);
};

const std::vector<FuzzReader>& fuzz_readers();

}  // namespace paceline
