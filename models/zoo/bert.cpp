#include <fmt/format.h>

#include "base/error.hpp"
#include "models/zoo.hpp"
#include "models/zoo/families.hpp"
#include "models/zoo/transformers.hpp"

// Devlin et al. 2018, names as in Hugging Face's BertForPreTraining.
namespace paceline {
namespace {

constexpr double kEpsilon = 1e-12;
constexpr double kDropout = 0.1;

struct Bert {
  GraphBuilder& g;
  const BertModel& net;

  std::size_t embed(const std::string& name, std::size_t ids, std::int64_t entries) {
    return g.add_operation("embeddings." + name, {ids}, EmbeddingOp{entries, net.hidden});
  }

  std::size_t embeddings() {
    const std::size_t tokens = g.input("tokens", {net.sequence}, net.vocabulary);
    const std::size_t positions = g.input("positions", {net.sequence}, net.positions);
    std::vector<std::size_t> summands;
    std::size_t segments = 0;
    if (net.token_types > 0) segments = g.input("segments", {net.sequence}, net.token_types);
    summands.push_back(embed("word_embeddings", tokens, net.vocabulary));
    summands.push_back(embed("position_embeddings", positions, net.positions));
    if (net.token_types > 0)
      summands.push_back(embed("token_type_embeddings", segments, net.token_types));
    const std::size_t sum = g.add("embeddings.add", summands);
    return g.dropout("embeddings.dropout",
                     g.layer_norm("embeddings.LayerNorm", sum, {.epsilon = kEpsilon}), kDropout);
  }

  /// LayerNorm(x + dropout(dense(y))), which ends both halves of a layer.
  std::size_t residual(const std::string& p, std::size_t x, std::size_t y) {
    y = g.dropout(p + "dropout", g.dense(p + "dense", y, {.features = net.hidden}), kDropout);
    return g.layer_norm(p + "LayerNorm", g.add(p + "add", {y, x}), {.epsilon = kEpsilon});
  }

  std::size_t layer(const std::string& p, std::size_t x) {
    const std::size_t q = g.dense(p + "attention.self.query", x, {.features = net.hidden});
    const std::size_t k = g.dense(p + "attention.self.key", x, {.features = net.hidden});
    const std::size_t v = g.dense(p + "attention.self.value", x, {.features = net.hidden});
    const std::size_t context = g.add_operation(
        p + "attention.self", {q, k, v}, AttentionOp{.heads = net.heads, .dropout = kDropout});
    x = residual(p + "attention.output.", x, context);
    std::size_t y = g.dense(p + "intermediate.dense", x,
                            {.features = net.intermediate > 0 ? net.intermediate : 4 * net.hidden});
    y = g.add_operation(p + "intermediate.gelu", {y}, GeluOp{});
    return residual(p + "output.", x, y);
  }

  void next_sentence(std::size_t x) {
    x = g.dense("pooler.dense", g.add_operation("pooler.first", {x}, FirstStepOp{}),
                {.features = net.hidden});
    x = g.add_operation("pooler.tanh", {x}, TanhOp{});
    if (net.head != BertHead::pretraining) return;
    g.softmax_loss("cls.seq_relationship.loss",
                   g.dense("cls.seq_relationship", x, {.features = 2}));
  }

  void masked_language_model(std::size_t x) {
    const std::string p = "cls.predictions.";
    x = g.dense(p + "transform.dense", x, {.features = net.hidden});
    x = g.add_operation(p + "transform.gelu", {x}, GeluOp{});
    x = g.layer_norm(p + "transform.LayerNorm", x, {.epsilon = kEpsilon});
    x = g.dense(p + "decoder", x,
                {.features = net.vocabulary, .tied_to = "embeddings.word_embeddings.weight"});
    g.softmax_loss(p + "loss", x);
  }

  void network() {
    if (net.sequence > net.positions)
      throw InputError(fmt::format("model '{}': a sequence of {} is longer than its {} positions",
                                   g.name(), net.sequence, net.positions));
    std::size_t x = embeddings();
    for (int i = 0; i < net.layers; ++i) x = layer(fmt::format("encoder.layer.{}.", i), x);
    if (net.head == BertHead::pooler || net.head == BertHead::pretraining) next_sentence(x);
    if (net.head == BertHead::masked_lm || net.head == BertHead::pretraining)
      masked_language_model(x);
  }
};

std::string notes(const BertModel& net, const char* head) {
  return fmt::format("{}; sequence of {} tokens per sample, {} positions", head, net.sequence,
                     net.positions);
}

}  // namespace

Model make_bert(const BertModel& net) {
  GraphBuilder g(fmt::format("bert-{}x{}", net.layers, net.hidden),
                 fmt::format("BERT {}x{}", net.layers, net.hidden), notes(net, "BERT"));
  Bert{g, net}.network();
  return g.build();
}

namespace zoo {

void fill_bert(GraphBuilder& g, const BertModel& net) {
  Bert{g, net}.network();
}

namespace {

Entry bert_entry(std::string name, const char* title, std::string notes,
                 std::vector<std::string> aliases, const BertModel& net) {
  return {.name = std::move(name),
          .title = title,
          .notes = std::move(notes),
          .aliases = std::move(aliases),
          .fill_with =
              [net](GraphBuilder& g, const Options& options) {
                BertModel sized = net;
                sized.sequence = options.get("seq", net.sequence);
                sized.vocabulary = options.get("vocab", net.vocabulary);
                fill_bert(g, sized);
              },
          .options = {"seq", "vocab"}};
}

}  // namespace

Entries berts() {
  struct Variant {
    BertHead head;
    const char* suffix;
    const char* notes;
  };
  const Variant variants[] = {
      {BertHead::pretraining, "",
       "full pre-training: masked-LM head on all positions (decoder tied) and next-sentence head"},
      {BertHead::none, "-encoder", "encoder only, no pooler, no loss"},
      {BertHead::pooler, "-pooler", "encoder and pooler, no loss"},
      {BertHead::masked_lm, "-mlm", "masked-LM head on all positions (decoder tied), no pooler"}};
  const BertModel sizes[] = {{}, {.layers = 24, .hidden = 1024, .heads = 16}};
  Entries entries;
  for (const BertModel& size : sizes)
    for (const Variant& variant : variants) {
      BertModel net = size;
      net.head = variant.head;
      const bool large = net.layers == 24;
      entries.push_back(
          bert_entry(fmt::format("bert-{}{}", large ? "large" : "base", variant.suffix),
                     large ? "BERT-Large" : "BERT-Base", notes(net, variant.notes), {}, net));
    }
  const BertModel distil{.layers = 6, .head = BertHead::masked_lm, .token_types = 0},
      roberta{
          .vocabulary = 50'265, .positions = 514, .head = BertHead::masked_lm, .token_types = 1};
  entries.push_back(bert_entry("distilbert", "DistilBERT",
                               notes(distil, "Sanh et al. 2019, masked-LM head, decoder tied"),
                               {"distilbert-base", "distilbert-base-uncased"}, distil));
  entries.push_back(bert_entry("roberta-base", "RoBERTa-Base",
                               notes(roberta, "Liu et al. 2019, masked-LM head, decoder tied"),
                               {"roberta"}, roberta));
  return entries;
}

}  // namespace zoo
}  // namespace paceline
