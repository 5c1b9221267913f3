#include <fmt/format.h>

#include "models/zoo/families.hpp"
#include "models/zoo/transformers.hpp"

namespace paceline::zoo {
namespace {

std::size_t llama_attention(GraphBuilder& g, const Llama& net, const std::string& p,
                            std::size_t x) {
  const std::int64_t width = net.head_features > 0 ? net.head_features : net.hidden / net.heads;
  const bool bias = net.attention_bias || net.query_bias;
  const auto project = [&](const char* name, std::int64_t heads) {
    return g.dense(p + name, x, {.features = heads * width, .bias = bias});
  };
  std::size_t q = project("q_proj", net.heads), k = project("k_proj", net.kv_heads);
  const std::size_t v = project("v_proj", net.kv_heads);
  q = g.add_operation(p + "q_rotary", {q}, RotaryOp{});
  k = g.add_operation(p + "k_rotary", {k}, RotaryOp{});
  x = g.add_operation(p + "attention", {q, k, v},
                      AttentionOp{.heads = net.heads, .causal = true, .kv_heads = net.kv_heads});
  return g.dense(p + "o_proj", x, {.features = net.hidden, .bias = net.attention_bias});
}

std::size_t llama_block(GraphBuilder& g, const Llama& net, const std::string& p, std::size_t x) {
  std::size_t y = g.add_operation(p + "input_layernorm", {x}, RmsNormOp{});
  x = g.add(p + "self_attn.add", {x, llama_attention(g, net, p + "self_attn.", y)});
  y = g.add_operation(p + "post_attention_layernorm", {x}, RmsNormOp{});
  const std::size_t gate = g.dense(p + "mlp.gate_proj", y, {.features = net.inner, .bias = false});
  const std::size_t up = g.dense(p + "mlp.up_proj", y, {.features = net.inner, .bias = false});
  y = g.add_operation(p + "mlp.multiply", {g.add_operation(p + "mlp.silu", {gate}, SiluOp{}), up},
                      MultiplyOp{});
  y = g.dense(p + "mlp.down_proj", y, {.features = net.hidden, .bias = false});
  return g.add(p + "mlp.add", {x, y});
}

Entry llama_entry(const char* name, const char* title, const char* notes, Llama net,
                  std::vector<std::string> aliases) {
  return {.name = name,
          .title = title,
          .notes = fmt::format("{}; {} tokens per sample unless seq says otherwise", notes,
                               net.sequence),
          .aliases = std::move(aliases),
          .fill_with =
              [net](GraphBuilder& g, const Options& options) {
                Llama sized = net;
                sized.sequence = options.get("seq", net.sequence);
                sized.vocabulary = options.get("vocab", net.vocabulary);
                fill_llama(g, sized);
              },
          .options = {"seq", "vocab"}};
}

}  // namespace

void fill_llama(GraphBuilder& g, const Llama& net) {
  const std::size_t tokens = g.input("tokens", {net.sequence}, net.vocabulary);
  std::size_t x =
      g.add_operation("model.embed_tokens", {tokens}, EmbeddingOp{net.vocabulary, net.hidden});
  for (int i = 0; i < net.layers; ++i)
    x = llama_block(g, net, fmt::format("model.layers.{}.", i), x);
  x = g.add_operation("model.norm", {x}, RmsNormOp{});
  x = g.dense("lm_head", x,
              {.features = net.vocabulary,
               .bias = false,
               .tied_to = net.tied ? "model.embed_tokens.weight" : ""});
  g.softmax_loss("loss", x);
}

Entries llamas() {
  return {
      llama_entry(
          "llama-125m", "Llama-style 125M", "12 layers of 768, vocabulary of 32,000, tied",
          {.layers = 12, .hidden = 768, .heads = 12, .kv_heads = 12, .inner = 2048, .tied = true},
          {}),
      llama_entry("llama-1b", "Llama 3.2 1B", "Llama 3.2, tied",
                  {.layers = 16,
                   .hidden = 2048,
                   .heads = 32,
                   .kv_heads = 8,
                   .inner = 8192,
                   .vocabulary = 128'256,
                   .tied = true},
                  {"llama-3.2-1b"}),
      llama_entry("llama-7b", "Llama 7B", "Llama 1 and 2", {}, {"llama-2-7b", "llama2-7b"}),
      llama_entry("llama-8b", "Llama 3 8B", "Llama 3 and 3.1",
                  {.kv_heads = 8, .inner = 14'336, .vocabulary = 128'256},
                  {"llama-3-8b", "llama3-8b", "llama-3.1-8b"}),
      llama_entry("llama-13b", "Llama 13B", "Llama 1 and 2",
                  {.layers = 40, .hidden = 5120, .heads = 40, .kv_heads = 40, .inner = 13'824},
                  {"llama-2-13b", "llama2-13b"}),
      llama_entry("llama-70b", "Llama 2 70B", "Llama 2",
                  {.layers = 80, .hidden = 8192, .heads = 64, .kv_heads = 8, .inner = 28'672},
                  {"llama-2-70b", "llama2-70b"})};
}

}  // namespace paceline::zoo
