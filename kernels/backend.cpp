#include "kernels/backend.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "base/error.hpp"
#include "kernels/cpu_backend.hpp"
#include "kernels/cuda_module.hpp"
#include "kernels/operations/reference.hpp"

namespace paceline::kernels {

void apply(Backend& on, const PointwiseCall& call, Inputs in, Outputs out) {
  on.apply(call, in, out);
}

void Backend::apply(const PointwiseCall& call, Inputs in, Outputs out) {
  reference::apply(call, in, out);
}

void Backend::error_feedback_top_k(double scale, std::span<const float> gradient,
                                   std::span<float> residual, SparseOutput out) {
  axpy(scale, gradient, residual);
  top_k(residual, out);
  clear_at(out.indices, residual);
}

void Backend::scatter_fresh(std::span<const SparseView> blocks, double scale,
                            std::span<float> sum) {
  fill(0, sum);
  scatter_add(blocks, scale, sum);
}

std::vector<std::string> backend_names() {
#ifdef PACELINE_HAVE_ONEDNN
  return {"reference", "onednn"};
#else
  return {"reference"};
#endif
}

int cuda_device_number(std::string_view name) {
  if (name == "cuda") return 0;
  int number = -1;
  if (name.starts_with("cuda:")) {
    const auto digits = name.substr(5);
    const auto [end, failed] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (failed != std::errc() || end != digits.data() + digits.size() || number < 0)
      throw InputError("device '" + std::string(name) +
                       "': a GPU is 'cuda', or 'cuda:' and its number from 0");
  }
  return number;
}

void check_backend_name(std::string_view name) {
  if (cuda_device_number(name) >= 0) return;
  std::vector<std::string> names = backend_names();
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  names.emplace_back("cuda");
  throw InputError(unknown_name("backend", name, names));
}

std::unique_ptr<Backend> make_backend(std::string_view name) {
  check_backend_name(name);
  if (const int number = cuda_device_number(name); number >= 0) return load_cuda_backend(number);
  if (name == "reference") return make_reference_backend();
#ifdef PACELINE_HAVE_ONEDNN
  if (name == "onednn") return make_onednn_backend();
#endif
  throw std::logic_error("a backend without a maker");
}

std::string fastest_cpu_backend() {
  return backend_names().back();
}

}  // namespace paceline::kernels
