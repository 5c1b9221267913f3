#include <fmt/format.h>

#include "kernels/cpu_backend.hpp"
#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels {
namespace {

std::string instruction_set() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "SSE4.1";
    case dnnl::cpu_isa::avx:
      return "AVX";
    case dnnl::cpu_isa::avx2:
    case dnnl::cpu_isa::avx2_vnni:
      return "AVX2";
    default:
      return "AVX-512";
  }
}

class OneDnnBackend final : public CpuBackend {
 public:
  std::string name() const override { return "onednn"; }
  std::string description() const override {
    const dnnl_version_t* version = dnnl::version();
    return fmt::format("oneDNN {}.{}.{}, {}, one thread per worker", version->major, version->minor,
                       version->patch, instruction_set());
  }

  std::unique_ptr<Layer> make_layer(const LayerShape& shape) override {
    check_shape(shape);
    onednn::prepare_thread();
    return std::visit(
        [](const auto& s) {
          if constexpr (requires { s.make_onednn(); })
            return s.make_onednn();
          else  // never a bottleneck
            return onednn::make_plain_layer(s, s.template make_reference<float>());
        },
        shape);
  }
  std::unique_ptr<Activation> make_activation(const Dims& dims) override {
    return std::make_unique<onednn::OneDnnActivation>(dims);
  }
  void write(std::span<const float> host, Activation& activation) override {
    check_host_size(activation, host.size());
    const auto& memory = onednn::target(activation).write(onednn::plain(activation.dims()));
    copy(memory.get_data_handle(), host.data(), host.size_bytes());
  }
  void read(const Activation& activation, std::span<float> host) override {
    check_host_size(activation, host.size());
    onednn::prepare_thread();
    onednn::Reorder().copy(onednn::array(activation), onednn::view(activation.dims(), host.data()));
  }
  void accumulate(const Activation& term, Activation& sum) override {
    onednn::prepare_thread();
    onednn::accumulate(term, sum);
  }
};

}  // namespace

}  // namespace paceline::kernels

// What onednn_module.cpp looks up.
extern "C" {

__attribute__((visibility("default"))) const char* paceline_onednn_abi() {
  return PACELINE_ABI;
}

__attribute__((visibility("default"))) paceline::kernels::Backend* paceline_onednn_create() {
  return new paceline::kernels::OneDnnBackend();
}

}  // extern "C"
