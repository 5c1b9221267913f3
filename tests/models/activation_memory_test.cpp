// What a GPU holds of a model's activations, against counts by hand.
#include "models/activation_memory.hpp"

#include <gtest/gtest.h>

#include "models/zoo.hpp"

namespace paceline {
namespace {

constexpr double kFloat = 4;

TEST(ActivationMemory, OfAChainIsCountedByHand) {
  GraphBuilder g("test");
  std::size_t x =
      g.conv2d("conv", g.input("image", {3, 8, 8}), {.channels = 4, .kernel = 3, .padding = 1});
  x = g.relu("relu", g.batch_norm("bn", x));
  g.softmax_loss("loss", g.dense("fc", g.flatten("flatten", x), {.features = 10}));
  const Model model = g.build();
  const double image = 3 * 64, map = 4 * 64, logits = 10;
  // Image (of conv), conv's output (of bn), the ReLU's output (its own and, as a view, fc's), log-softmax.
  const double kept = image + 2 * map + logits;
  const ActivationMemory fused = activation_memory(model, {});
  EXPECT_EQ(fused.kept, kFloat * kept);
  // All of that, less the log-softmax and with the gradients of both sides of the ReLU.
  EXPECT_EQ(fused.peak, kFloat * (image + 4 * map));
  const ActivationMemory both_sides = activation_memory(model, {.relu_inputs = true});
  EXPECT_EQ(both_sides.kept, kFloat * (kept + map));
}

// Of n logits: 16 n bytes at the loss in 16 bits, 12 n in fp32.
TEST(ActivationMemory, OfACrossEntropy) {
  GraphBuilder g("test");
  g.softmax_loss("loss", g.dense("fc", g.input("x", {8}), {.features = 1000, .bias = false}));
  const Model model = g.build();
  EXPECT_EQ(activation_memory(model, {}).peak, 12 * 1000 + 4 * 8);
  EXPECT_EQ(activation_memory(model, {.float_bytes = 2}).peak, 16 * 1000 + 2 * 8);
}

TEST(ActivationMemory, AttentionKeepsItsOutputOrItsScores) {
  const Model model = make_model("bert-base-encoder");
  const double scores = 12.0 * 128 * 128, layers = 12;
  const double fused = activation_memory(model, {}).kept;
  const double matrices = activation_memory(model, {.attention_scores = true}).kept;
  // The output is what the next linear layer keeps anyway; dropout on the scores has a mask of bytes.
  EXPECT_EQ(matrices - fused, layers * 1.25 * kFloat * scores);
}

TEST(ActivationMemory, BlocksAreNumberedPartsOfNames) {
  EXPECT_EQ(recompute_blocks(make_model("llama-8b")).count, 32U);
  EXPECT_EQ(recompute_blocks(make_model("gpt2-small")).count, 12U);
  EXPECT_EQ(recompute_blocks(make_model("vit-b-16")).count, 12U);
  EXPECT_EQ(recompute_blocks(make_model("resnet50")).count, 16U);
  EXPECT_EQ(recompute_blocks(make_model("vgg16")).count, 0U) << "single operations";
}

// Between the passes a recomputed Llama has what each block reads, and what is outside of blocks.
TEST(ActivationMemory, FullRecomputationKeepsTheInputsOfBlocks) {
  const Model model = make_model("llama-8b:seq=1024");
  const double tokens = 1024, hidden = 4096, vocabulary = 128'256;
  const double inputs = 32 * tokens * hidden;            // of the blocks
  const double outside = tokens + 2 * tokens * hidden;   // tokens, in and out of the last norm
  const double loss = 2 * kFloat * tokens * vocabulary;  // log-softmax, and the logits' cast
  const KeepRules full{.float_bytes = 2, .recompute = Recompute::full};
  EXPECT_EQ(activation_memory(model, full).kept, 2 * (inputs + outside) + loss);
  const KeepRules selective{.float_bytes = 2, .recompute = Recompute::selective};
  // q, v, gate and down projection, and attention's output.
  const double saved = 32 * tokens * (4096 + 1024 + 14'336 + 4096);
  const double down = 32 * tokens * 4096;  // saved, but nobody's backward pass wants it
  EXPECT_EQ(activation_memory(model, selective).kept, 2 * (inputs + outside + saved - down) + loss)
      << "q and v are wanted after the rotation";
}

TEST(ActivationMemory, RecomputedSharesAreOfTheProducts) {
  const Model model = make_model("gpt2-small");
  const RecomputeBlocks blocks = recompute_blocks(model);
  for (const double share : recomputed_shares(model, blocks, Recompute::full)) EXPECT_EQ(share, 1);
  for (const double share : recomputed_shares(model, blocks, Recompute::none)) EXPECT_EQ(share, 0);
  const auto selective = recomputed_shares(model, blocks, Recompute::selective);
  // Of QKV, projection, up and down (3, 1, 4, 4 d^2 a token) the 2nd and 4th are run again.
  const double d = 768, t = 1024, attention = t * d * 2;
  EXPECT_NEAR(selective.front(), 5 * d * d / (12 * d * d + attention), 0.02);
}

}  // namespace
}  // namespace paceline
