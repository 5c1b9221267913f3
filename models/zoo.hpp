#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/graph.hpp"

namespace paceline {

/// A network of the literature. `name` is what files and options say; case, '-', '_' and blanks do
/// not matter
/// ("ResNet-50" is "resnet50").
struct ModelInfo {
  std::string name;
  std::string title;
  std::string notes;  ///< source and variant: heads, shortcuts, biases, ties, sequence length
};

std::vector<ModelInfo> model_infos();
std::vector<std::string> model_names();
/// A name and options, "bert-large:seq=64" (model_options.hpp); torchvision's names too, with or
/// without "torchvision.models.". Throws InputError with the nearest name.
Model make_model(std::string_view name);

/// LSTM language model: embedding, `layers` LSTMs with dropout before, between and after, linear
/// decoder. The defaults are LSTM-PTB 2x1500 (Zaremba et al. 2014, "large").
struct LstmLanguageModel {
  int layers = 2;
  std::int64_t hidden = 1500;
  std::int64_t vocabulary = 10'000;
  std::int64_t time_steps = 35;  ///< one sample is a sequence of this many tokens
  std::int64_t biases = 2;       ///< per layer: 2 in PyTorch and cuDNN, 1 in the formula
  bool tied = false;             ///< the decoder's weight is the embedding's
  double dropout = 0.65;
};
Model make_lstm_language_model(const LstmLanguageModel& net);

enum class BertHead { none, pooler, masked_lm, pretraining };
/// BERT; the defaults are BERT-Base with 128 tokens. The masked-LM head computes all positions.
struct BertModel {
  int layers = 12;
  std::int64_t hidden = 768;
  std::int64_t heads = 12;
  std::int64_t vocabulary = 30'522;
  std::int64_t positions = 512;  ///< longest sequence the model has positions for
  std::int64_t sequence = 128;   ///< tokens per sample
  BertHead head = BertHead::pretraining;
  std::int64_t token_types = 2;   ///< 1: RoBERTa; 0: none, DistilBERT
  std::int64_t intermediate = 0;  ///< features between the two halves of a layer's end; 0: 4 hidden
};
Model make_bert(const BertModel& net);

}  // namespace paceline
