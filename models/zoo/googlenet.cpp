#include "models/zoo/families.hpp"

// Szegedy et al. 2014. torchvision's form has batch-norm instead of biases and LRN, and 3x3
// convolutions where the paper and Caffe have 5x5.
namespace paceline::zoo {
namespace {

enum class Form { torchvision, caffe };

struct Widths {
  std::int64_t b1, reduce3, b3, reduce5, b5, pool;
};

struct GoogLeNet {
  GraphBuilder& g;
  Form form;
  bool heads;

  std::size_t conv(const std::string& name, std::size_t x, std::int64_t channels,
                   std::int64_t kernel, std::int64_t stride = 1) {
    const bool caffe = form == Form::caffe;
    x = g.conv2d(caffe ? name : name + ".conv", x,
                 {.channels = channels,
                  .kernel = kernel,
                  .stride = stride,
                  .padding = kernel / 2,
                  .bias = caffe});
    if (!caffe) x = g.batch_norm(name + ".bn", x, {.epsilon = 1e-3});
    return g.relu(name + ".relu", x);
  }

  std::size_t lrn(const std::string& name, std::size_t x) {
    return form == Form::caffe ? g.lrn(name, x) : x;
  }

  std::size_t shrink(const std::string& name, std::size_t x, std::int64_t kernel = 3) {
    return g.max_pool(name, x, {.kernel = kernel, .stride = 2, .ceil_mode = true});
  }

  std::size_t inception(const std::string& name, std::size_t x, Widths w) {
    const std::string p = name + ".";
    const std::size_t b1 = conv(p + "branch1", x, w.b1, 1);
    const std::size_t b2 = conv(p + "branch2.1", conv(p + "branch2.0", x, w.reduce3, 1), w.b3, 3);
    const std::size_t b3 = conv(p + "branch3.1", conv(p + "branch3.0", x, w.reduce5, 1), w.b5,
                                form == Form::caffe ? 5 : 3);
    const std::size_t pooled = g.max_pool(p + "branch4.0", x, {.kernel = 3, .padding = 1});
    return g.concat(p + "concat", {b1, b2, b3, conv(p + "branch4.1", pooled, w.pool, 1)});
  }

  void head(const std::string& name, std::size_t x) {
    if (!heads) return;
    const std::string p = name + ".";
    g.auxiliary(true);
    x = conv(p + "conv", g.avg_pool(p + "pool", x, {.kernel = 5, .stride = 3}), 128, 1);
    x = g.dense(p + "fc1", g.flatten(p + "flatten", x), {.features = 1024});
    x = g.dropout(p + "dropout", g.relu(p + "relu", x), 0.7);
    g.softmax_loss(p + "loss", g.dense(p + "fc2", x, {.features = 1000}), 0.3);
    g.auxiliary(false);
  }

  void network() {
    std::size_t x = conv("conv1", g.input("image", {3, 224, 224}), 64, 7, 2);
    x = lrn("norm1", shrink("maxpool1", x));
    x = conv("conv3", conv("conv2", x, 64, 1), 192, 3);
    x = shrink("maxpool2", lrn("norm2", x));
    x = inception("inception3a", x, {64, 96, 128, 16, 32, 32});
    x = shrink("maxpool3", inception("inception3b", x, {128, 128, 192, 32, 96, 64}));
    x = inception("inception4a", x, {192, 96, 208, 16, 48, 64});
    head("aux1", x);
    x = inception("inception4b", x, {160, 112, 224, 24, 64, 64});
    x = inception("inception4c", x, {128, 128, 256, 24, 64, 64});
    x = inception("inception4d", x, {112, 144, 288, 32, 64, 64});
    head("aux2", x);
    x = inception("inception4e", x, {256, 160, 320, 32, 128, 128});
    x = shrink("maxpool4", x, form == Form::caffe ? 3 : 2);
    x = inception("inception5a", x, {256, 160, 320, 32, 128, 128});
    x = inception("inception5b", x, {384, 192, 384, 48, 128, 128});
    x = g.dropout("dropout", g.global_avg_pool("avgpool", x), form == Form::caffe ? 0.4 : 0.2);
    g.softmax_loss("loss", g.dense("fc", x, {.features = 1000}));
  }
};

Entry entry(const char* name, const char* title, const char* notes, Form form, bool heads) {
  return {name, title, notes, {}, [form, heads](GraphBuilder& g) {
            GoogLeNet{g, form, heads}.network();
          }};
}

}  // namespace

Entries googlenets() {
  return {
      entry("googlenet", "GoogLeNet", "torchvision: batch-norm, 3x3 for 5x5; no auxiliary heads",
            Form::torchvision, false),
      entry("googlenet-aux", "GoogLeNet with auxiliary heads",
            "torchvision: batch-norm, 3x3 for 5x5; two auxiliary heads of weight 0.3, pooled 5x5 "
            "stride 3 as "
            "in the paper (torchvision: adaptively, to the same 4x4)",
            Form::torchvision, true),
      entry("googlenet-caffe", "GoogLeNet (Caffe)", "biases, LRN, 5x5; no auxiliary heads",
            Form::caffe, false),
      entry("googlenet-caffe-aux", "GoogLeNet (Caffe) with auxiliary heads",
            "biases, LRN, 5x5; two auxiliary heads of weight 0.3", Form::caffe, true)};
}

}  // namespace paceline::zoo
