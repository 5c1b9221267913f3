#include "models/model_file.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/error.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

TEST(ModelFile, EveryShippedModelSurvivesTheRoundTrip) {
  for (const std::string& name : model_names()) {
    const Model model = make_model(name);
    const std::string text = write_model(model).dump(2);
    EXPECT_TRUE(read_model(parse_json(text, name), name) == model) << name;
  }
}

TEST(ModelFile, OperationsMayComeInAnyOrder) {
  const Model model = make_model("densenet201");
  Json json = write_model(model);
  std::shuffle(json["operations"].begin(), json["operations"].end(), std::mt19937(7));
  const Model shuffled = read_model(json, "shuffled");
  EXPECT_EQ(shuffled.parameters(), model.parameters());
  EXPECT_DOUBLE_EQ(shuffled.forward_flops(), model.forward_flops());
  EXPECT_EQ(shuffled.activation_elements(), model.activation_elements());
}

TEST(ModelFile, TensorsFormCarriesSizesOnly) {
  const Json json = parse_json(R"({"format": "paceline-model-1", "name": "wfbp", "tensors": [
      {"name": "large", "elements": 158740, "repeat": 53},
      {"name": "small", "elements": 158739, "flops": "2M", "bytes": "4kB", "repeat": 108}]})",
                               "wfbp.json");
  const Model model = read_model(json, "wfbp.json");
  EXPECT_EQ(model.tensors().size(), 161u);
  EXPECT_EQ(model.parameters(), 53 * 158'740 + 108 * 158'739);
  EXPECT_EQ(model.tensors()[52].name, "large.52");
  EXPECT_EQ(model.tensors()[53].name, "small.0");
  EXPECT_EQ(model.forward_flops(), 108 * 2e6);
  EXPECT_EQ(model.operations().back().backward_bytes, 8000);
  EXPECT_FALSE(model.executable());
  EXPECT_EQ(gradient_events(model).front().tensors, std::vector<std::size_t>{160});
  EXPECT_TRUE(read_model(write_model(model), "again") == model);
}

struct Bad {
  const char* what;
  const char* operations;  ///< after an image [3,8,8] called "image"
  std::vector<std::string> messages;
};

const Bad kBad[] = {
    {"unknown kind",
     R"({"name": "c", "kind": "conv3d", "inputs": ["image"], "channels": 4, "kernel": 3})",
     {"bad.json: $.operations[1].kind", "unknown operation kind 'conv3d'; did you mean 'conv2d'"}},
    {"unknown input",
     R"({"name": "r", "kind": "relu", "inputs": ["imgae"]})",
     {"$.operations[1].inputs", "unknown operation 'imgae'; did you mean 'image'"}},
    {"unknown key",
     R"({"name": "c", "kind": "conv2d", "inputs": ["image"], "channels": 4, "kernel": 3, "strides": 2})",
     {"$.operations[1]", "unknown key 'strides'; did you mean 'stride'"}},
    {"key of another kind",
     R"({"name": "r", "kind": "relu", "inputs": ["image"], "channels": 4})",
     {"$.operations[1]", "unknown key 'channels'"}},
    {"cycle",
     R"({"name": "a", "kind": "add", "inputs": ["image", "c"]}, {"name": "b", "kind": "relu", "inputs": ["a"]},
        {"name": "c", "kind": "relu", "inputs": ["b"]}, {"name": "d", "kind": "relu", "inputs": ["c"]})",
     {"$.operations", "a cycle of inputs: a <- c <- b <- a"}},
    {"itself", R"({"name": "a", "kind": "relu", "inputs": ["a"]})", {"a cycle of inputs: a <- a"}},
    {"unequal shapes at an add",
     R"({"name": "c", "kind": "conv2d", "inputs": ["image"], "channels": 4, "kernel": 1},
        {"name": "s", "kind": "add", "inputs": ["image", "c"]})",
     {"$.operations[2]", "operation 's'", "'image' gives [3, 8, 8] and 'c' [4, 8, 8]"}},
    {"zero channels",
     R"({"name": "c", "kind": "conv2d", "inputs": ["image"], "channels": 0, "kernel": 3})",
     {"$.operations[1].channels", "found 0"}},
    {"negative padding",
     R"({"name": "c", "kind": "conv2d", "inputs": ["image"], "channels": 1, "kernel": 3, "padding": [1, -1]})",
     {"$.operations[1].padding", "found -1"}},
    {"three extents",
     R"({"name": "p", "kind": "max_pool", "inputs": ["image"], "kernel": [3, 3, 3]})",
     {"$.operations[1].kernel", "expected one whole number or [height, width]"}},
    {"no kernel",
     R"({"name": "p", "kind": "max_pool", "inputs": ["image"], "kernal": 3})",
     {"kernel"}},
    {"name twice",
     R"({"name": "image", "kind": "relu", "inputs": ["image"]})",
     {"$.operations[1].name", "another operation is called 'image'"}},
    {"no inputs",
     R"({"name": "r", "kind": "relu"})",
     {"$.operations[1]", "relu takes 1 input(s), found 0"}},
    {"wrong declared shape",
     R"({"name": "p", "kind": "global_avg_pool", "inputs": ["image"], "output_shape": [4]})",
     {"$.operations[1].output_shape", "gives [3], not [4]"}},
    {"opaque in a graph",
     R"({"name": "o", "kind": "opaque", "inputs": ["image"], "elements": 4})",
     {"opaque operations form a chain of their own"}},
};

