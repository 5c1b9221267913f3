#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace paceline {

/// One row of platforms/gpus.json. Peak figures of the vendor unless `source` says
/// otherwise; 0 where a figure is not known or does not apply.
struct GpuSpec {
  std::string_view name;     ///< the name used in files and results
  std::string_view aliases;  ///< further names, separated by '|'
  int cc_major, cc_minor;    ///< compute capability
  int sms;
  int fp32_lanes;  ///< per SM
  double base_hz, boost_hz;
  double fp32_flops;    ///< FLOP/s at boost clock, multiply-add counted as two
  double memory_bytes;  ///< vendors' "GB" of memory are GiB
  double memory_bandwidth;
  double l2_bytes;
  int pcie_generation, pcie_lanes;
  double nvlink_bandwidth;  ///< bytes/s, both directions together
  double watts;
  std::string_view source;
};

/// Every known GPU, oldest first.
std::span<const GpuSpec> gpus();

/// The GPU of that name or alias; case, blanks, '-', '_' and the words NVIDIA, GeForce and Tesla do
/// not count. Throws InputError naming the nearest.
const GpuSpec& find_gpu(std::string_view name);

std::vector<std::string> gpu_names();

/// Line rate of one direction in bytes/s after line coding (8b/10b to generation 2, then
/// 128b/130b).
double pcie_bandwidth(int generation, int lanes);

}  // namespace paceline
