// Networks written as ONNX have the sizes of the built-in ones: parameters, tensors, multiply-accumulates.
#include "models/onnx/import_onnx.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "models/zoo.hpp"
#include "tests/models/onnx_writer.hpp"

namespace paceline {
namespace {

using namespace onnx_writer;
using testing::HasSubstr;

std::string windowed(std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  return attribute("kernel_shape", Ints{kernel, kernel}) +
         attribute("strides", Ints{stride, stride}) + attribute("pads", Ints{pad, pad, pad, pad});
}

// ---- ResNet

struct Resnet {
  Writer w;

  std::string conv_bn(const std::string& p, const std::string& number, const std::string& x,
                      std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
    const std::string conv = p + (number.empty() ? "downsample.0" : "conv" + number);
    const std::string norm = p + (number.empty() ? "downsample.1" : "bn" + number);
    const std::string y =
        w.node("Conv", "/" + conv, {x, w.weight(conv + ".weight", {out, in, kernel, kernel})},
               windowed(kernel, stride, kernel / 2));
    return w.node(
        "BatchNormalization", "/" + norm,
        {y, w.weight(norm + ".weight", {out}), w.weight(norm + ".bias", {out}),
         w.weight(norm + ".running_mean", {out}), w.weight(norm + ".running_var", {out})});
  }
  std::string relu(const std::string& name, const std::string& x) {
    return w.node("Relu", "/" + name, {x});
  }

  std::string model(const Ints& blocks, bool bottleneck) {
    std::string x = conv_bn("", "1", w.input("image", {3, 224, 224}), 3, 64, 7, 2);
    x = w.node("MaxPool", "/maxpool", {relu("relu", x)}, windowed(3, 2, 1));
    std::int64_t channels = 64;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage)
      for (std::int64_t i = 0; i < blocks[stage]; ++i) {
        const std::string p = "layer" + std::to_string(stage + 1) + "." + std::to_string(i) + ".";
        const std::int64_t width = 64 << stage, out = bottleneck ? 4 * width : width,
                           stride = stage > 0 && i == 0 ? 2 : 1;
        std::string y = x;
        if (bottleneck) {
          y = relu(p + "relu1", conv_bn(p, "1", y, channels, width, 1, 1));
          y = relu(p + "relu2", conv_bn(p, "2", y, width, width, 3, stride));
          y = conv_bn(p, "3", y, width, out, 1, 1);
        } else {
          y = relu(p + "relu1", conv_bn(p, "1", y, channels, width, 3, stride));
          y = conv_bn(p, "2", y, width, width, 3, 1);
        }
        const std::string same =
            stride == 1 && channels == out ? x : conv_bn(p, "", x, channels, out, 1, stride);
        x = relu(p + "relu", w.node("Add", "/" + p + "add", {y, same}));
        channels = out;
      }
    x = w.node("Flatten", "/flatten", {w.node("GlobalAveragePool", "/avgpool", {x})});
    w.output(w.node("Gemm", "/fc",
                    {x, w.weight("fc.weight", {1000, channels}), w.weight("fc.bias", {1000})},
                    attribute("transB", 1)));
    return w.model();
  }
};

// ---- transformers

struct Transformer {
  Writer w;
  std::int64_t hidden = 768, heads = 12, sequence = 128;

