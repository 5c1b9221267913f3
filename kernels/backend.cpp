#include "kernels/backend.hpp"

#include "base/error.hpp"
#include "kernels/cpu_backend.hpp"

namespace paceline::kernels {

std::vector<std::string> backend_names() {
#ifdef PACELINE_HAVE_ONEDNN
  return {"reference", "onednn"};
#else
  return {"reference"};
#endif
}

std::unique_ptr<Backend> make_backend(std::string_view name) {
  if (name == "reference") return make_reference_backend();
#ifdef PACELINE_HAVE_ONEDNN
  if (name == "onednn") return make_onednn_backend();
#endif
  throw InputError(unknown_name("backend", name, backend_names()));
}

std::string fastest_cpu_backend() {
  return backend_names().back();
}

}  // namespace paceline::kernels
