#include "sim/worker/selectors.hpp"

#include <stdexcept>
#include <utility>

namespace paceline {
namespace {

// Joined by name: the order of the enums may differ.
constexpr std::pair<Selector, TopKModel> kSelectors[] = {
    {Selector::torch_legacy, TopKModel::torch_legacy},
    {Selector::sort, TopKModel::sort},
    {Selector::radix_select, TopKModel::radix_select},
    {Selector::dgc_sample, TopKModel::dgc_sample},
    {Selector::gaussian_k, TopKModel::gaussian_k}};

}  // namespace

TopKModel top_k_model(Selector selector) {
  for (const auto& [known, model] : kSelectors)
    if (known == selector) return model;
  throw std::logic_error("a selector without top-k model");
}

Selector selector_of(TopKModel model) {
  for (const auto& [selector, known] : kSelectors)
    if (known == model) return selector;
  throw std::logic_error("a top-k model without selector");
}

}  // namespace paceline
