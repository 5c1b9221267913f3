#include "kernels/operations/whole_vector.hpp"

#include <vector>

#include "kernels/backend.hpp"

namespace paceline::kernels {

Call::Run on_host(std::function<void(Inputs in, Outputs out)> f) {
  return [f = std::move(f)](Backend& on, Inputs in, Outputs out) {
    if (on.on_host()) {
      f(in, out);
      return;
    }
    std::vector<std::vector<float>> copies;
    std::vector<std::span<const float>> from;
    std::vector<std::span<float>> to;
    for (const std::span<const float> x : in) {
      std::vector<float>& copy = copies.emplace_back(x.size());
      on.copy_to_host(copy.data(), x.data(), x.size_bytes());
      from.emplace_back(copy);
    }
    for (const std::span<float> y : out) to.emplace_back(copies.emplace_back(y.size()));
    f(from, to);
    for (std::size_t i = 0; i < out.size(); ++i)
      on.copy_from_host(out[i].data(), to[i].data(), to[i].size_bytes());
  };
}

}  // namespace paceline::kernels
