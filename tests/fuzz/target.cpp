// One libFuzzer target for the reader PACELINE_FUZZ_READER.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const paceline::FuzzReader reader =
      *std::find_if(paceline::fuzz_readers().begin(), paceline::fuzz_readers().end(),
                    [](const paceline::FuzzReader& known) {
                      return std::string_view(known.name) == PACELINE_FUZZ_READER;
                    });
  reader.read({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
