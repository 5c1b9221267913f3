// A pass that is repeated from its notes leaves another engine where the first one is: real
// networks with batch-norm, dropout and hidden states.
#include "sim/values/pass_log.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "models/data/catalog.hpp"
#include "models/zoo.hpp"
#include "sim/values/network_engine.hpp"

namespace paceline {
namespace {

PassLog through_a_file(const PassLog& log) {
  std::string pattern = (std::filesystem::temp_directory_path() / "paceline-pass-XXXXXX").string();
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path file = std::filesystem::path(pattern) / "log";
  ArchiveWriter writer(file);
  log.save(writer);
  writer.finish();
  ArchiveReader reader(file);
  PassLog read(reader);
  EXPECT_TRUE(reader.at_end());
  std::filesystem::remove_all(pattern);
  return read;
}

void expect_the_same_after_repeating(const Model& model, const DataOptions& data_options,
                                     std::int64_t micro_batches) {
  const std::shared_ptr<const Dataset> data = open_dataset(data_options);
  TrainingOptions options;
  options.batch = 2;
  options.micro_batches = micro_batches;
  options.evaluation_samples = 2;
  const auto values = make_network_engine(model, data, options);
  const auto end = static_cast<std::uint32_t>(model.tensors().size());
  const std::uint32_t half = end / 2;
  std::vector<float> weights = values->initial_parameters();
  const auto last = static_cast<std::size_t>(model.tensors().back().elements());

  const auto first = values->make_worker(0), second = values->make_worker(0);
  std::vector<float> gradient(weights.size()), again(weights.size());
  const auto whole_pass = [&](WorkerEngine& engine, std::int64_t step, std::span<float> out) {
    earlier_micro_batches(engine, step, micro_batches, end, weights, out, [] {});
    engine.load(step, micro_batches - 1);
    engine.forward(0, end, weights, step);
    engine.backward(0, end, weights, out);
    return engine.loss();
  };
  whole_pass(*first, 0, gradient);  // its state is not that of a new engine any more

  PassLog log(1, micro_batches, end);
  const auto forward = [&](std::uint32_t from, std::uint32_t to) {
    log.piece(PassLog::Kind::forward, from, to, weights);
    if (from == 0) {
      earlier_micro_batches(*first, 1, micro_batches, end, weights, gradient, [] {});
      first->load(1, micro_batches - 1);
    }
    first->forward(from, to, weights, 1);
  };
  log.begin(*first);
  forward(0, half);
  for (std::size_t i = weights.size() - last; i < weights.size(); ++i)
    weights[i] *= 1.01F;  // before the layer that reads them
  forward(half, end);
  log.piece(PassLog::Kind::backward, 0, half, weights);
  first->backward(0, half, weights, gradient);

  through_a_file(log).repeat(*second);
  EXPECT_EQ(second->loss(), first->loss());
  std::vector<float> rest(weights.size()), rest_again(weights.size());
  first->backward(half, end, weights, rest);
  second->backward(half, end, weights, rest_again);
  EXPECT_EQ(rest, rest_again);
  std::vector<float> state(static_cast<std::size_t>(first->state_elements())), same(state.size());
  EXPECT_GT(state.size(), 0U);
  first->read_state(state);
  second->read_state(same);
  EXPECT_EQ(state, same);
  EXPECT_EQ(whole_pass(*first, 2, gradient), whole_pass(*second, 2, again));
  EXPECT_EQ(gradient, again);
}

TEST(ValuesPassLog, BatchNorm) {
  DataOptions data;
  data.name = "textures";
  data.train = 12;
  data.test = 4;
  expect_the_same_after_repeating(make_model("resnet20-cifar"), data, 1);
}

TEST(ValuesPassLog, HiddenStatesDropoutTiedWeightsAndMicroBatches) {
  LstmLanguageModel net;
  net.hidden = 12;
  net.vocabulary = 100;
  net.time_steps = 6;
  net.tied = true;
  net.dropout = 0.3;
  DataOptions data;
  data.name = "grammar";
  data.train = 600;
  data.test = 100;
  data.steps = 6;
  data.words = 100;
  expect_the_same_after_repeating(make_lstm_language_model(net), data, 2);
}

}  // namespace
}  // namespace paceline
