#include "calibrate/program/device.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/interrupt.hpp"
#include "base/json.hpp"
#include "base/version.hpp"
#include "calibrate/program/commands.hpp"
#include "kernels/cuda_module.hpp"
#include "models/data/catalog.hpp"

namespace paceline {
namespace {

// By compute capability, as the programming guide lists them; 0 for one that we do not know.
int fp32_lanes(int major, int minor) {
  if (major == 6) return minor == 0 ? 64 : 128;
  if (major == 7) return 64;
  if (major == 8) return minor == 0 ? 64 : 128;
  return major == 5 || (major >= 9 && major <= 12) ? 128 : 0;
}

Json record_of(const kernels::CudaDeviceInfo& info, const kernels::CudaClocks& clocks) {
  Json record{{"name", info.name},
              {"uuid_hash", fmt::format("{:016x}", fnv1a64(info.uuid))},
              {"compute_capability", fmt::format("{}.{}", info.compute_major, info.compute_minor)},
              {"multiprocessors", info.multiprocessors},
              {"memory_bytes", info.memory_bytes},
              {"l2_bytes", info.l2_bytes},
              {"memory_bus_bits", info.memory_bus_bits},
              {"max_sm_clock_mhz", info.max_sm_clock_mhz},
              {"max_memory_clock_mhz", info.max_memory_clock_mhz},
              {"sm_clock_mhz", clocks.sm_mhz},
              {"celsius", clocks.celsius},
              {"power_limit_watts", info.power_limit_watts},
              {"pcie", fmt::format("{}.0 x{} of {}.0 x{}", info.pcie_generation, info.pcie_width,
                                   info.max_pcie_generation, info.max_pcie_width)},
              {"ecc", info.ecc},
              {"mig", info.mig},
              {"persistence", info.persistence},
              {"power_watts", clocks.watts}};
  if (const int lanes = fp32_lanes(info.compute_major, info.compute_minor); lanes > 0)
    record["fp32_lanes_per_multiprocessor"] = lanes;
  return record;
}

}  // namespace

ChosenDevice::ChosenDevice(const std::string& device, const std::string& engine) {
  options.tool = fmt::format("paceline-calibrate {}", version());
  first_interrupt_sets(interrupted);
  options.stop = &interrupted;
  if (device == "cpu") {
    backend_ = kernels::make_backend(engine.empty() ? kernels::fastest_cpu_backend() : engine);
    return;
  }
  int id = 0;
  const std::string_view text = device;
  const auto digits = text.starts_with("cuda:") ? text.substr(5) : std::string_view("0");
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  const bool named = device == "cuda" || text.starts_with("cuda:");
  if (!named || failed != std::errc() || end != digits.data() + digits.size() || id < 0)
    throw InputError(fmt::format("--device: expected 'cpu' or 'cuda:0', found '{}'", device));
  if (!engine.empty()) throw InputError("--engine: only a CPU has several");
  auto cuda = kernels::load_cuda_backend(id);
  const kernels::CudaDeviceInfo& info = cuda->device();
  options.device = info.name;
  options.device_record = record_of(info, cuda->clocks());
  options.software = {{"driver", info.driver},
                      {"CUDA runtime", info.cuda_runtime},
                      {"cuBLAS", info.cublas},
                      {"cuDNN", info.cudnn.empty() ? "none" : info.cudnn},
                      {"engine", info.engine}};
  backend_ = std::move(cuda);
}

void ChosenDevice::use_data(const std::string& name, const Model& model) {
  data_ = open_dataset({.name = name, .train = 8192, .test = 1, .steps = model.time_steps()});
  check_fits(model, *data_);
  options.next_batch = [this](std::int64_t batch, std::int64_t step, Batch& out) {
    if (!feed_ || feed_batch_ != batch) {
      feed_ = std::make_unique<Feed>(Feed::in_order(*data_, Split::train, batch));
      feed_batch_ = batch;
    }
    feed_->fill(step, out);
  };
}

}  // namespace paceline
