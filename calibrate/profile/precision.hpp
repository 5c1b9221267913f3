#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// What a step computes in; what workers send each other is another matter (`wire`).
/// - fp32; tf32: fp32 whose matrix products and convolutions use the TF32 units
/// - amp_fp16, amp_bf16: autocast. Weights, gradients and optimiser are fp32; matrix products and
///   convolutions read weights cast to 16 bits in every forward pass, activations are 16 bits
/// - fp16, bf16: weights, gradients and activations are 16 bits, optimiser state and a master copy
///   of the weights fp32 (Apex O2, Horovod's fp16, MXNet's multi-precision, Megatron's bf16)
/// Norms, softmax, the loss and the optimiser always compute in fp32.
enum class Precision : std::uint8_t { fp32, tf32, amp_fp16, amp_bf16, fp16, bf16 };

const std::vector<std::string>& precision_names();  ///< "amp-fp16"
std::string to_string(Precision precision);
/// Throws InputError with the nearest name.
Precision precision_from_name(std::string_view name);
/// Of a profile, which may say anything: unknown ones are fp32.
Precision precision_of_profile(std::string_view name);

/// Bytes of one element.
struct ElementBytes {
  double activations = 4;
  double weights = 4;  ///< with the 16-bit copies that autocast keeps
  double gradients = 4;
  double master = 0;       ///< of the fp32 copy of the weights that the optimiser changes
  double weight_cast = 0;  ///< moved per parameter in each forward pass
};
ElementBytes element_bytes(Precision precision);

/// What gradients are sent in where nobody says it: what they are computed in. "fp32", ...
std::string default_wire(Precision precision);
const std::vector<std::string>& wire_names();  ///< fp32, fp16, bf16

/// "batch norm, layer norm, softmax and loss": what stays fp32; "" where everything does.
std::string kept_in_fp32(Precision precision);

}  // namespace paceline
