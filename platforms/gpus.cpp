#include "platforms/gpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "base/error.hpp"
#include "base/json.hpp"
#include "platforms/gpu_file.hpp"
#include "platforms/shipped_files.hpp"

namespace paceline {
namespace {

std::string normalised(std::string_view name) {
  std::string result;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const std::string_view word : {"nvidia", "geforce", "tesla", "amd", "instinct"})
    if (const auto at = result.find(word); at != std::string::npos) result.erase(at, word.size());
  return result;
}

std::vector<GpuSpec> read_table() {
  const std::string file = "gpus.json";
  const Json json = parse_json(shipped_files().at(file), file);
  ObjectReader reader(json, file);
  reader.choice("format", {"paceline-gpus-1"});
  (void)reader.string("description");
  std::vector<GpuSpec> table;
  for (ObjectReader& gpu : reader.objects("gpus")) table.push_back(read_gpu_row(gpu));
  reader.finish();
  return table;
}

const std::map<std::string, const GpuSpec*>& by_name() {
  static const auto map = [] {
    std::map<std::string, const GpuSpec*> found;
    for (const GpuSpec& gpu : gpus()) {
      found.emplace(normalised(gpu.name), &gpu);
      for (const std::string& alias : gpu.aliases) found.emplace(normalised(alias), &gpu);
    }
    return found;
  }();
  return map;
}

}  // namespace

std::span<const GpuSpec> gpus() {
  static const std::vector<GpuSpec> table = read_table();
  return table;
}

std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  for (const GpuSpec& gpu : gpus()) names.push_back(gpu.name);
  return names;
}

const GpuSpec* known_gpu(std::string_view name) {
  const auto found = by_name().find(normalised(name));
  return found == by_name().end() ? nullptr : found->second;
}

const GpuSpec& find_gpu(std::string_view name) {
  if (const GpuSpec* gpu = known_gpu(name)) return *gpu;
  if (nearest_name(name, gpu_names()).empty())
    throw InputError(fmt::format("unknown GPU '{}' ('paceline list gpus')", name));
  throw InputError(unknown_name("GPU", name, gpu_names()));
}

bool same_gpu(std::string_view one, std::string_view other) {
  const GpuSpec* known = known_gpu(one);
  return known != nullptr ? known == known_gpu(other) : normalised(one) == normalised(other);
}

double pcie_bandwidth(int generation, int lanes) {
  static constexpr std::array<double, 6> transfers{2.5e9, 5e9,  8e9,
                                                   16e9,  32e9, 64e9};  // per second and lane
  if (generation < 1 || generation > 6 || lanes < 1)
    throw InputError("PCIe generations are 1 to 6, with at least one lane");
  const double coding = generation <= 2 ? 8.0 / 10 : generation <= 5 ? 128.0 / 130 : 1;
  return transfers[static_cast<std::size_t>(generation - 1)] * coding / 8 * lanes;
}

}  // namespace paceline
