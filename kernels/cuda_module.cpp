#include "kernels/cuda_module.hpp"

#include "base/error.hpp"
#include "base/module.hpp"

namespace paceline::kernels {
namespace {

const ModuleInfo& cuda_module() {
  static const ModuleInfo module{
      "cuda",
      "PACELINE_CUDA_MODULE",
      PACELINE_MODULES,
      PACELINE_ABI,
      "CUDA",
      "build with CUDA (cmake -DPACELINE_CUDA=ON), set PACELINE_CUDA_MODULE to the file, or use a "
      "CPU backend",
      "the CUDA libraries it was built with must be installed"};
  return module;
}

}  // namespace

std::string find_cuda_module() {
  return find_module(cuda_module());
}

std::unique_ptr<CudaBackend> load_cuda_backend(int device_id) {
  using Create = CudaBackend*(int, char*, std::size_t);
  auto* create = reinterpret_cast<Create*>(module_symbol(cuda_module(), "paceline_cuda_create"));
  char message[512] = "";
  CudaBackend* backend = create(device_id, message, sizeof message);
  if (backend == nullptr) throw InputError(std::string("CUDA backend: ") + message);
  return std::unique_ptr<CudaBackend>(backend);
}

}  // namespace paceline::kernels
