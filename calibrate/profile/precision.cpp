#include "calibrate/profile/precision.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace paceline {

const std::vector<std::string>& precision_names() {
  static const std::vector<std::string> names{"fp32",     "tf32", "amp-fp16",
                                              "amp-bf16", "fp16", "bf16"};
  return names;
}

std::string to_string(Precision precision) {
  return precision_names().at(static_cast<std::size_t>(precision));
}

Precision precision_from_name(std::string_view name) {
  const auto& names = precision_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw InputError(unknown_name("precision", name, names));
  return static_cast<Precision>(found - names.begin());
}

Precision precision_of_profile(std::string_view name) {
  const auto& names = precision_names();
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? Precision::fp32 : static_cast<Precision>(found - names.begin());
}

ElementBytes element_bytes(Precision precision) {
  switch (precision) {
    case Precision::fp32:
    case Precision::tf32:
      return {};
    case Precision::amp_fp16:
    case Precision::amp_bf16:
      return {2, 6, 4, 0, 6};
    case Precision::fp16:
    case Precision::bf16:
      return {2, 2, 2, 4, 0};
  }
  return {};
}

std::string default_wire(Precision precision) {
  if (precision == Precision::fp16) return "fp16";
  return precision == Precision::bf16 ? "bf16" : "fp32";
}

const std::vector<std::string>& wire_names() {
  static const std::vector<std::string> names{"fp32", "fp16", "bf16"};
  return names;
}

std::string kept_in_fp32(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return "";
    case Precision::tf32:
      return "everything but convolutions and matrix products";
    case Precision::amp_fp16:
    case Precision::amp_bf16:
      return "weights, gradients, optimiser, norms, softmax and loss";
    case Precision::fp16:
    case Precision::bf16:
      return "master weights, optimiser, norms, softmax and loss";
  }
  return "";
}

}  // namespace paceline
