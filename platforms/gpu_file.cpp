#include "platforms/gpu_file.hpp"

#include <fmt/format.h>

#include <climits>
#include <cmath>
#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

constexpr double kMHz = 1e6;

struct Rate {
  const char* key;
  double GpuSpec::*field;
};
constexpr Rate kMatrixRates[] = {
    {"tf32", &GpuSpec::tf32_flops}, {"fp16", &GpuSpec::fp16_flops}, {"bf16", &GpuSpec::bf16_flops}};

// What every form of a card may say; what it does not stays as it is.
void read_figures(ObjectReader& reader, GpuSpec& gpu) {
  if (reader.has("also")) gpu.aliases = reader.strings("also");
  if (reader.has("compute_capability")) {
    const std::vector<std::int64_t> capability = reader.integers("compute_capability");
    if (capability.size() != 2 || capability[0] < 0 || capability[0] > 99 || capability[1] < 0 ||
        capability[1] > 99)
      reader.fail_at("compute_capability", "expected [major, minor]");
    gpu.cc_major = static_cast<int>(capability[0]);
    gpu.cc_minor = static_cast<int>(capability[1]);
  }
  gpu.sms = static_cast<int>(reader.integer_or("multiprocessors", gpu.sms, 0, INT_MAX));
  gpu.fp32_lanes = static_cast<int>(reader.integer_or("fp32_lanes", gpu.fp32_lanes, 0, INT_MAX));
  gpu.base_hz = reader.number("base_MHz", 0, 1e5, gpu.base_hz / kMHz) * kMHz;
  gpu.boost_hz = reader.number("boost_MHz", 0, 1e5, gpu.boost_hz / kMHz) * kMHz;
  gpu.fp32_flops = reader.flops("fp32", gpu.fp32_flops);
  for (const auto& [key, field] : kMatrixRates) gpu.*field = reader.flops(key, gpu.*field);
  gpu.memory_bytes = reader.bytes("memory", gpu.memory_bytes);
  gpu.memory_bandwidth = reader.bandwidth("bandwidth", gpu.memory_bandwidth);
  gpu.l2_bytes = reader.bytes("l2", gpu.l2_bytes);
  if (reader.has("pcie")) {
    ObjectReader pcie = reader.object("pcie");
    gpu.pcie_generation = static_cast<int>(pcie.integer("generation", 1, 6));
    gpu.pcie_lanes = static_cast<int>(pcie.integer("lanes", 1, 32));
    pcie.finish();
  }
  gpu.nvlink_bandwidth = reader.bandwidth("nvlink", gpu.nvlink_bandwidth);
  gpu.watts = reader.number("watts", 0, 1e5, gpu.watts);
  gpu.source = reader.string("source", gpu.source);
  reader.finish();
}

// The stand-in's speeds for what nobody gave.
void assume_missing(GpuSpec& gpu) {
  if (gpu.fp32_flops == 0) gpu.fp32_flops = 2.0 * gpu.sms * gpu.fp32_lanes * gpu.boost_hz;
  const GpuSpec& other = find_gpu(kStandInGpu);
  const auto assume = [&](const char* key, auto GpuSpec::*field) {
    if (gpu.*field != 0) return;
    gpu.*field = other.*field;
    gpu.assumed.insert(key);
  };
  assume("fp32", &GpuSpec::fp32_flops);
  assume("bandwidth", &GpuSpec::memory_bandwidth);
  assume("pcie", &GpuSpec::pcie_generation);
  assume("pcie", &GpuSpec::pcie_lanes);
  assume("boost_MHz", &GpuSpec::boost_hz);
  assume("fp32_lanes", &GpuSpec::fp32_lanes);
}

}  // namespace

GpuSpec read_gpu_row(ObjectReader& reader) {
  for (const char* key : {"memory", "fp32", "bandwidth", "pcie", "source"}) (void)reader.raw(key);
  GpuSpec gpu;
  gpu.name = reader.string("name");
  read_figures(reader, gpu);
  return gpu;
}

