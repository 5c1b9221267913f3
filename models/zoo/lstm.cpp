#include <fmt/format.h>

#include "models/zoo.hpp"
#include "models/zoo/families.hpp"

namespace paceline {
namespace {

void fill(GraphBuilder& g, const LstmLanguageModel& net) {
  std::size_t x = g.input("tokens", {net.time_steps}, net.vocabulary);
  x = g.add_operation("encoder", {x}, EmbeddingOp{net.vocabulary, net.hidden});
  x = g.dropout("drop0", x, net.dropout);
  for (int layer = 0; layer < net.layers; ++layer) {
    x = g.add_operation(fmt::format("rnn.l{}", layer), {x}, LstmOp{net.hidden, net.biases});
    x = g.dropout(fmt::format("drop{}", layer + 1), x, net.dropout);
  }
  x = g.dense("decoder", x,
              {.features = net.vocabulary, .tied_to = net.tied ? "encoder.weight" : ""});
  g.softmax_loss("loss", x);
}

}  // namespace

Model make_lstm_language_model(const LstmLanguageModel& net) {
  GraphBuilder g(
      fmt::format("lstm-{}x{}", net.layers, net.hidden),
      fmt::format("LSTM language model {}x{}", net.layers, net.hidden),
      fmt::format("vocabulary {}, {} bias(es) per layer, {} weights, {} steps per sample",
                  net.vocabulary, net.biases, net.tied ? "tied" : "untied", net.time_steps));
  fill(g, net);
  return g.build();
}

namespace zoo {

Entries lstms() {
  Entries entries;
  for (const std::int64_t biases : {2, 1})
    for (const bool tied : {false, true}) {
      const LstmLanguageModel net{.biases = biases, .tied = tied};
      entries.push_back(
          {fmt::format("lstm-ptb{}{}", biases == 1 ? "-one-bias" : "", tied ? "-tied" : ""),
           "LSTM-PTB 2x1500",
           fmt::format("vocabulary 10,000; {}; {} embedding and decoder; 35 time steps per sample; "
                       "dropout 0.65",
                       biases == 2 ? "two biases per layer (PyTorch, cuDNN)" : "one bias per layer",
                       tied ? "tied" : "untied"),
           {},
           [net](GraphBuilder& g) { fill(g, net); }});
    }
  return entries;
}

}  // namespace zoo
}  // namespace paceline
