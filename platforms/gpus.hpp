#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// A card: a row of platforms/gpus.json, or what a user says of another (gpu_file.hpp). Peak
/// figures of the vendor unless `source` says otherwise; 0 where a figure is not known or does not
/// apply.
struct GpuSpec {
  std::string name;                  ///< the name used in files and results
  std::vector<std::string> aliases;  ///< further names
  int cc_major = 0, cc_minor = 0;    ///< NVIDIA's compute capability
  int sms = 0;
  int fp32_lanes = 0;  ///< per SM
  double base_hz = 0, boost_hz = 0;
  double fp32_flops = 0;  ///< FLOP/s at boost clock, multiply-add counted as two
  /// FLOP/s of dense matrix products that accumulate in fp32; 0: no units for them.
  double tf32_flops = 0, fp16_flops = 0, bf16_flops = 0;
  double memory_bytes = 0;  ///< vendors' "GB" of memory are GiB
  double memory_bandwidth = 0;
  double l2_bytes = 0;
  int pcie_generation = 0, pcie_lanes = 0;
  double nvlink_bandwidth = 0;  ///< bytes/s, both directions together
  double watts = 0;
  std::string source;
  /// Keys of figures that nobody gave and that are therefore another card's.
  std::set<std::string> assumed;

  [[nodiscard]] bool knows(const char* figure) const { return !assumed.contains(figure); }
  bool operator==(const GpuSpec&) const = default;
};

/// Every known GPU, oldest first.
std::span<const GpuSpec> gpus();

/// The GPU of that name or alias; case, blanks, '-', '_' and the words NVIDIA, GeForce, Tesla, AMD
/// and Instinct do not count. Null if there is none.
const GpuSpec* known_gpu(std::string_view name);
/// The same; throws InputError naming the nearest, also among the aliases.
const GpuSpec& find_gpu(std::string_view name);
/// Whether both are names of one card, of the table or not.
bool same_gpu(std::string_view one, std::string_view other);

std::vector<std::string> gpu_names();

/// Line rate of one direction in bytes/s after line coding (8b/10b to generation 2, then
/// 128b/130b, from generation 6 on none).
double pcie_bandwidth(int generation, int lanes);

}  // namespace paceline
