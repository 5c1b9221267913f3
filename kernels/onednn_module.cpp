#include "base/module.hpp"
#include "kernels/cpu_backend.hpp"

namespace paceline::kernels {

std::unique_ptr<Backend> make_onednn_backend() {
  static const ModuleInfo module{"onednn",
                                 "PACELINE_ONEDNN_MODULE",
                                 PACELINE_MODULES,
                                 PACELINE_ABI,
                                 "oneDNN",
                                 "use `--backend reference`, or build with oneDNN (libdnnl-dev)",
                                 "oneDNN (libdnnl) must be installed"};
  using Create = Backend*();
  return std::unique_ptr<Backend>(
      reinterpret_cast<Create*>(module_symbol(module, "paceline_onednn_create"))());
}

}  // namespace paceline::kernels
