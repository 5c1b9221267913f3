#include <fmt/format.h>

#include "models/zoo/families.hpp"
#include "models/zoo/transformers.hpp"

namespace paceline::zoo {
namespace {

struct T5Stack {
  GraphBuilder& g;
  const T5& net;
  std::string prefix;  // "encoder." or "decoder."
  bool decoder = false;

  std::size_t norm(const std::string& name, std::size_t x) {
    return g.add_operation(prefix + name, {x}, RmsNormOp{});
  }

  std::size_t residual(const std::string& p, std::size_t x, std::size_t y) {
    return g.add(prefix + p + "add", {x, g.dropout(prefix + p + "dropout", y, net.dropout)});
  }

  // Queries from `x`; keys and values from `from`. Only the first block's own attention has the
  // learnt position bias, which all others share.
  std::size_t attention(const std::string& p, std::size_t x, std::size_t from, bool bias,
                        bool causal) {
    const auto project = [&](const char* name, std::size_t of) {
      return g.dense(prefix + p + name, of,
                     {.features = net.heads * net.head_features, .bias = false});
    };
    const std::size_t q = project("q", x), k = project("k", from), v = project("v", from);
    const std::size_t y = g.add_operation(prefix + p + "attention", {q, k, v},
                                          AttentionOp{.heads = net.heads,
                                                      .dropout = net.dropout,
                                                      .causal = causal,
                                                      .relative_buckets = bias ? net.buckets : 0});
    return g.dense(prefix + p + "o", y, {.features = net.hidden, .bias = false});
  }

  std::size_t feed_forward(const std::string& p, std::size_t x) {
    const auto up = [&](const char* name) {
      return g.dense(prefix + p + name, x, {.features = net.inner, .bias = false});
    };
    std::size_t y = 0;
    if (net.gated) {
      const std::size_t gate = g.add_operation(prefix + p + "gelu", {up("wi_0")}, GeluOp{});
      y = g.add_operation(prefix + p + "multiply", {gate, up("wi_1")}, MultiplyOp{});
    } else {
      y = g.relu(prefix + p + "relu", up("wi"));
    }
    return g.dense(prefix + p + "wo", y, {.features = net.hidden, .bias = false});
  }

  std::size_t block(int index, std::size_t x, std::size_t encoded) {
    int layer = 0;
    const auto next = [&] { return fmt::format("block.{}.layer.{}.", index, layer++); };
    std::string p = next();
    std::size_t y = norm(p + "layer_norm", x);
    x = residual(p, x, attention(p + "SelfAttention.", y, y, index == 0, decoder));
    if (decoder) {
      p = next();
      y = norm(p + "layer_norm", x);
      x = residual(p, x, attention(p + "EncDecAttention.", y, encoded, false, false));
    }
    p = next();
    y = norm(p + "layer_norm", x);
    return residual(p, x, feed_forward(p + "DenseReluDense.", y));
  }

  std::size_t operator()(std::size_t x, int blocks, std::size_t encoded) {
    x = g.dropout(prefix + "dropout", x, net.dropout);
    for (int i = 0; i < blocks; ++i) x = block(i, x, encoded);
    return g.dropout(prefix + "final_dropout", norm("final_layer_norm", x), net.dropout);
  }
};

Entry t5_entry(const char* name, const char* title, T5 net, std::vector<std::string> aliases) {
  return {.name = name,
          .title = title,
          .notes =
              "Hugging Face, decoder tied; 512 tokens each for encoder and decoder unless seq "
              "says otherwise",
          .aliases = std::move(aliases),
          .fill_with =
              [net](GraphBuilder& g, const Options& options) {
                T5 sized = net;
                sized.sequence = options.get("seq", net.sequence);
                sized.vocabulary = options.get("vocab", net.vocabulary);
                fill_t5(g, sized);
              },
          .options = {"seq", "vocab"}};
}

}  // namespace

// Both stacks look their tokens up in one table. Here they read the same tokens, embedded once: the
// second look-up, 0.1 % of a step's bytes, is left out.
void fill_t5(GraphBuilder& g, const T5& net) {
  const std::size_t tokens = g.input("tokens", {net.sequence}, net.vocabulary);
  const std::size_t x =
      g.add_operation("shared", {tokens}, EmbeddingOp{net.vocabulary, net.hidden});
  const std::size_t encoded = T5Stack{g, net, "encoder."}(x, net.layers, 0);
  std::size_t y = T5Stack{g, net, "decoder.", true}(x, net.decoder_layers, encoded);
  y = g.dense(
      "lm_head", y,
      {.features = net.vocabulary, .bias = false, .tied_to = net.tied ? "shared.weight" : ""});
  g.softmax_loss("loss", y);
}

Entries t5s() {
  return {t5_entry("t5-small", "T5 small", {}, {}),
          t5_entry("t5-base", "T5 base",
                   {.layers = 12, .decoder_layers = 12, .hidden = 768, .heads = 12, .inner = 3072},
                   {})};
}

}  // namespace paceline::zoo
