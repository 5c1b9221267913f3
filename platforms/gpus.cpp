#include "platforms/gpus.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr double kMHz = 1e6, kTera = 1e12, kGB = 1e9;
constexpr double kMiB = 1024.0 * 1024, kGiB = 1024 * kMiB;

constexpr std::string_view kNeuSight =
    "NeuSight device_configs (clocks, SMs, memory); power and L2 of older parts: vendor, recalled";
constexpr std::string_view kHabitat =
    "Habitat devices.yml and vendor figures; power, L2 and NVLink: vendor, recalled";

// NVLink is the sum of both directions. The 2080 Ti has it only with a bridge between two cards.
constexpr std::array kGpus{
    GpuSpec{
        "GK210", "K80|Tesla K80 half|K80 (one GK210)", 3, 7, 13, 192, 562 * kMHz, 875 * kMHz,
        4.37 * kTera, 12 * kGiB, 240 * kGB, 1.5 * kMiB, 3, 16, 0, 150,
        "AnandTech 8729; one of the two GK210 of a K80 board, whose x16 slot and 300 W they share"},
    GpuSpec{"Titan X Pascal", "Titan X|TitanX (Pascal)", 6, 1, 28, 128, 1417 * kMHz, 1531 * kMHz,
            10.97 * kTera, 12 * kGiB, 480 * kGB, 3 * kMiB, 3, 16, 0, 250, "vendor, recalled"},
    GpuSpec{"GTX 1080 Ti", "1080ti", 6, 1, 28, 128, 1480 * kMHz, 1582 * kMHz, 11.34 * kTera,
            11 * kGiB, 484 * kGB, 2.75 * kMiB, 3, 16, 0, 250,
            "TensorFlow log in the Lambda benchmarks (28 SM, 1.582 GHz, 10.92 GiB, 451.17 GiB/s); "
            "Habitat devices.yml; L2 and power: vendor, recalled"},
    GpuSpec{"P102-100", "P102", 6, 1, 25, 128, 1582 * kMHz, 1683 * kMHz, 10.77 * kTera, 5 * kGiB,
            440 * kGB, 2.5 * kMiB, 1, 4, 0, 250,
            "sysrqmts.com, bto-pc-fan.com; some cards carry a modified BIOS that shows 10 GiB"},
    GpuSpec{"P100 PCIe", "P100|P100-PCIe|P100-PCIE-16GB", 6, 0, 56, 64, 1190 * kMHz, 1329 * kMHz,
            9.5 * kTera, 16 * kGiB, 732 * kGB, 4 * kMiB, 3, 16, 0, 250, kNeuSight},
    GpuSpec{"P100 SXM2", "P100 SXM|P100-SXM2-16GB", 6, 0, 56, 64, 1328 * kMHz, 1480 * kMHz,
            10.6 * kTera, 16 * kGiB, 732 * kGB, 4 * kMiB, 3, 16, 160 * kGB, 300, kNeuSight},
    GpuSpec{"V100 PCIe", "V100 PCIe 16GB", 7, 0, 80, 64, 1230 * kMHz, 1380 * kMHz, 14.1 * kTera,
            16 * kGiB, 900 * kGB, 6 * kMiB, 3, 16, 0, 250, kNeuSight},
    GpuSpec{"V100 PCIe 32GB", "", 7, 0, 80, 64, 1230 * kMHz, 1380 * kMHz, 14.1 * kTera, 32 * kGiB,
            900 * kGB, 6 * kMiB, 3, 16, 0, 250, kNeuSight},
    GpuSpec{"V100 SXM2", "V100|V100 SXM|V100 SXM2 16GB", 7, 0, 80, 64, 1312 * kMHz, 1530 * kMHz,
            15.7 * kTera, 16 * kGiB, 900 * kGB, 6 * kMiB, 3, 16, 300 * kGB, 300, kNeuSight},
    GpuSpec{"V100 SXM2 32GB", "V100 32GB|V100 32GB SXM", 7, 0, 80, 64, 1312 * kMHz, 1530 * kMHz,
            15.7 * kTera, 32 * kGiB, 900 * kGB, 6 * kMiB, 3, 16, 300 * kGB, 300, kNeuSight},
    GpuSpec{"T4", "", 7, 5, 40, 64, 585 * kMHz, 1590 * kMHz, 8.14 * kTera, 16 * kGiB, 320 * kGB,
            4 * kMiB, 3, 16, 0, 70, "NeuSight device_configs; its 70 W sustain about 4.7 TFLOP/s"},
    GpuSpec{"RTX 2080 Ti", "2080ti", 7, 5, 68, 64, 1350 * kMHz, 1545 * kMHz, 13.45 * kTera,
            11 * kGiB, 616 * kGB, 5.5 * kMiB, 3, 16, 100 * kGB, 250, kHabitat},
    GpuSpec{"A100 PCIe", "A100 PCIe 40GB|A100-PCIe-40", 8, 0, 108, 64, 765 * kMHz, 1410 * kMHz,
            19.5 * kTera, 40 * kGiB, 1555 * kGB, 40 * kMiB, 4, 16, 600 * kGB, 250, kNeuSight},
    GpuSpec{"A100 PCIe 80GB", "A100-PCIe-80|A100 80GB PCIe", 8, 0, 108, 64, 765 * kMHz, 1410 * kMHz,
            19.5 * kTera, 80 * kGiB, 1935 * kGB, 40 * kMiB, 4, 16, 600 * kGB, 300, kNeuSight},
    GpuSpec{"A100 SXM 80GB", "A100|A100 SXM|A100-SXM-80|A100 80GB|A100-SXM4-80GB", 8, 0, 108, 64,
            765 * kMHz, 1410 * kMHz, 19.5 * kTera, 80 * kGiB, 2039 * kGB, 40 * kMiB, 4, 16,
            600 * kGB, 400, kNeuSight},
    GpuSpec{"H100 SXM", "H100|H100 80GB HBM3|H100 SXM5", 9, 0, 132, 128, 0, 1980 * kMHz,
            66.9 * kTera, 80 * kGiB, 3350 * kGB, 50 * kMiB, 5, 16, 900 * kGB, 700, kNeuSight},
    GpuSpec{
        "H200 SXM", "H200", 9, 0, 132, 128, 0, 1980 * kMHz, 66.9 * kTera, 141 * kGiB, 4800 * kGB,
        60 * kMiB, 5, 16, 900 * kGB, 700,
        "vendor figures; clock and L2 as one machine reports them (copies there reach 4300 GB/s)"},
};

