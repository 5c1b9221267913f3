#include "kernels/cuda_module.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/error.hpp"

#ifndef PACELINE_CUDA_ABI
#define PACELINE_CUDA_ABI "unknown"
#endif

namespace paceline::kernels {
namespace {

constexpr const char* module_name = "libpaceline_cuda.so";

std::vector<std::filesystem::path> places() {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  if (!program.empty()) {
    found = {program / module_name, program / "../lib" / module_name,
             program / "../lib/paceline" / module_name};
  }
#ifdef PACELINE_CUDA_BUILD_DIRECTORY
  found.emplace_back(std::filesystem::path(PACELINE_CUDA_BUILD_DIRECTORY) / module_name);
#endif
  return found;
}

template <class Function>
Function* symbol(void* module, const char* name, const std::string& file) {
  void* address = dlsym(module, name);
  if (address == nullptr) {
    throw InputError("CUDA backend: " + file + " is not a Paceline CUDA module (it has no " + name +
                     ")");
  }
  return reinterpret_cast<Function*>(address);
}

}  // namespace

std::string find_cuda_module() {
  if (const char* named = std::getenv("PACELINE_CUDA_MODULE"); named != nullptr && *named != '\0') {
    return named;
  }
  for (const auto& place : places()) {
    std::error_code ignored;
    if (std::filesystem::exists(place, ignored)) return place.lexically_normal().string();
  }
  return "";
}

std::unique_ptr<CudaBackend> load_cuda_backend(int device_id) {
  const std::string file = find_cuda_module();
  // Without a slash dlopen searches the system's library folders.
  void* module = dlopen(file.empty() ? module_name : file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    const std::string reason = dlerror();
    if (file.empty()) {
      throw InputError(
          "CUDA backend: libpaceline_cuda.so was not found beside the program; build with CUDA "
          "(cmake -DPACELINE_CUDA=ON), set PACELINE_CUDA_MODULE to the file, or use a CPU backend");
    }
    throw InputError("CUDA backend: " + file + " cannot be opened (" + reason +
                     "); the CUDA libraries it was built with must be installed");
  }
  const std::string abi = symbol<const char*()>(module, "paceline_cuda_abi", file)();
  if (abi != PACELINE_CUDA_ABI) {
    throw InputError("CUDA backend: " + file + " is from another build of Paceline (interface " +
                     abi + ", this program has " PACELINE_CUDA_ABI "); rebuild both together");
  }
  // The module is never closed: its code outlives every object it made.
  using Create = CudaBackend*(int, char*, std::size_t);
  char message[512] = "";
  CudaBackend* backend =
      symbol<Create>(module, "paceline_cuda_create", file)(device_id, message, sizeof message);
  if (backend == nullptr) throw InputError(std::string("CUDA backend: ") + message);
  return std::unique_ptr<CudaBackend>(backend);
}

}  // namespace paceline::kernels
