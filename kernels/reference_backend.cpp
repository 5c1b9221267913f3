#include <algorithm>

#include "kernels/cpu_backend.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels {
namespace {

class ReferenceBackend final : public CpuBackend {
 public:
  std::string name() const override { return "reference"; }
  std::string description() const override { return "reference C++ (portable, bit-exact)"; }

  std::unique_ptr<Layer> make_layer(const LayerShape& shape) override {
    return make_reference_layer<float>(shape);
  }
  std::unique_ptr<Activation> make_activation(const Dims& dims) override {
    return std::make_unique<PlainActivation<float>>(dims);
  }
  void write(std::span<const float> host, Activation& activation) override {
    check_host_size(activation, host.size());
    std::copy(host.begin(), host.end(), values<float>(activation));
  }
  void read(const Activation& activation, std::span<float> host) override {
    check_host_size(activation, host.size());
    std::copy_n(values<float>(activation), host.size(), host.begin());
  }
  void accumulate(const Activation& term, Activation& sum) override {
    const auto count = static_cast<std::size_t>(elements(sum.dims()));
    axpy(1, {values<float>(term), count}, {values<float>(sum), count});
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace paceline::kernels