TEST(ModelFile, MistakesInTheGraphAreNamedWithTheirPlace) {
  for (const Bad& bad : kBad) {
    const std::string text =
        std::string(R"({"format": "paceline-model-1", "name": "bad", "operations": [
        {"name": "image", "kind": "input", "shape": [3, 8, 8]}, )") +
        bad.operations + "]}";
    try {
      read_model(parse_json(text, "bad.json"), "bad.json");
      ADD_FAILURE() << bad.what << ": accepted";
    } catch (const InputError& error) {
      for (const std::string& message : bad.messages)
        EXPECT_THAT(error.what(), HasSubstr(message)) << bad.what;
    }
  }
}

TEST(ModelFile, MistakesAroundTheGraphAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"format": "paceline-model-2", "name": "m", "tensors": []})", "$.format"},
      {R"({"format": "paceline-model-1", "name": "m"})", "needs 'operations'"},
      {R"({"format": "paceline-model-1", "name": "m", "tensors": [], "operations": []})",
       "has both"},
      {R"({"format": "paceline-model-1", "name": "m", "tensors": []})", "has no operation"},
      {R"({"format": "paceline-model-1", "name": "", "tensors": []})", "$.name"},
      {R"({"format": "paceline-model-1", "name": "m", "tensors": [{"name": "a", "elements": 0}]})",
       "$.tensors[0].elements"},
      {R"({"format": "paceline-model-1", "name": "m", "tensors": [{"name": "a", "elements": 1.5}]})",
       "expected a whole number"},
      {R"({"format": "paceline-model-1", "name": "m", "tensors": [{"name": "a", "elements": 1, "bytes": 4}]})",
       "lacks a unit"},
      {R"({"format": "paceline-model-1", "name": "m", "tensors": [{"name": "a", "elements": 1, "repeat": 0}]})",
       "$.tensors[0].repeat"},
      {R"({"format": "paceline-model-1", "name": "m", "tensors": [{"name": "a", "elements": 1},
          {"name": "a", "elements": 1}]})",
       "$.tensors[1]: operation 'a': another operation has the same name"},
      {R"([1, 2])", "expected an object"},
  };
  for (const auto& [text, message] : cases) {
    try {
      read_model(parse_json(text, "m.json"), "m.json");
      ADD_FAILURE() << text << ": accepted";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("m.json: $"));
      EXPECT_THAT(error.what(), HasSubstr(message)) << text;
    }
  }
}

TEST(ModelFile, DamagedTextIsReadOrRefusedNothingElse) {
  const std::string whole = write_model(make_model("resnet20")).dump();
  std::mt19937 engine(11);
  const auto below = [&engine](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(engine);
  };
  const std::string letters = "0123456789-.eE[]{}\",:xyz ";
  int refused = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::string text = whole;
    for (std::size_t k = 0; k <= below(3); ++k) {
      const std::size_t at = below(text.size());
      if (below(2) == 0)
        text[at] = letters[below(letters.size())];
      else
        text.erase(at, 1 + below(20));
    }
    try {
      (void)read_model(parse_json(text, "damaged"), "damaged");
    } catch (const InputError& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).rfind("damaged: ", 0), 0u) << error.what();
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(ModelFile, TruncatedFileIsNamedWithItsLine) {
  const auto file =
      std::filesystem::temp_directory_path() / ("paceline-truncated-" + std::to_string(::getpid()));
  const std::string text = write_model(make_model("lenet5")).dump(2);
  std::ofstream(file) << text.substr(0, text.size() / 2);
  try {
    load_model(file);
    ADD_FAILURE() << "accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr(file.string()));
    EXPECT_THAT(error.what(), HasSubstr("line"));
  }
  std::filesystem::remove(file);
  EXPECT_THROW(load_model(file), InputError);
}

}  // namespace
}  // namespace paceline
