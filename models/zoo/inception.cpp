#include <fmt/format.h>

#include "models/zoo/families.hpp"

// Szegedy et al.: Inception-v3 (2015) as in torchvision, Inception-v4 (2016) as in the authors'
// TensorFlow slim.
namespace paceline::zoo {
namespace {

/// Convolutions without bias, each followed by batch-norm (epsilon 1e-3) and ReLU.
struct Inception {
  GraphBuilder& g;

  std::size_t conv(const std::string& name, std::size_t x, std::int64_t channels, Extent kernel,
                   Extent padding = 0, Extent stride = 1) {
    x = g.conv2d(name + ".conv", x,
                 {.channels = channels,
                  .kernel = kernel,
                  .stride = stride,
                  .padding = padding,
                  .bias = false});
    return g.relu(name + ".relu", g.batch_norm(name + ".bn", x, {.epsilon = 1e-3}));
  }
  /// `kernel` may be 1xn or nx1; padded so that the size stays.
  std::size_t same(const std::string& name, std::size_t x, std::int64_t channels, Extent kernel) {
    return conv(name, x, channels, kernel, {kernel.height / 2, kernel.width / 2});
  }
  std::size_t average_then(const std::string& prefix, const std::string& name, std::size_t x,
                           std::int64_t channels, bool count_padding) {
    const std::size_t y =
        g.avg_pool(prefix + "pool", x, {.kernel = 3, .padding = 1, .count_padding = count_padding});
    return conv(prefix + name, y, channels, 1);
  }
  std::size_t shrink(const std::string& name, std::size_t x) {
    return g.max_pool(name, x, {.kernel = 3, .stride = 2});
  }

  // The blocks of v3: A (35x35), B (to 17x17), C (17x17), D (to 8x8), E (8x8).
  std::size_t v3_a(const std::string& p, std::size_t x, std::int64_t pool_channels) {
    const std::size_t b1 = conv(p + "branch1x1", x, 64, 1);
    const std::size_t b5 = same(p + "branch5x5_2", conv(p + "branch5x5_1", x, 48, 1), 64, 5);
    std::size_t b3 = same(p + "branch3x3dbl_2", conv(p + "branch3x3dbl_1", x, 64, 1), 96, 3);
    b3 = same(p + "branch3x3dbl_3", b3, 96, 3);
    return g.concat(p + "concat",
                    {b1, b5, b3, average_then(p, "branch_pool", x, pool_channels, true)});
  }
  std::size_t v3_b(const std::string& p, std::size_t x) {
    const std::size_t b3 = conv(p + "branch3x3", x, 384, 3, 0, 2);
    std::size_t b = same(p + "branch3x3dbl_2", conv(p + "branch3x3dbl_1", x, 64, 1), 96, 3);
    b = conv(p + "branch3x3dbl_3", b, 96, 3, 0, 2);
    return g.concat(p + "concat", {b3, b, shrink(p + "pool", x)});
  }
  std::size_t v3_c(const std::string& p, std::size_t x, std::int64_t width) {
    const std::size_t b1 = conv(p + "branch1x1", x, 192, 1);
    std::size_t b7 = conv(p + "branch7x7_1", x, width, 1);
    b7 = same(p + "branch7x7_2", b7, width, {1, 7});
    b7 = same(p + "branch7x7_3", b7, 192, {7, 1});
    std::size_t d = conv(p + "branch7x7dbl_1", x, width, 1);
    d = same(p + "branch7x7dbl_2", d, width, {7, 1});
    d = same(p + "branch7x7dbl_3", d, width, {1, 7});
    d = same(p + "branch7x7dbl_4", d, width, {7, 1});
    d = same(p + "branch7x7dbl_5", d, 192, {1, 7});
    return g.concat(p + "concat", {b1, b7, d, average_then(p, "branch_pool", x, 192, true)});
  }
  std::size_t v3_d(const std::string& p, std::size_t x) {
    const std::size_t b3 =
        conv(p + "branch3x3_2", conv(p + "branch3x3_1", x, 192, 1), 320, 3, 0, 2);
    std::size_t b7 = conv(p + "branch7x7x3_1", x, 192, 1);
    b7 = same(p + "branch7x7x3_2", b7, 192, {1, 7});
    b7 = same(p + "branch7x7x3_3", b7, 192, {7, 1});
    b7 = conv(p + "branch7x7x3_4", b7, 192, 3, 0, 2);
    return g.concat(p + "concat", {b3, b7, shrink(p + "pool", x)});
  }
  std::size_t v3_e(const std::string& p, std::size_t x) {
    const std::size_t b1 = conv(p + "branch1x1", x, 320, 1);
    const std::size_t b3 = conv(p + "branch3x3_1", x, 384, 1);
    const std::size_t b3a = same(p + "branch3x3_2a", b3, 384, {1, 3});
    const std::size_t b3b = same(p + "branch3x3_2b", b3, 384, {3, 1});
    const std::size_t d = same(p + "branch3x3dbl_2", conv(p + "branch3x3dbl_1", x, 448, 1), 384, 3);
    const std::size_t da = same(p + "branch3x3dbl_3a", d, 384, {1, 3});
    const std::size_t db = same(p + "branch3x3dbl_3b", d, 384, {3, 1});
    return g.concat(p + "concat",
                    {b1, b3a, b3b, da, db, average_then(p, "branch_pool", x, 192, true)});
  }
  void v3_auxiliary(std::size_t x) {
    g.auxiliary(true);
    x = g.avg_pool("AuxLogits.pool", x, {.kernel = 5, .stride = 3});
    x = conv("AuxLogits.conv1", conv("AuxLogits.conv0", x, 128, 1), 768, 5);
    x = g.dense("AuxLogits.fc", g.global_avg_pool("AuxLogits.avgpool", x), {.features = 1000});
    g.softmax_loss("AuxLogits.loss", x, 0.4);
    g.auxiliary(false);
  }

