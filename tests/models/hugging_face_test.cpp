#include "models/hugging_face.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

Model read(const char* text, std::map<std::string, std::int64_t> options = {}) {
  const Json json = Json::parse(text);
  EXPECT_TRUE(is_hugging_face_config(json));
  return read_hugging_face_config(json, {"config.json", std::move(options)});
}

struct Config {
  const char* text;
  std::int64_t parameters;  // of the published model
};

// The keys that decide sizes, as the models' own config.json have them.
const Config kConfigs[] = {
    {R"({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 12, "n_embd": 768,
         "n_head": 12, "n_positions": 1024, "vocab_size": 50257, "n_inner": null})",
     124'439'808},
    {R"({"model_type": "gpt2", "n_layer": 48, "n_embd": 1600, "n_head": 25, "n_positions": 1024,
         "vocab_size": 50257})",
     1'557'611'200},
    {R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
         "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32,
         "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
         "tie_word_embeddings": false})",
     8'030'261'248},
    {R"({"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "head_dim": 64,
         "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
         "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": true})",
     1'235'814'400},
    {R"({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "hidden_size": 4096,
         "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32,
         "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768})",
     7'241'732'096},
    {R"({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 896,
         "intermediate_size": 4864, "num_attention_heads": 14, "num_hidden_layers": 24,
         "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": true})",
     494'032'768},
    {R"({"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 768,
         "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
         "type_vocab_size": 2, "max_position_embeddings": 512, "vocab_size": 30522})",
     109'482'240},
    {R"({"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 1024,
         "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24,
         "max_position_embeddings": 512, "vocab_size": 30522})",
     335'174'458},
    {R"({"model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "hidden_size": 768,
         "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
         "type_vocab_size": 1, "max_position_embeddings": 514, "vocab_size": 50265})",
     124'697'433},
    {R"({"model_type": "distilbert", "architectures": ["DistilBertForMaskedLM"], "dim": 768,
         "hidden_dim": 3072, "n_heads": 12, "n_layers": 6, "max_position_embeddings": 512,
         "vocab_size": 30522})",
     66'985'530},
    {R"({"model_type": "vit", "architectures": ["ViTModel"], "hidden_size": 768,
         "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
         "image_size": 224, "patch_size": 16})",
     86'389'248},
    {R"({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 768,
         "d_kv": 64, "d_ff": 3072, "num_heads": 12, "num_layers": 12, "vocab_size": 32128,
         "n_positions": 512, "relative_attention_num_buckets": 32})",
     222'903'552},
    {R"({"model_type": "t5", "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 6, "num_layers":
         8, "num_decoder_layers": 8, "vocab_size": 32128, "feed_forward_proj": "gated-gelu",
         "tie_word_embeddings": false})",
     76'961'152}};

TEST(HuggingFace, TotalsAreThoseOfThePublishedModels) {
  for (const Config& config : kConfigs)
    EXPECT_EQ(read(config.text, config.parameters > 86'389'000 && config.parameters < 86'390'000
                                    ? std::map<std::string, std::int64_t>{}
                                    : std::map<std::string, std::int64_t>{{"seq", 64}})
                  .parameters(),
              config.parameters)
        << config.text;
}

TEST(HuggingFace, SequenceIsTheOptionElseWhatThereArePositionsFor) {
  EXPECT_EQ(read(kConfigs[0].text).time_steps(), 1024);
  EXPECT_EQ(read(kConfigs[2].text).time_steps(), 2048);  // of 8192
  EXPECT_EQ(read(kConfigs[2].text, {{"seq", 4096}}).time_steps(), 4096);
}

TEST(HuggingFace, WhatIsNotReadIsNamed) {
  const auto message = [](const char* text, std::map<std::string, std::int64_t> options = {}) {
    try {
      (void)read(text, std::move(options));
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(message(R"({"model_type": "mamba"})"), HasSubstr("unknown family 'mamba'"));
  EXPECT_THAT(message(R"({"model_type": "gpt2", "n_embd": 768})"), HasSubstr("n_layer"));
  EXPECT_THAT(message(R"({"model_type": "t5", "architectures": ["T5EncoderModel"]})"),
              HasSubstr("$.architectures: 'T5EncoderModel' is not read"));
  EXPECT_THAT(message(kConfigs[0].text, {{"image", 224}}), HasSubstr("unknown option 'image'"));
}

}  // namespace
}  // namespace paceline