GpuSpec read_gpu_card(ObjectReader& reader) {
  const std::string name = reader.string("name");
  if (name.empty()) reader.fail_at("name", "expected the name of a GPU");
  const GpuSpec* known = known_gpu(name);
  GpuSpec gpu;
  if (known != nullptr)
    gpu = *known;
  else
    gpu.name = name;
  if (reader.has("format")) reader.choice("format", {"paceline-gpu-1"});
  read_figures(reader, gpu);
  if (known == nullptr) assume_missing(gpu);
  return gpu;
}

GpuSpec card_called(const std::string& name) {
  if (const GpuSpec* known = known_gpu(name)) return *known;
  GpuSpec gpu;
  gpu.name = name;
  assume_missing(gpu);
  return gpu;
}

std::string how_to_describe(std::string_view name) {
  return fmt::format(
      "; of another card say what you know: {{\"name\": \"{}\", \"memory\": \"24GiB\", \"fp32\": "
      "\"35.6TFLOPS\", \"bandwidth\": \"936GB/s\"}}",
      name);
}

GpuSpec load_gpu(const std::string& name_text_or_file) {
  const std::string& text = name_text_or_file;
  const bool is_json = text.starts_with('{');
  std::error_code ignored;
  if (!is_json && !std::filesystem::is_regular_file(text, ignored) && !text.ends_with(".json")) {
    if (const GpuSpec* gpu = known_gpu(text)) return *gpu;
    try {
      (void)find_gpu(text);
    } catch (const InputError& error) {
      throw InputError(error.what() + how_to_describe(text));
    }
  }
  const std::string file = is_json ? "GPU" : text;
  const Json json = is_json ? parse_json(text, file) : load_json(text);
  ObjectReader reader(json, file);
  return read_gpu_card(reader);
}

Json write_gpu(const GpuSpec& gpu) {
  const GpuSpec* known = known_gpu(gpu.name);
  const GpuSpec base = known != nullptr ? *known : GpuSpec{};
  Json json{{"name", gpu.name}};
  if (gpu.aliases != base.aliases) json["also"] = gpu.aliases;
  if (std::pair(gpu.cc_major, gpu.cc_minor) != std::pair(base.cc_major, base.cc_minor))
    json["compute_capability"] = {gpu.cc_major, gpu.cc_minor};
  const auto differs = [&](auto GpuSpec::*field) { return gpu.*field != base.*field; };
  if (differs(&GpuSpec::sms)) json["multiprocessors"] = gpu.sms;
  if (differs(&GpuSpec::fp32_lanes) && gpu.knows("fp32_lanes")) json["fp32_lanes"] = gpu.fp32_lanes;
  if (differs(&GpuSpec::base_hz)) json["base_MHz"] = gpu.base_hz / kMHz;
  if (differs(&GpuSpec::boost_hz) && gpu.knows("boost_MHz"))
    json["boost_MHz"] = gpu.boost_hz / kMHz;
  if (differs(&GpuSpec::fp32_flops) && gpu.knows("fp32"))
    json["fp32"] = write_flops(gpu.fp32_flops);
  for (const auto& [key, field] : kMatrixRates)
    if (differs(field)) json[key] = write_flops(gpu.*field);
  if (differs(&GpuSpec::memory_bytes)) json["memory"] = write_bytes(gpu.memory_bytes);
  if (differs(&GpuSpec::memory_bandwidth) && gpu.knows("bandwidth"))
    json["bandwidth"] = write_bandwidth(gpu.memory_bandwidth, RateUnit::bytes);
  if (differs(&GpuSpec::l2_bytes)) json["l2"] = write_bytes(gpu.l2_bytes);
  if (gpu.knows("pcie") && (differs(&GpuSpec::pcie_generation) || differs(&GpuSpec::pcie_lanes)))
    json["pcie"] = {{"generation", gpu.pcie_generation}, {"lanes", gpu.pcie_lanes}};
  if (differs(&GpuSpec::nvlink_bandwidth))
    json["nvlink"] = write_bandwidth(gpu.nvlink_bandwidth, RateUnit::bytes);
  if (differs(&GpuSpec::watts)) json["watts"] = gpu.watts;
  if (differs(&GpuSpec::source)) json["source"] = gpu.source;
  return json;
}

}  // namespace paceline
