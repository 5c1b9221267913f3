#include "algorithms/schedule_modules.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/module.hpp"

namespace paceline {
namespace {

std::vector<ScheduleEntry> schedules_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    throw InputError(
        fmt::format("PACELINE_SCHEDULES: '{}' cannot be read: expected shared objects with "
                    "schedules, separated by colons",
                    file.string()));
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  const ModuleInfo module{
      .name = "schedules",
      .environment = "",
      .directory = "",
      .abi = PACELINE_ABI,
      .title = "schedule",
      .absent = "",
      .unopened = "build it with paceline_schedules() of cmake's find_package(paceline)",
      .file = std::filesystem::absolute(file).string()};
  using Entries = const std::vector<ScheduleEntry>* (*)();
  const auto entries = reinterpret_cast<Entries>(module_symbol(module, "paceline_schedules"));
  std::vector<ScheduleEntry> found = *entries();
  for (ScheduleEntry& entry : found)
    entry.code = fmt::format("{} {:016x}", file.filename().string(), fnv1a64(bytes));
  return found;
}

}  // namespace

std::vector<ScheduleEntry> schedules_of_modules() {
  std::vector<ScheduleEntry> all;
  const char* named = std::getenv("PACELINE_SCHEDULES");
  std::istringstream files(named == nullptr ? "" : named);
  for (std::string file; std::getline(files, file, ':');) {
    if (file.empty()) continue;
    const std::vector<ScheduleEntry> found = schedules_of(file);
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

}  // namespace paceline
