#include "models/graph.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/error.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

/// Every rule that a backward pass must keep, checked by running it.
void expect_valid_backward(const Model& model) {
  const auto& ops = model.operations();
  std::vector<bool> ran(ops.size(), false);
  std::set<std::size_t> complete;
  std::vector<std::size_t> order;
  for (const GradientEvent& event : gradient_events(model)) {
    const std::size_t i = event.operation;
    order.push_back(i);
    ASSERT_FALSE(ran[i]) << ops[i].name << " runs twice";
    ASSERT_TRUE(ops[i].needs_gradient);
    for (const std::size_t consumer : model.consumers_of(i))
      ASSERT_TRUE(ran[consumer]) << ops[i].name << " before its consumer " << ops[consumer].name;
    ran[i] = true;
    for (const std::size_t tensor : event.tensors) {
      ASSERT_TRUE(complete.insert(tensor).second) << model.tensors()[tensor].name << " twice";
      for (const std::size_t user : model.tensors()[tensor].operations)
        ASSERT_TRUE(ran[user]) << model.tensors()[tensor].name << " before " << ops[user].name;
    }
  }
  EXPECT_EQ(order, backward_order(model));
  EXPECT_EQ(complete.size(), model.tensors().size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    bool wanted = !ops[i].parameters.empty();
    for (const std::size_t input : ops[i].inputs) {
      ASSERT_LT(input, i) << "forward order";
      wanted = wanted || ops[input].needs_gradient;
    }
    EXPECT_EQ(ran[i], wanted) << ops[i].name;
  }
}

Model random_graph(unsigned seed) {
  std::mt19937 engine(seed);
  const auto pick = [&engine](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(engine);
  };
  GraphBuilder g("random");
  std::vector<std::size_t> nodes;
  for (std::size_t i = 0; i <= pick(3); ++i)
    nodes.push_back(g.input("input" + std::to_string(i), {6}));
  std::vector<std::string> weights;
  for (std::size_t i = 0, count = 5 + pick(40); i < count; ++i) {
    const std::string name = "op" + std::to_string(i);
    const std::size_t x = nodes[pick(nodes.size())];
    switch (pick(5)) {
      case 0:
        weights.push_back(name + ".weight");
        nodes.push_back(g.dense(name, x, {.features = 6, .bias = pick(2) == 0}));
        break;
      case 1:
        nodes.push_back(
            weights.empty()
                ? g.relu(name, x)
                : g.dense(name, x, {.features = 6, .tied_to = weights[pick(weights.size())]}));
        break;
      case 2:
        nodes.push_back(g.add(name, {x, nodes[pick(nodes.size())], nodes[pick(nodes.size())]}));
        break;
      case 3:
        nodes.push_back(g.layer_norm(name, x));
        break;
      default:
        nodes.push_back(g.relu(name, x));
    }
  }
  return g.build();
}

TEST(Graph, BackwardOfRandomGraphsIsValid) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    expect_valid_backward(random_graph(seed));
    if (HasFatalFailure()) return;
  }
}

TEST(Graph, BackwardOfEveryShippedModelIsValid) {
  for (const std::string& name : model_names()) {
    SCOPED_TRACE(name);
    expect_valid_backward(make_model(name));
  }
}

TEST(Graph, LastLayerYieldsFirstAndWeightWithBias) {
  const Model model = make_model("lenet5");
  std::vector<std::vector<std::string>> yielded;
  for (const GradientEvent& event : gradient_events(model)) {
    std::vector<std::string> names;
    for (const std::size_t tensor : event.tensors) names.push_back(model.tensors()[tensor].name);
    if (!names.empty()) yielded.push_back(names);
  }
  const std::vector<std::vector<std::string>> expected{{"fc3.bias", "fc3.weight"},
                                                       {"fc2.bias", "fc2.weight"},
                                                       {"fc1.bias", "fc1.weight"},
                                                       {"conv2.bias", "conv2.weight"},
                                                       {"conv1.bias", "conv1.weight"}};
  EXPECT_EQ(yielded, expected);
}

TEST(Graph, ShortcutYieldsBeforeTheBranchItJoins) {
  const Model model = make_model("resnet50");
  std::vector<std::string> names;
  for (const GradientEvent& event : gradient_events(model))
    for (const std::size_t tensor : event.tensors) names.push_back(model.tensors()[tensor].name);
  ASSERT_EQ(names.size(), 161u);
  const auto position = [&names](const std::string& name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  EXPECT_EQ(position("fc.bias"), 0);
  EXPECT_EQ(position("fc.weight"), 1);
  EXPECT_EQ(position("conv1.weight"), 160);
  EXPECT_LT(position("layer1.0.downsample.0.weight"), position("layer1.0.conv3.weight"));
}

TEST(Graph, TiedWeightIsCompleteWithItsLastUser) {
  const Model model = make_model("lstm-ptb-tied");
  const auto events = gradient_events(model);
  const std::size_t embedding = model.operation_index("encoder");
  EXPECT_EQ(model.tensors()[0].name, "encoder.weight");
  EXPECT_EQ(model.tensors()[0].operations,
            (std::vector<std::size_t>{embedding, model.operation_index("decoder")}));
  EXPECT_EQ(events.back(), (GradientEvent{embedding, {0}}));
}

TEST(Graph, FactsOfSequenceModels) {
  const Model lstm = make_lstm_language_model({.hidden = 200, .time_steps = 20, .tied = true});
  EXPECT_EQ(lstm.time_steps(), 20);
  EXPECT_EQ(lstm.classes(), 10'000);
  EXPECT_EQ(lstm.parameters(), 10'000 * 200 + 10'000 + 2 * (2 * 4 * 200 * 200 + 2 * 4 * 200));
  const Model twice = make_lstm_language_model({.hidden = 200, .time_steps = 40, .tied = true});
  EXPECT_EQ(twice.forward_macs(), 2 * lstm.forward_macs());
  EXPECT_EQ(make_bert({.sequence = 512}).time_steps(), 512);
  EXPECT_THROW(make_bert({.sequence = 513}), InputError);
}

TEST(Graph, AuxiliaryHeadsAreMarkedAndDoNotHideTheClassifier) {
  const Model with = make_model("googlenet-aux"), without = make_model("googlenet");
  EXPECT_TRUE(with.has_auxiliary_heads());
  EXPECT_FALSE(without.has_auxiliary_heads());
  std::int64_t head_parameters = 0;
  for (const Operation& op : with.operations())
    if (op.auxiliary) head_parameters += op.parameter_elements();
  EXPECT_EQ(head_parameters, with.parameters() - without.parameters());
  EXPECT_EQ(with.classes(), 1000);
}

TEST(Graph, UnknownOperationNamesTheNearest) {
  try {
    FAIL() << make_model("lenet5").operation_index("cnov1");
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'conv1'"), std::string::npos);
  }
}

}  // namespace
}  // namespace paceline