std::string normalised(std::string_view name) {
  std::string result;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const std::string_view word : {"nvidia", "geforce", "tesla"})
    if (const auto at = result.find(word); at != std::string::npos) result.erase(at, word.size());
  return result;
}

bool is_called(const GpuSpec& gpu, const std::string& wanted) {
  if (normalised(gpu.name) == wanted) return true;
  std::string_view rest = gpu.aliases;
  while (!rest.empty()) {
    const std::size_t bar = std::min(rest.find('|'), rest.size());
    if (normalised(rest.substr(0, bar)) == wanted) return true;
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return false;
}

}  // namespace

std::span<const GpuSpec> gpus() {
  return kGpus;
}

std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  for (const GpuSpec& gpu : kGpus) names.emplace_back(gpu.name);
  return names;
}

const GpuSpec& find_gpu(std::string_view name) {
  const std::string wanted = normalised(name);
  for (const GpuSpec& gpu : kGpus)
    if (is_called(gpu, wanted)) return gpu;
  throw InputError(unknown_name("GPU", name, gpu_names()));
}

double pcie_bandwidth(int generation, int lanes) {
  static constexpr std::array<double, 5> transfers{2.5e9, 5e9, 8e9, 16e9,
                                                   32e9};  // per second and lane
  if (generation < 1 || generation > 5 || lanes < 1)
    throw InputError("PCIe generations are 1 to 5, with at least one lane");
  const double coding = generation <= 2 ? 8.0 / 10 : 128.0 / 130;
  return transfers[static_cast<std::size_t>(generation - 1)] * coding / 8 * lanes;
}

}  // namespace paceline
