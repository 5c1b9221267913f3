#include "models/hugging_face.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "models/zoo/transformers.hpp"

namespace paceline {
namespace {

constexpr std::int64_t kLongest = 2048;  // tokens of a sample where nobody says

class Config {
 public:
  Config(const Json& json, const NamedOptions& asked)
      : json_(json), reader_(json, asked.name), asked_(asked) {
    if (json.contains("architectures") && json["architectures"].is_array() &&
        !json["architectures"].empty() && json["architectures"][0].is_string())
      architecture_ = json["architectures"][0].get<std::string>();
  }

  /// null counts as absent, as Hugging Face has it.
  [[nodiscard]] bool has(const char* key) const {
    return json_.contains(key) && !json_[key].is_null();
  }
  std::int64_t number(const char* key) { return reader_.integer(key, 1, 1'000'000'000); }
  std::int64_t number(const char* key, std::int64_t fallback) {
    return has(key) ? number(key) : fallback;
  }
  int layers(const char* key) { return static_cast<int>(reader_.integer(key, 1, 10'000)); }
  bool flag(const char* key, bool fallback) {
    return has(key) ? reader_.boolean(key, fallback) : fallback;
  }
  double share(const char* key, double fallback) {
    return has(key) ? reader_.number(key, 0, 0.999) : fallback;
  }
  std::string text(const char* key, const char* fallback) {
    return has(key) ? reader_.string(key) : fallback;
  }

  /// As many as it has labels; Hugging Face's default is 2.
  std::int64_t classes() {
    if (has("id2label") && json_["id2label"].is_object())
      return static_cast<std::int64_t>(json_["id2label"].size());
    return number("num_labels", 2);
  }
  /// The option, else what there are positions for.
  std::int64_t sequence(std::int64_t positions) {
    return option("seq", std::min(positions, kLongest));
  }
  std::int64_t option(const char* key, std::int64_t fallback) {
    used_.insert(key);
    const auto found = asked_.options.find(key);
    return found == asked_.options.end() ? fallback : found->second;
  }
  void check_options() const {
    for (const auto& [key, value] : asked_.options)
      if (!used_.contains(key))
        throw InputError(fmt::format("{}: {}", asked_.name,
                                     unknown_name("option", key, {used_.begin(), used_.end()})));
  }

  [[nodiscard]] const std::string& architecture() const { return architecture_; }
  [[noreturn]] void unknown_head(const char* known) const {
    reader_.fail_at("architectures",
                    fmt::format("'{}' is not read; known: {}", architecture_, known));
  }
  [[noreturn]] void fail_at(const char* key, const std::string& why) const {
    reader_.fail_at(key, why);
  }

 private:
  const Json& json_;
  ObjectReader reader_;
  const NamedOptions& asked_;
  std::string architecture_;
  std::set<std::string> used_;
};

void read_gpt2(Config& c, GraphBuilder& g) {
  if (!c.architecture().empty() && c.architecture() != "GPT2LMHeadModel")
    c.unknown_head("GPT2LMHeadModel");
  zoo::Gpt2 net;
  net.layers = c.layers("n_layer");
  net.hidden = c.number("n_embd");
  net.heads = c.number("n_head");
  net.vocabulary = c.number("vocab_size");
  net.positions = c.number("n_positions");
  net.inner = c.number("n_inner", 0);
  net.dropout = c.share("resid_pdrop", net.dropout);
  net.sequence = c.sequence(net.positions);
  zoo::fill_gpt2(g, net);
}

void read_llama(Config& c, GraphBuilder& g, bool query_bias) {
  if (!c.architecture().empty() && !c.architecture().ends_with("ForCausalLM"))
    c.unknown_head("...ForCausalLM");
  zoo::Llama net;
  net.layers = c.layers("num_hidden_layers");
  net.hidden = c.number("hidden_size");
  net.heads = c.number("num_attention_heads");
  net.kv_heads = c.number("num_key_value_heads", net.heads);
  net.head_features = c.number("head_dim", net.hidden / net.heads);
  net.inner = c.number("intermediate_size");
  net.vocabulary = c.number("vocab_size");
  net.tied = c.flag("tie_word_embeddings", false);
  net.attention_bias = c.flag("attention_bias", false);
  net.query_bias = query_bias;
  if (c.flag("mlp_bias", false)) c.fail_at("mlp_bias", "is not read, but as false");
  net.sequence = c.sequence(c.number("max_position_embeddings", kLongest));
  zoo::fill_llama(g, net);
}

// BERT and its like differ in token types and in the names of their keys.
void read_bert(Config& c, GraphBuilder& g, const std::string& type) {
  const bool distil = type == "distilbert";
  BertModel net;
  net.layers = c.layers(distil ? "n_layers" : "num_hidden_layers");
  net.hidden = c.number(distil ? "dim" : "hidden_size");
  net.heads = c.number(distil ? "n_heads" : "num_attention_heads");
  net.intermediate = c.number(distil ? "hidden_dim" : "intermediate_size");
  net.vocabulary = c.number("vocab_size");
  net.positions = c.number("max_position_embeddings");
  net.token_types = distil ? 0 : c.number("type_vocab_size", 2);
  // RoBERTa's first two positions are those of padding.
  net.sequence = c.sequence(type == "roberta" ? net.positions - 2 : net.positions);
  const std::string& head = c.architecture();
  if (head.ends_with("ForMaskedLM") || (head.empty() && type != "bert"))
    net.head = BertHead::masked_lm;
  else if (head.ends_with("ForPreTraining") || head.empty())
    net.head = BertHead::pretraining;
  else if (head.ends_with("Model"))
    net.head = distil ? BertHead::none : BertHead::pooler;
  else
    c.unknown_head("...Model, ...ForMaskedLM, ...ForPreTraining");
  zoo::fill_bert(g, net);
}

void read_vit(Config& c, GraphBuilder& g) {
  zoo::VisionTransformer net;
  net.layers = c.layers("num_hidden_layers");
  net.hidden = c.number("hidden_size");
  net.heads = c.number("num_attention_heads");
  net.inner = c.number("intermediate_size");
  net.image = c.option("image", c.number("image_size"));
  net.patch = c.number("patch_size");
  net.channels = c.number("num_channels", 3);
  const std::string& head = c.architecture();
  if (head == "ViTModel")
    net.classes = 0, net.pooler = true;
  else if (head.empty() || head == "ViTForImageClassification")
    net.classes = c.classes();
  else
    c.unknown_head("ViTModel, ViTForImageClassification");
  zoo::fill_vision_transformer(g, net);
}

void read_t5(Config& c, GraphBuilder& g) {
  const std::string& head = c.architecture();
  if (!head.empty() && head != "T5ForConditionalGeneration" && head != "T5WithLMHeadModel")
    c.unknown_head("T5ForConditionalGeneration");
  zoo::T5 net;
  net.layers = c.layers("num_layers");
  net.decoder_layers = c.has("num_decoder_layers") ? c.layers("num_decoder_layers") : net.layers;
  net.hidden = c.number("d_model");
  net.heads = c.number("num_heads");
  net.head_features = c.number("d_kv");
  net.inner = c.number("d_ff");
  net.vocabulary = c.number("vocab_size");
  net.buckets = c.number("relative_attention_num_buckets", 32);
  net.gated = c.text("feed_forward_proj", "relu").starts_with("gated");
  net.tied = c.flag("tie_word_embeddings", true);
  net.dropout = c.share("dropout_rate", net.dropout);
  net.sequence = c.sequence(c.number("n_positions", 512));
  zoo::fill_t5(g, net);
}

void fill(Config& c, GraphBuilder& g, const std::string& type) {
  if (type == "gpt2") return read_gpt2(c, g);
  if (type == "llama" || type == "mistral") return read_llama(c, g, false);
  if (type == "qwen2") return read_llama(c, g, true);
  if (type == "bert" || type == "roberta" || type == "distilbert") return read_bert(c, g, type);
  if (type == "vit") return read_vit(c, g);
  if (type == "t5") return read_t5(c, g);
  c.fail_at("model_type", unknown_name("family", type,
                                       {"gpt2", "llama", "mistral", "qwen2", "bert", "roberta",
                                        "distilbert", "vit", "t5"}));
}

// The name that the config carries, else its family's.
std::string name_of(const Json& json) {
  for (const char* key : {"_name_or_path", "name"})
    if (json.contains(key) && json[key].is_string() && !json[key].get<std::string>().empty())
      return std::filesystem::path(json[key].get<std::string>()).filename().string();
  return json.at("model_type").get<std::string>();
}

}  // namespace

bool is_hugging_face_config(const Json& json) {
  return json.is_object() && json.contains("model_type") && json["model_type"].is_string() &&
         !json.contains("format");
}

Model read_hugging_face_config(const Json& json, const NamedOptions& asked) {
  Config config(json, asked);
  const std::string type = json.at("model_type").get<std::string>();
  const std::string name = name_of(json);
  GraphBuilder builder(name + options_text(asked.options), name,
                       fmt::format("Hugging Face config, {}",
                                   config.architecture().empty() ? type : config.architecture()));
  fill(config, builder, type);
  config.check_options();
  return builder.build();
}

}  // namespace paceline
