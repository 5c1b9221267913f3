#include "calibrate/measure/host.hpp"

#include <fmt/format.h>

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "base/json.hpp"

namespace paceline {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const auto colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "CPU";
}

Json host_record() {
  utsname system{};
  uname(&system);
  std::ifstream file("/proc/cpuinfo");
  std::string flags;
  for (std::string line; flags.empty() && std::getline(file, line);)
    if (line.starts_with("flags")) flags = line;
  Json isa = Json::array();
  for (const char* set : {"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile"})
    if (flags.find(fmt::format(" {} ", set)) != std::string::npos) isa.push_back(set);
  return {{"cpu", cpu_name()},
          {"instruction_sets", isa},
          {"virtual_machine", flags.find(" hypervisor ") != std::string::npos},
          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"kernel", fmt::format("{} {}", system.sysname, system.release)}};
}

double host_memory_bytes() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace paceline
