#pragma once

#include <cstdint>

#include "models/graph.hpp"
#include "models/zoo.hpp"

// Transformers by their sizes: those of the zoo, and those of Hugging Face's config.json.
namespace paceline::zoo {

/// Radford et al. 2019, as Hugging Face's GPT2LMHeadModel: Q, K and V in one tensor, decoder tied.
struct Gpt2 {
  int layers = 12;
  std::int64_t hidden = 768, heads = 12, vocabulary = 50'257, positions = 1024, sequence = 1024;
  std::int64_t inner = 0;  ///< 0: 4 hidden
  double dropout = 0.1;
};
void fill_gpt2(GraphBuilder& g, const Gpt2& net);

/// Touvron et al. 2023: RMSNorm, rotary positions, SwiGLU, grouped queries.
struct Llama {
  int layers = 32;
  std::int64_t hidden = 4096, heads = 32, kv_heads = 32, inner = 11'008, vocabulary = 32'000;
  std::int64_t sequence = 2048;
  std::int64_t head_features = 0;  ///< 0: hidden / heads
  bool tied = false, attention_bias = false;
  bool query_bias = false;  ///< of Q, K and V alone (Qwen2)
};
void fill_llama(GraphBuilder& g, const Llama& net);

/// Dosovitskiy et al. 2020, as torchvision's vit_b_16: Q, K and V in one tensor.
struct VisionTransformer {
  int layers = 12;
  std::int64_t hidden = 768, heads = 12, inner = 3072, patch = 16, image = 224, channels = 3;
  std::int64_t classes = 1000;  ///< 0: no head
  bool pooler = false;          ///< Hugging Face's ViTModel
  double dropout = 0;
};
void fill_vision_transformer(GraphBuilder& g, const VisionTransformer& net);

/// Raffel et al. 2019, as Hugging Face's T5ForConditionalGeneration; one sample is a sequence for
/// the encoder and one as long for the decoder.
struct T5 {
  int layers = 6, decoder_layers = 6;
  std::int64_t hidden = 512, heads = 8, head_features = 64, inner = 2048, vocabulary = 32'128;
  std::int64_t buckets = 32, sequence = 512;
  bool gated = false, tied = true;
  double dropout = 0.1;
};
void fill_t5(GraphBuilder& g, const T5& net);

void fill_bert(GraphBuilder& g, const BertModel& net);

}  // namespace paceline::zoo
