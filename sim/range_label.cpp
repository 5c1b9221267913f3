#include "sim/range_label.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace paceline {

std::string range_label(const ModelShape& model, std::int64_t offset, std::int64_t elements) {
  const auto& tensors = model.tensors;
  const auto first =
      std::upper_bound(tensors.begin(), tensors.end(), offset,
                       [](std::int64_t o, const ModelShape::Item& t) { return o < t.offset; });
  if (first == tensors.begin()) return fmt::format("[{}, {})", offset, offset + elements);
  const ModelShape::Item& from = *(first - 1);
  if (elements == model.elements) return "the whole model";
  if (offset == from.offset && elements == from.elements) return from.name;
  const auto last =
      std::upper_bound(tensors.begin(), tensors.end(), offset + elements - 1,
                       [](std::int64_t o, const ModelShape::Item& t) { return o < t.offset; }) -
      1;
  if (&*last == &from)
    return fmt::format("{}[{}, {})", from.name, offset - from.offset,
                       offset - from.offset + elements);
  return fmt::format("{} .. {}", from.name, last->name);
}

}  // namespace paceline
