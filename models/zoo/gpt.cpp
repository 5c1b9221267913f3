#include <fmt/format.h>

#include "base/error.hpp"
#include "models/zoo/families.hpp"
#include "models/zoo/transformers.hpp"

namespace paceline::zoo {
namespace {

std::size_t gpt_block(GraphBuilder& g, const Gpt2& net, const std::string& p, std::size_t x) {
  std::size_t y = g.layer_norm(p + "ln_1", x);
  y = g.dense(p + "attn.c_attn", y, {.features = 3 * net.hidden});
  y = g.add_operation(p + "attn", {y},
                      AttentionOp{.heads = net.heads, .dropout = net.dropout, .causal = true});
  y = g.dense(p + "attn.c_proj", y, {.features = net.hidden});
  x = g.add(p + "attn.add", {x, g.dropout(p + "attn.resid_dropout", y, net.dropout)});
  y = g.layer_norm(p + "ln_2", x);
  y = g.dense(p + "mlp.c_fc", y, {.features = net.inner > 0 ? net.inner : 4 * net.hidden});
  y = g.add_operation(p + "mlp.gelu", {y}, GeluOp{});
  y = g.dense(p + "mlp.c_proj", y, {.features = net.hidden});
  return g.add(p + "mlp.add", {x, g.dropout(p + "mlp.dropout", y, net.dropout)});
}

Entry gpt_entry(const char* name, const char* title, Gpt2 net, std::vector<std::string> aliases) {
  return {.name = name,
          .title = title,
          .notes = "Hugging Face, decoder tied; 1024 tokens per sample unless seq says otherwise",
          .aliases = std::move(aliases),
          .fill_with =
              [net](GraphBuilder& g, const Options& options) {
                Gpt2 sized = net;
                sized.sequence = options.get("seq", net.sequence);
                sized.vocabulary = options.get("vocab", net.vocabulary);
                fill_gpt2(g, sized);
              },
          .options = {"seq", "vocab"}};
}

}  // namespace

void fill_gpt2(GraphBuilder& g, const Gpt2& net) {
  if (net.sequence > net.positions)
    throw InputError(fmt::format("model '{}': a sequence of {} is longer than its {} positions",
                                 g.name(), net.sequence, net.positions));
  const std::size_t tokens = g.input("tokens", {net.sequence}, net.vocabulary);
  const std::size_t positions = g.input("positions", {net.sequence}, net.positions);
  std::size_t x =
      g.add("embed", {g.add_operation("wte", {tokens}, EmbeddingOp{net.vocabulary, net.hidden}),
                      g.add_operation("wpe", {positions}, EmbeddingOp{net.positions, net.hidden})});
  x = g.dropout("drop", x, net.dropout);
  for (int i = 0; i < net.layers; ++i) x = gpt_block(g, net, fmt::format("h.{}.", i), x);
  x = g.layer_norm("ln_f", x);
  x = g.dense("lm_head", x, {.features = net.vocabulary, .bias = false, .tied_to = "wte.weight"});
  g.softmax_loss("loss", x);
}

Entries gpts() {
  return {gpt_entry("gpt2-small", "GPT-2 small", {}, {"gpt2", "gpt2-124m"}),
          gpt_entry("gpt2-medium", "GPT-2 medium", {.layers = 24, .hidden = 1024, .heads = 16}, {}),
          gpt_entry("gpt2-large", "GPT-2 large", {.layers = 36, .hidden = 1280, .heads = 20}, {}),
          gpt_entry("gpt2-xl", "GPT-2 XL", {.layers = 48, .hidden = 1600, .heads = 25}, {})};
}

}  // namespace paceline::zoo