  std::string linear(const std::string& name, const std::string& x, std::int64_t in,
                     std::int64_t out) {
    const std::string y =
        w.node("MatMul", "/" + name + "/MatMul", {x, w.weight(name + ".weight", {in, out})});
    return w.node("Add", "/" + name + "/Add", {w.weight(name + ".bias", {out}), y});
  }
  std::string norm(const std::string& name, const std::string& x) {
    return w.node("LayerNormalization", "/" + name,
                  {x, w.weight(name + ".weight", {hidden}), w.weight(name + ".bias", {hidden})});
  }
  std::string embed(const std::string& name, const std::string& ids, std::int64_t entries) {
    return w.node("Gather", "/" + name, {w.weight(name + ".weight", {entries, hidden}), ids});
  }
  std::string split_heads(const std::string& name, const std::string& x, const Ints& order) {
    const std::string shape =
        w.integers("/" + name + "/shape", {0, -1, heads, hidden / heads}, order[1] == 2);
    return w.node("Transpose", "/" + name + "/Transpose",
                  {w.node("Reshape", "/" + name + "/Reshape", {x, shape})},
                  attribute("perm", order));
  }
  std::string attention(const std::string& p, const std::string& q, const std::string& k,
                        const std::string& v, const std::string& mask) {
    std::string s =
        w.node("MatMul", p + "scores",
               {split_heads(p + "q", q, {0, 2, 1, 3}), split_heads(p + "k", k, {0, 2, 3, 1})});
    s = w.node("Div", p + "scale", {s, w.scalar(p + "root")});
    if (mask == "Where")
      s = w.node("Where", p + "mask", {w.scalar(p + "below"), s, w.scalar(p + "least")});
    else
      s = w.node("Add", p + "mask", {s, mask});
    s = w.node("Softmax", p + "softmax", {s}, attribute("axis", -1));
    s = w.node("MatMul", p + "context", {s, split_heads(p + "v", v, {0, 2, 1, 3})});
    s = w.node("Transpose", p + "join/Transpose", {s}, attribute("perm", Ints{0, 2, 1, 3}));
    return w.node("Reshape", p + "join", {s, w.integers(p + "join/shape", {0, -1, hidden})});
  }
};

std::string bert() {
  Transformer t;
  Writer& w = t.w;
  const auto ids = [&](const char* name) { return w.input(name, {t.sequence}, 7); };
  const std::string table = "embeddings.word_embeddings";
  std::string x = w.node("Add", "/embeddings/Add",
                         {t.embed(table, ids("input_ids"), 30522),
                          t.embed("embeddings.token_type_embeddings", ids("token_type_ids"), 2)});
  const std::string positions = t.embed("embeddings.position_embeddings", ids("position_ids"), 512);
  x = t.norm("embeddings.LayerNorm", w.node("Add", "/embeddings/Add_1", {x, positions}));
  const std::string mask =
      w.node("Unsqueeze", "/mask", {w.input("attention_mask", {t.sequence}, 1)});
  for (int i = 0; i < 12; ++i) {
    const std::string p = "encoder.layer." + std::to_string(i) + ".";
    const std::string self = p + "attention.self.";
    const std::string context = t.attention("/" + self, t.linear(self + "query", x, 768, 768),
                                            t.linear(self + "key", x, 768, 768),
                                            t.linear(self + "value", x, 768, 768), mask);
    std::string y = t.linear(p + "attention.output.dense", context, 768, 768);
    x = t.norm(p + "attention.output.LayerNorm", w.node("Add", "/" + p + "add1", {y, x}));
    y = t.linear(p + "intermediate.dense", x, 768, 3072);
    y = t.linear(p + "output.dense", w.node("Gelu", "/" + p + "gelu", {y}), 3072, 768);
    x = t.norm(p + "output.LayerNorm", w.node("Add", "/" + p + "add2", {y, x}));
  }
  const std::string first =
      w.node("Gather", "/pooler/first", {x, w.integers("zero", {0})}, attribute("axis", 1));
  const std::string pooled =
      w.node("Tanh", "/pooler/tanh", {t.linear("pooler.dense", first, 768, 768)});
  w.output(t.linear("cls.seq_relationship", pooled, 768, 2));
  std::string y =
      w.node("Gelu", "/cls/gelu", {t.linear("cls.predictions.transform.dense", x, 768, 768)});
  y = t.norm("cls.predictions.transform.LayerNorm", y);
  const std::string tied = w.node("Transpose", "/decoder/Transpose", {table + ".weight"});
  y = w.node("MatMul", "/decoder/MatMul", {y, tied});
  w.output(w.node("Add", "/decoder/Add", {y, w.weight("cls.predictions.bias", {30522})}));
  return w.model(20);
}

std::string gpt2(std::int64_t sequence) {
  Transformer t;
  Writer& w = t.w;
  std::string x = w.node("Add", "/embed",
                         {t.embed("wte", w.input("input_ids", {sequence}, 7), 50257),
                          t.embed("wpe", w.input("position_ids", {sequence}, 7), 1024)});
  for (int i = 0; i < 12; ++i) {
    const std::string p = "h." + std::to_string(i) + ".";
    const auto gemm = [&](const std::string& name, const std::string& y, std::int64_t in,
                          std::int64_t out) {
      return w.node(
          "Gemm", "/" + p + name,
          {y, w.weight(p + name + ".weight", {in, out}), w.weight(p + name + ".bias", {out})});
    };
    const std::string qkv = gemm("attn.c_attn", t.norm(p + "ln_1", x), 768, 2304);
    const std::string part = w.node("Split", "/" + p + "split", {qkv});
    const std::string context = t.attention("/" + p + "attn.", part, part, part, "Where");
    x = w.node("Add", "/" + p + "add1", {gemm("attn.c_proj", context, 768, 768), x});
    const std::string wide =
        w.node("Gelu", "/" + p + "gelu", {gemm("mlp.c_fc", t.norm(p + "ln_2", x), 768, 3072)});
    x = w.node("Add", "/" + p + "add2", {gemm("mlp.c_proj", wide, 3072, 768), x});
  }
  x = t.norm("ln_f", x);
  w.output(w.node("MatMul", "/lm_head", {x, w.node("Transpose", "/tied", {"wte.weight"})}));
  return w.model(20);
}

void expect_sizes_of(const std::string& name, const std::string& bytes,
                     std::map<std::string, std::int64_t> options = {}) {
  const Model built_in = make_model(name),
              read = import_onnx(bytes, {"net.onnx", std::move(options)});
  EXPECT_EQ(read.parameters(), built_in.parameters()) << name;
  EXPECT_EQ(read.tensors().size(), built_in.tensors().size()) << name;
  EXPECT_EQ(read.forward_macs(), built_in.forward_macs()) << name;
  EXPECT_EQ(read.classes(), built_in.classes()) << name;
}

TEST(Onnx, ResNetsHaveTheSizesOfTheBuiltInOnes) {
  expect_sizes_of("resnet18", Resnet().model({2, 2, 2, 2}, false));
  expect_sizes_of("resnet50", Resnet().model({3, 4, 6, 3}, true));
}

TEST(Onnx, ResNetCostsWhatTheBuiltInOneCosts) {
  const Model built_in = make_model("resnet50"),
              read = import_onnx(Resnet().model({3, 4, 6, 3}, true), {"net.onnx", {}});
  EXPECT_EQ(read.forward_flops(), built_in.forward_flops());
  EXPECT_EQ(read.backward_flops(), built_in.backward_flops());
  EXPECT_EQ(read.activation_elements(), built_in.activation_elements());
  for (std::size_t i = 0; i < built_in.tensors().size(); ++i) {
    EXPECT_EQ(read.tensors()[i].name, built_in.tensors()[i].name);
    EXPECT_EQ(read.tensors()[i].shape, built_in.tensors()[i].shape);
  }
}

TEST(Onnx, TransformersHaveTheSizesOfTheBuiltInOnes) {
  expect_sizes_of("bert-base", bert());
  expect_sizes_of("gpt2-small", gpt2(1024));
  expect_sizes_of("gpt2-small:seq=256", gpt2(-1), {{"seq", 256}});
}

TEST(Onnx, AttentionKnowsItsHeadsAndMask) {
  const Model read = import_onnx(gpt2(64), {"net.onnx", {}});
  std::size_t found = 0;
  for (const Operation& op : read.operations())
    if (const auto* attention = std::get_if<AttentionOp>(&op.attributes)) {
      EXPECT_EQ(attention->heads, 12);
      EXPECT_TRUE(attention->causal);
      ++found;
    }
  EXPECT_EQ(found, 12U);
}

// ---- refusals

std::string refusal(const std::string& bytes, std::map<std::string, std::int64_t> options = {}) {
  try {
    import_onnx(bytes, {"net.onnx", std::move(options)});
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Onnx, NamesOperatorsThatAreNotKnown) {
  Writer w;
  std::string x = w.input("image", {3, 8, 8});
  x = w.node("Resize", "up", {x});
  x = w.node("Resize", "up2", {x});
  w.output(w.node("GridSample", "grid", {x}));
  EXPECT_THAT(refusal(w.model()), testing::AllOf(HasSubstr("net.onnx"), HasSubstr("GridSample (1)"),
                                                 HasSubstr("Resize (2)")));
}

TEST(Onnx, CountsWhatItPricesByBytes) {
  Writer w;
  std::string x = w.input("x", {16});
  x = w.node("Gemm", "fc", {x, w.weight("fc.weight", {10, 16})}, attribute("transB", 1));
  x = w.node("Erf", "erf", {x});
  w.output(w.node("Erf", "erf2", {x}));
  const Model model = import_onnx(w.model(13), {"dir/my-net.onnx", {}});
  EXPECT_EQ(model.name(), "my-net");
  EXPECT_THAT(model.notes(), testing::AllOf(HasSubstr("opset 13"), HasSubstr("Erf (2)")));
}

TEST(Onnx, AsksForOpenExtents) {
  EXPECT_THAT(refusal(gpt2(-1)),
              testing::AllOf(HasSubstr("input_ids"), HasSubstr("'seq'"), HasSubstr("seq=NUMBER")));
  EXPECT_THAT(refusal(gpt2(64), {{"seq", 64}}), HasSubstr("nothing in it is open for 'seq=64'"));
}

TEST(Onnx, RefusesWhatIsNoModel) {
  EXPECT_THAT(refusal("{\"model_type\": \"gpt2\"}"), HasSubstr("not an ONNX model"));
  EXPECT_THAT(refusal(""), HasSubstr("not an ONNX model"));
  // Cut anywhere, or with a byte changed: a message or a network, never anything else.
  const std::string whole = Resnet().model({1, 0, 0, 0}, false);
  for (std::size_t size = 0; size < whole.size(); size += 7) refusal(whole.substr(0, size));
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    refusal(changed);
  }
}

}  // namespace
}  // namespace paceline
