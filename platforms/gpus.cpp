#include "platforms/gpus.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <cmath>
#include <deque>

#include "base/error.hpp"
#include "base/json.hpp"
#include "platforms/shipped_files.hpp"

namespace paceline {
namespace {

constexpr double kMHz = 1e6, kTera = 1e12, kGB = 1e9;
constexpr double kMiB = 1024.0 * 1024, kGiB = 1024 * kMiB;

struct GpuTable {
  std::deque<std::string> texts;  // what the rows point into
  std::vector<GpuSpec> rows;
};

std::string_view kept(GpuTable& table, std::string text) {
  return table.texts.emplace_back(std::move(text));
}

GpuSpec read_gpu(ObjectReader& reader, GpuTable& table) {
  const auto most = [&](const char* key) { return reader.number(key, 0, HUGE_VAL); };
  const auto whole = [](ObjectReader& from, const char* key) {
    return static_cast<int>(from.integer(key, 0, INT_MAX));
  };
  GpuSpec gpu{};
  gpu.name = kept(table, reader.string("name"));
  gpu.aliases = kept(table, fmt::format("{}", fmt::join(reader.strings("also"), "|")));
  const std::vector<std::int64_t> capability = reader.integers("compute_capability");
  if (capability.size() != 2) reader.fail_at("compute_capability", "expected [major, minor]");
  gpu.cc_major = static_cast<int>(capability[0]);
  gpu.cc_minor = static_cast<int>(capability[1]);
  gpu.sms = whole(reader, "multiprocessors");
  gpu.fp32_lanes = whole(reader, "fp32_lanes");
  gpu.base_hz = most("base_MHz") * kMHz;
  gpu.boost_hz = most("boost_MHz") * kMHz;
  gpu.fp32_flops = most("fp32_TFLOPs") * kTera;
  gpu.memory_bytes = most("memory_GiB") * kGiB;
  gpu.memory_bandwidth = most("memory_GBps") * kGB;
  gpu.l2_bytes = most("l2_MiB") * kMiB;
  ObjectReader pcie = reader.object("pcie");
  gpu.pcie_generation = whole(pcie, "generation");
  gpu.pcie_lanes = whole(pcie, "lanes");
  pcie.finish();
  gpu.nvlink_bandwidth = most("nvlink_GBps") * kGB;
  gpu.watts = most("watts");
  gpu.source = kept(table, reader.string("source"));
  reader.finish();
  return gpu;
}

GpuTable read_table() {
  const std::string file = "gpus.json";
  const Json json = parse_json(shipped_files().at(file), file);
  ObjectReader reader(json, file);
  reader.choice("format", {"paceline-gpus-1"});
  (void)reader.string("description");
  GpuTable table;
  for (ObjectReader& gpu : reader.objects("gpus")) table.rows.push_back(read_gpu(gpu, table));
  reader.finish();
  return table;
}

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
  static const GpuTable table = read_table();
  return table.rows;
}

std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  for (const GpuSpec& gpu : gpus()) names.emplace_back(gpu.name);
  return names;
}

const GpuSpec& find_gpu(std::string_view name) {
  const std::string wanted = normalised(name);
  for (const GpuSpec& gpu : gpus())
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