  // The blocks of v4. Its average pools leave the padding out of the mean.
  std::size_t v4_stem(std::size_t x) {
    x = conv("features.0", x, 32, 3, 0, 2);
    x = conv("features.1", x, 32, 3);
    x = conv("features.2", x, 64, 3, 1);
    x = g.concat("features.3.concat",
                 {shrink("features.3.maxpool", x), conv("features.3.conv", x, 96, 3, 0, 2)});
    const std::size_t short_branch =
        conv("features.4.branch0.1", conv("features.4.branch0.0", x, 64, 1), 96, 3);
    std::size_t y = conv("features.4.branch1.0", x, 64, 1);
    y = same("features.4.branch1.1", y, 64, {1, 7});
    y = same("features.4.branch1.2", y, 64, {7, 1});
    y = conv("features.4.branch1.3", y, 96, 3);
    x = g.concat("features.4.concat", {short_branch, y});
    return g.concat("features.5.concat",
                    {conv("features.5.conv", x, 192, 3, 0, 2), shrink("features.5.maxpool", x)});
  }
  std::size_t v4_a(const std::string& p, std::size_t x) {
    const std::size_t b0 = conv(p + "branch0", x, 96, 1);
    const std::size_t b1 = same(p + "branch1.1", conv(p + "branch1.0", x, 64, 1), 96, 3);
    std::size_t b2 = same(p + "branch2.1", conv(p + "branch2.0", x, 64, 1), 96, 3);
    b2 = same(p + "branch2.2", b2, 96, 3);
    return g.concat(p + "concat", {b0, b1, b2, average_then(p, "branch3.1", x, 96, false)});
  }
  std::size_t v4_reduce_a(const std::string& p, std::size_t x) {
    const std::size_t b0 = conv(p + "branch0", x, 384, 3, 0, 2);
    std::size_t b1 = same(p + "branch1.1", conv(p + "branch1.0", x, 192, 1), 224, 3);
    b1 = conv(p + "branch1.2", b1, 256, 3, 0, 2);
    return g.concat(p + "concat", {b0, b1, shrink(p + "branch2", x)});
  }
  std::size_t v4_b(const std::string& p, std::size_t x) {
    const std::size_t b0 = conv(p + "branch0", x, 384, 1);
    std::size_t b1 = conv(p + "branch1.0", x, 192, 1);
    b1 = same(p + "branch1.1", b1, 224, {1, 7});
    b1 = same(p + "branch1.2", b1, 256, {7, 1});
    std::size_t b2 = conv(p + "branch2.0", x, 192, 1);
    b2 = same(p + "branch2.1", b2, 192, {7, 1});
    b2 = same(p + "branch2.2", b2, 224, {1, 7});
    b2 = same(p + "branch2.3", b2, 224, {7, 1});
    b2 = same(p + "branch2.4", b2, 256, {1, 7});
    return g.concat(p + "concat", {b0, b1, b2, average_then(p, "branch3.1", x, 128, false)});
  }
  std::size_t v4_reduce_b(const std::string& p, std::size_t x) {
    const std::size_t b0 = conv(p + "branch0.1", conv(p + "branch0.0", x, 192, 1), 192, 3, 0, 2);
    std::size_t b1 = conv(p + "branch1.0", x, 256, 1);
    b1 = same(p + "branch1.1", b1, 256, {1, 7});
    b1 = same(p + "branch1.2", b1, 320, {7, 1});
    b1 = conv(p + "branch1.3", b1, 320, 3, 0, 2);
    return g.concat(p + "concat", {b0, b1, shrink(p + "branch2", x)});
  }
  std::size_t v4_c(const std::string& p, std::size_t x) {
    const std::size_t b0 = conv(p + "branch0", x, 256, 1);
    const std::size_t b1 = conv(p + "branch1_0", x, 384, 1);
    const std::size_t b1a = same(p + "branch1_1a", b1, 256, {1, 3});
    const std::size_t b1b = same(p + "branch1_1b", b1, 256, {3, 1});
    std::size_t b2 = conv(p + "branch2_0", x, 384, 1);
    b2 = same(p + "branch2_1", b2, 448, {3, 1});
    b2 = same(p + "branch2_2", b2, 512, {1, 3});
    const std::size_t b2a = same(p + "branch2_3a", b2, 256, {1, 3});
    const std::size_t b2b = same(p + "branch2_3b", b2, 256, {3, 1});
    return g.concat(p + "concat",
                    {b0, b1a, b1b, b2a, b2b, average_then(p, "branch3.1", x, 256, false)});
  }
};

void classify(GraphBuilder& g, std::size_t x, const std::string& name, double dropout) {
  x = g.dropout("dropout", g.global_avg_pool("avgpool", x), dropout);
  g.softmax_loss("loss", g.dense(name, x, {.features = 1000}));
}

void inception_v3(GraphBuilder& g, bool auxiliary) {
  Inception i{g};
  std::size_t x = i.conv("Conv2d_1a_3x3", g.input("image", {3, 299, 299}), 32, 3, 0, 2);
  x = i.conv("Conv2d_2a_3x3", x, 32, 3);
  x = i.shrink("maxpool1", i.conv("Conv2d_2b_3x3", x, 64, 3, 1));
  x = i.conv("Conv2d_4a_3x3", i.conv("Conv2d_3b_1x1", x, 80, 1), 192, 3);
  x = i.shrink("maxpool2", x);
  x = i.v3_a("Mixed_5b.", x, 32);
  x = i.v3_a("Mixed_5c.", x, 64);
  x = i.v3_a("Mixed_5d.", x, 64);
  x = i.v3_b("Mixed_6a.", x);
  x = i.v3_c("Mixed_6b.", x, 128);
  x = i.v3_c("Mixed_6c.", x, 160);
  x = i.v3_c("Mixed_6d.", x, 160);
  x = i.v3_c("Mixed_6e.", x, 192);
  if (auxiliary) i.v3_auxiliary(x);
  x = i.v3_d("Mixed_7a.", x);
  x = i.v3_e("Mixed_7b.", x);
  x = i.v3_e("Mixed_7c.", x);
  classify(g, x, "fc", 0.5);
}

void inception_v4(GraphBuilder& g) {
  Inception i{g};
  std::size_t x = i.v4_stem(g.input("image", {3, 299, 299}));
  int layer = 6;
  const auto next = [&layer] { return fmt::format("features.{}.", layer++); };
  for (int k = 0; k < 4; ++k) x = i.v4_a(next(), x);
  x = i.v4_reduce_a(next(), x);
  for (int k = 0; k < 7; ++k) x = i.v4_b(next(), x);
  x = i.v4_reduce_b(next(), x);
  for (int k = 0; k < 3; ++k) x = i.v4_c(next(), x);
  classify(g, x, "last_linear", 0.2);
}

}  // namespace

Entries inceptions() {
  return {{"inception-v3",
           "Inception-v3",
           "torchvision, no auxiliary head, 299x299",
           {},
           [](GraphBuilder& g) { inception_v3(g, false); }},
          {"inception-v3-aux",
           "Inception-v3 with auxiliary head",
           "torchvision, auxiliary head of weight 0.4, 299x299",
           {},
           [](GraphBuilder& g) { inception_v3(g, true); }},
          {"inception-v4",
           "Inception-v4",
           "1000 classes, no auxiliary head, 299x299",
           {},
           inception_v4}};
}

}  // namespace paceline::zoo
