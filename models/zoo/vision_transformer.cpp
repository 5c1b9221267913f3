#include <fmt/format.h>

#include "base/error.hpp"
#include "models/zoo/families.hpp"
#include "models/zoo/transformers.hpp"

namespace paceline::zoo {
namespace {

constexpr double kVitEpsilon = 1e-6;

std::size_t vit_block(GraphBuilder& g, const VisionTransformer& net, const std::string& p,
                      std::size_t x) {
  std::size_t y = g.layer_norm(p + "ln_1", x, {.epsilon = kVitEpsilon});
  y = g.dense(p + "self_attention.in_proj", y, {.features = 3 * net.hidden});
  y = g.add_operation(p + "self_attention", {y},
                      AttentionOp{.heads = net.heads, .dropout = net.dropout});
  y = g.dense(p + "self_attention.out_proj", y, {.features = net.hidden});
  x = g.add(p + "self_attention.add", {x, y});
  y = g.layer_norm(p + "ln_2", x, {.epsilon = kVitEpsilon});
  y = g.dense(p + "mlp.0", y, {.features = net.inner});
  y = g.add_operation(p + "mlp.1", {y}, GeluOp{});
  y = g.dense(p + "mlp.3", y, {.features = net.hidden});
  return g.add(p + "mlp.add", {x, y});
}

Entry vit_entry(const char* name, const char* title, VisionTransformer net,
                std::vector<std::string> aliases) {
  return {.name = name,
          .title = title,
          .notes = "torchvision, 224x224",
          .aliases = std::move(aliases),
          .fill_with =
              [net](GraphBuilder& g, const Options& options) {
                VisionTransformer sized = net;
                sized.image = options.get("image", net.image);
                sized.classes = options.get("classes", net.classes);
                fill_vision_transformer(g, sized);
              },
          .options = {"image", "classes"}};
}

}  // namespace

void fill_vision_transformer(GraphBuilder& g, const VisionTransformer& net) {
  if (net.patch < 1 || net.image % net.patch != 0)
    throw InputError(fmt::format("model '{}': an image of {} is no whole number of patches of {}",
                                 g.name(), net.image, net.patch));
  std::size_t x = g.input("image", {net.channels, net.image, net.image});
  x = g.conv2d("conv_proj", x, {.channels = net.hidden, .kernel = net.patch, .stride = net.patch});
  x = g.add_operation("embeddings", {x}, PatchTokensOp{});
  for (int i = 0; i < net.layers; ++i)
    x = vit_block(g, net, fmt::format("encoder.layers.encoder_layer_{}.", i), x);
  x = g.layer_norm("encoder.ln", x, {.epsilon = kVitEpsilon});
  if (net.classes == 0 && !net.pooler) return;
  x = g.add_operation("class_token", {x}, FirstStepOp{});
  if (net.pooler)
    g.add_operation("pooler.tanh", {g.dense("pooler.dense", x, {.features = net.hidden})},
                    TanhOp{});
  if (net.classes > 0) g.softmax_loss("loss", g.dense("heads.head", x, {.features = net.classes}));
}

Entries vision_transformers() {
  const VisionTransformer large{.layers = 24, .hidden = 1024, .heads = 16, .inner = 4096};
  VisionTransformer base32, large32 = large;
  base32.patch = large32.patch = 32;
  return {vit_entry("vit-b-16", "ViT-B/16", {}, {"vit-b", "vit-base"}),
          vit_entry("vit-b-32", "ViT-B/32", base32, {}),
          vit_entry("vit-l-16", "ViT-L/16", large, {"vit-l", "vit-large"}),
          vit_entry("vit-l-32", "ViT-L/32", large32, {})};
}

}  // namespace paceline::zoo
