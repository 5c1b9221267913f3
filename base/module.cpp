#include "base/module.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/error.hpp"

namespace paceline {
namespace {

std::string file_name(const ModuleInfo& module) {
  return "libpaceline_" + module.name + ".so";
}

// Of the program or of the shared object, a Python module, that this code is in.
std::filesystem::path own_folder() {
  Dl_info own{};
  if (::dladdr(reinterpret_cast<void*>(&own_folder), &own) == 0 || own.dli_fname == nullptr)
    return {};
  return std::filesystem::path(own.dli_fname).parent_path();
}

std::vector<std::filesystem::path> places(const ModuleInfo& module) {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const std::string file = file_name(module);
  if (!program.empty()) {
    found = {program / file, program / "../lib" / file, program / "../lib/paceline" / file};
  }
  if (const auto own = own_folder(); !own.empty()) found.push_back(own / file);
  if (!module.directory.empty()) found.emplace_back(std::filesystem::path(module.directory) / file);
  return found;
}

}  // namespace

std::string find_module(const ModuleInfo& module) {
  if (!module.file.empty()) return module.file;
  if (!module.environment.empty()) {
    const char* named = std::getenv(module.environment.c_str());
    if (named != nullptr && *named != '\0') return named;
  }
  for (const auto& place : places(module)) {
    std::error_code ignored;
    if (std::filesystem::exists(place, ignored)) return place.lexically_normal().string();
  }
  return "";
}

void* module_symbol(const ModuleInfo& module, const char* symbol) {
  const std::string file = find_module(module);
  const auto fail = [&](const std::string& reason) {
    throw InputError(module.title + " module: " + reason);
  };
  // Without a slash dlopen searches the system's library folders.
  void* opened =
      dlopen(file.empty() ? file_name(module).c_str() : file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    const std::string reason = dlerror();
    if (file.empty())
      fail(file_name(module) + " was not found beside the program; " + module.absent);
    fail(file + " cannot be opened (" + reason + "); " + module.unopened);
  }
  const auto address_of = [&](const std::string& name) {
    void* address = dlsym(opened, name.c_str());
    if (address == nullptr)
      fail(file + " is not a Paceline " + module.title + " module (it has no " + name + ")");
    return address;
  };
  const auto abi_of =
      reinterpret_cast<const char* (*)()>(address_of("paceline_" + module.name + "_abi"));
  if (const std::string abi = abi_of(); !module.abi.empty() && abi != module.abi)
    fail(file + " is from another build of Paceline (interface " + abi + ", this program has " +
         module.abi + "); rebuild both together");
  return address_of(symbol);
}

}  // namespace paceline
