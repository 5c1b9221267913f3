#include "models/zoo.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/error.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

struct Row {
  const char* name;
  std::int64_t parameters;
  std::size_t tensors;
  const char* gmac;  ///< as printed; "" where no published figure is at hand
};

// torchvision 0.14.1 / PyTorch 1.13 for what exists there, else the papers' definitions.
const Row kRows[] = {
    {"mlp", 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10, 6, ""},
    {"lenet5", 61'706, 10, ""},
    {"lenet-caffe", 431'080, 8, ""},
    {"alexnet", 61'100'840, 16, "0.714"},
    {"alexnet-caffe", 60'965'224, 16, "0.724"},
    {"vgg16", 138'357'544, 32, "15.470"},
    {"vgg19", 143'667'240, 38, "19.632"},
    {"vgg16-cifar", 14'728'266, 54, "0.313"},
    {"vgg16-cifar-no-conv-bias", 14'724'042, 41, "0.313"},
    {"vgg16-cifar-no-bn", 14'719'818, 28, "0.313"},
    {"resnet18", 11'689'512, 62, "1.814"},
    {"resnet34", 21'797'672, 110, "3.664"},
    {"resnet50", 25'557'032, 161, "4.089"},
    {"resnet101", 44'549'160, 314, "7.801"},
    {"resnet152", 60'192'808, 467, "11.514"},
    {"resnet18-cifar", 11'173'962, 62, "0.555"},
    {"resnet20-cifar", 269'722, 59, "0.041"},
    {"resnet20-cifar-conv-bn", 272'474, 65, "0.041"},
    {"resnet20-cifar-conv", 272'282, 61, "0.041"},
    {"googlenet", 6'624'904, 173, "1.498"},
    {"googlenet-aux", 13'004'888, 187, "1.507"},
    {"googlenet-caffe", 6'998'552, 116, "1.583"},
    {"googlenet-caffe-aux", 13'378'280, 128, "1.591"},
    {"inception-v3", 23'834'568, 284, "5.713"},
    {"inception-v3-aux", 27'161'264, 292, "5.719"},
    {"inception-v4", 42'679'816, 449, "12.25"},
    {"densenet161", 28'681'000, 484, "7.728"},
    {"densenet201", 20'013'928, 604, "4.291"},
    {"lstm-ptb", 66'034'000, 11, "0.051"},
    {"lstm-ptb-tied", 51'034'000, 10, "0.051"},
    {"lstm-ptb-one-bias", 66'022'000, 9, "0.051"},
    {"lstm-ptb-one-bias-tied", 51'022'000, 8, "0.051"},
    {"bert-base-encoder", 108'891'648, 197, ""},
    {"bert-base-pooler", 109'482'240, 199, ""},
    {"bert-base-mlm", 109'514'298, 202, ""},
    {"bert-base", 110'106'428, 206, ""},
    {"bert-large-encoder", 334'092'288, 389, ""},
    {"bert-large-pooler", 335'141'888, 391, ""},
    {"bert-large-mlm", 335'174'458, 394, ""},
    {"bert-large", 336'226'108, 398, ""},
    // torchvision
    {"resnext50-32x4d", 25'028'904, 161, "4.23"},
    {"resnext101-32x4d", 44'177'704, 314, ""},
    {"resnext101-32x8d", 88'791'336, 314, "16.41"},
    {"wide-resnet50-2", 68'883'240, 161, "11.40"},
    {"wide-resnet101-2", 126'886'696, 314, "22.75"},
    {"densenet121", 7'978'856, 364, "2.83"},
    {"mobilenet-v2", 3'504'872, 158, "0.30"},
    {"efficientnet-b0", 5'288'548, 213, "0.39"},
    {"efficientnet-b1", 7'794'184, 301, "0.69"},
    {"efficientnet-b2", 9'109'994, 301, "1.09"},
    {"efficientnet-b3", 12'233'232, 340, "1.83"},
    {"efficientnet-b4", 19'341'616, 418, "4.39"},
    {"squeezenet1-0", 1'248'424, 52, "0.82"},
    {"squeezenet1-1", 1'235'496, 52, "0.35"},
    {"vit-b-16", 86'567'656, 152, ""},
    {"vit-b-32", 88'224'232, 152, ""},
    {"vit-l-16", 304'326'632, 296, ""},
    {"vit-l-32", 306'535'400, 296, ""},
    // Hugging Face
    {"gpt2-small", 124'439'808, 148, ""},
    {"gpt2-medium", 354'823'168, 292, ""},
    {"gpt2-large", 774'030'080, 436, ""},
    {"gpt2-xl", 1'557'611'200, 580, ""},
    {"distilbert", 66'985'530, 105, ""},
    {"roberta-base", 124'697'433, 202, ""},
    {"t5-small", 60'506'624, 131, ""},
    {"t5-base", 222'903'552, 257, ""},
    {"llama-125m", 12 * (4 * 768 * 768 + 3 * 768 * 2048 + 2 * 768) + 32'000 * 768 + 768, 110, ""},
    {"llama-1b", 1'235'814'400, 146, ""},
    {"llama-7b", 6'738'415'616, 291, ""},
    {"llama-8b", 8'030'261'248, 291, ""},
    {"llama-13b", 13'015'864'320, 363, ""},
    {"llama-70b", 68'976'648'192, 723, ""},
};

std::string printed(double value, const std::string& like) {
  return fmt::format("{:.{}f}", value, like.size() - like.find('.') - 1);
}

TEST(Zoo, TotalsAreThePublishedOnes) {
  for (const Row& row : kRows) {
    const Model model = make_model(row.name);
    EXPECT_EQ(model.parameters(), row.parameters) << row.name;
    EXPECT_EQ(model.tensors().size(), row.tensors) << row.name;
    const double gmac = model.forward_macs() / static_cast<double>(model.time_steps()) / 1e9;
    if (*row.gmac != '\0') {
      EXPECT_EQ(printed(gmac, row.gmac), row.gmac) << row.name;
    }
  }
}

TEST(Zoo, OptionsChangeWhatTheySay) {
  const Model longer = make_model("bert-large:seq=512"), model = make_model("bert-large");
  EXPECT_EQ(longer.name(), "bert-large:seq=512");
  EXPECT_EQ(longer.time_steps(), 512);
  EXPECT_EQ(longer.parameters(), model.parameters());
  // Everything but the attention, per token, is the same: 2 T^2 C of each of 24 layers.
  const auto attention = [](double steps) { return 24 * 2 * steps * steps * 1024; };
  EXPECT_NEAR((longer.forward_macs() - attention(512)) / 512,
              (model.forward_macs() - attention(128)) / 128, 20000);
  EXPECT_EQ(make_model("ResNet-50:image=299").input_shape(), (TensorShape{3, 299, 299}));
  EXPECT_EQ(make_model("gpt2:vocab=50304:seq=512").parameters(), 124'439'808 + 47 * 768);
  EXPECT_EQ(make_model("torchvision.models.resnext50_32x4d").name(), "resnext50-32x4d");
}

TEST(Zoo, WrongOptionsAreRefusedByName) {
  const std::pair<const char*, const char*> wrong[] = {
      {"bert-large:sequence=64", "unknown option 'sequence'; known: seq, vocab"},
      {"vgg16:image=299", "takes no options"},
      {"bert-large:seq=1024", "longer than its 512 positions"},
      {"bert-large:seq", "has no value"},
      {"bert-large:seq=0", "no whole number"},
      {"bert-large:seq=many", "is no number"},
      {"bert-large:seq=64:seq=128", "stands twice"},
      {"vit-b-16:image=225", "no whole number of patches"},
      {"resnet5:image=99", "unknown model 'resnet5'"}};
  for (const auto& asked : wrong)
    EXPECT_THAT([&] { (void)make_model(asked.first); },
                testing::ThrowsMessage<InputError>(HasSubstr(asked.second)))
        << asked.first;
}

// Grouped queries: K and V of 8 of 64 heads; the scores are those of all.
TEST(Zoo, GroupedQueriesAttendAsOftenAsOthers) {
  const Model model = make_model("llama-70b:seq=128");
  const Operation& op =
      model.operations()[model.operation_index("model.layers.0.self_attn.attention")];
  EXPECT_EQ(op.macs, 2.0 * 128 * 128 * 8192);
  EXPECT_EQ(op.output_shape, (TensorShape{128, 8192}));
}

TEST(Zoo, EveryModelHasARow) {
  std::vector<std::string> rows;
  for (const Row& row : kRows) rows.emplace_back(row.name);
  EXPECT_THAT(rows, ::testing::UnorderedElementsAreArray(model_names()));
}

TEST(Zoo, SpellingVariantsAreOneModel) {
  EXPECT_EQ(make_model("ResNet-50").name(), "resnet50");
  EXPECT_EQ(make_model("VGG_16").name(), "vgg16");
  EXPECT_EQ(make_model("resnet20").name(), "resnet20-cifar");
}

TEST(Zoo, UnknownNameNamesTheNearest) {
  try {
    make_model("resent50");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'resnet50'"));
  }
}

TEST(Zoo, ResNet50NamesItsTensorsAsTorchvision) {
  const Model model = make_model("resnet50");
  const auto& tensors = model.tensors();
  EXPECT_EQ(tensors.front().name, "conv1.weight");
  EXPECT_EQ(tensors[1].name, "bn1.weight");
  EXPECT_EQ(tensors[12].name, "layer1.0.downsample.0.weight");
  EXPECT_EQ(tensors.back().name, "fc.bias");
  EXPECT_EQ(tensors.front().shape, (std::vector<std::int64_t>{64, 3, 7, 7}));
  EXPECT_EQ(model.input_shape(), (std::vector<std::int64_t>{3, 224, 224}));
  EXPECT_EQ(model.classes(), 1000);
  EXPECT_EQ(model.time_steps(), 1);
}

}  // namespace
}  // namespace paceline
