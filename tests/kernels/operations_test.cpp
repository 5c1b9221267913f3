// Every operation of the list against its formula, written once more here in double.
#include "kernels/operations/reference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <vector>

namespace paceline::kernels {
namespace {

constexpr std::size_t kCount = 1003;

using Values = std::vector<double>;
using Formula = std::function<Values(const Values&)>;

double sign(double x) {
  return x < 0 ? -1 : 1;
}

// With the parameters of Op{}.
const std::map<std::string_view, Formula>& formulas() {
  static const std::map<std::string_view, Formula> all{
      {"fill", [](const Values&) { return Values{0}; }},
      {"scale", [](const Values& v) { return Values{v[0] / 2}; }},
      {"axpy", [](const Values& v) { return Values{v[0] / 2 + v[1]}; }},
      {"combine", [](const Values& v) { return Values{(v[0] + v[1]) / 2}; }},
      {"add_progress", [](const Values& v) { return Values{v[0] - v[1] + v[2]}; }},
      {"delay_compensate",
       [](const Values& v) { return Values{v[0] + 0.04 * std::pow(v[0], 2) * (v[1] - v[2])}; }},
      {"delay_compensate_adaptive",
       [](const Values& v) {
         const double square = 0.95 * v[3] + 0.05 * std::pow(v[0], 2);
         const double lambda = 0.04 * std::pow(square + 1e-7, -0.5);
         return Values{v[0] + lambda * std::pow(v[0], 2) * (v[1] - v[2]), square};
       }},
      {"od_sgd_local_update",
       [](const Values& v) {
         return Values{v[1] - (v[0] + 0.04 * std::pow(v[0], 2) * (v[1] - v[2])) / 2};
       }},
      {"mask_momentum", [](const Values& v) { return Values{v[1] != 0 ? v[0] : 0}; }},
      {"two_bit_quantize",
       [](const Values& v) {
         const double sum = v[0] + v[1], sent = std::abs(sum) < 0.5 ? 0 : sign(sum) / 2;
         return Values{sent, sum - sent};
       }},
      {"sgd", [](const Values& v) { return Values{v[1] * (1 - 1e-5) - v[0] / 10}; }},
      {"sgd_momentum",
       [](const Values& v) {
         const double velocity = 0.9 * v[1] + v[0] + 1e-4 * v[2];
         return Values{velocity, v[2] - velocity / 10};
       }},
      {"adamw",
       [](const Values& v) {
         const double mean = 0.9 * v[1] + 0.1 * v[0];
         const double square = 0.999 * v[2] + 0.001 * std::pow(v[0], 2);
         const double step = 1e-3 * (mean / 0.1) / (std::sqrt(square / 0.001) + 1e-8);
         return Values{mean, square, v[3] * (1 - 1e-5) - step};
       }},
  };
  return all;
}

// Second moments are positive; a few zeros for what asks for them.
std::vector<std::vector<float>> operands(const OperationInfo& info) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> result;
  for (const std::string_view name : info.reads) {
    std::vector<float> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i) values[i] = i % 7 == 3 ? 0 : normal(random);
    if (name == "square")
      for (float& value : values) value *= value;
    result.push_back(std::move(values));
  }
  return result;
}

TEST(Operations, AreTheirFormulas) {
  for_each_pointwise([]<class Op>(std::size_t index) {
    const OperationInfo& info = kPointwiseInfo[index];
    SCOPED_TRACE(info.name);
    ASSERT_TRUE(formulas().contains(info.name)) << "write its formula here";
    const auto given = operands(info);
    std::vector<std::vector<float>> made(info.writes.size(), std::vector<float>(kCount));
    const std::vector<std::span<const float>> in(given.begin(), given.end());
    const std::vector<std::span<float>> out(made.begin(), made.end());
    reference::apply(PointwiseCall(Op{}), in, out);
    for (std::size_t i = 0; i < kCount; ++i) {
      Values x;
      for (const auto& vector : given) x.push_back(vector[i]);
      const Values expected = formulas().at(info.name)(x);
      double scale = 1;
      for (const double value : x) scale = std::max(scale, std::abs(value));
      for (std::size_t w = 0; w < made.size(); ++w)
        ASSERT_NEAR(made[w][i], expected[w], 1e-6 * scale * scale * scale)
            << info.writes[w] << " " << i;
    }
  });
}

TEST(Operations, WorkInPlace) {
  for_each_pointwise([]<class Op>(std::size_t index) {
    const OperationInfo& info = kPointwiseInfo[index];
    auto given = operands(info);
    std::vector<std::vector<float>> apart(info.writes.size(), std::vector<float>(kCount));
    const std::vector<std::span<const float>> in(given.begin(), given.end());
    const std::vector<std::span<float>> out(apart.begin(), apart.end());
    reference::apply(PointwiseCall(Op{}), in, out);
    std::vector<std::span<float>> same(out);
    for (std::size_t w = 0; w < info.writes.size(); ++w)
      for (std::size_t r = 0; r < info.reads.size(); ++r)
        if (info.writes[w] == info.reads[r]) same[w] = given[r];
    std::vector<std::vector<float>> others = apart;
    reference::apply(PointwiseCall(Op{}), in, same);
    for (std::size_t w = 0; w < same.size(); ++w)
      EXPECT_TRUE(std::equal(same[w].begin(), same[w].end(), others[w].begin())) << info.name;
  });
}

TEST(Operations, LeastBytesFollowFromTheSignature) {
  EXPECT_EQ(kInfo<SgdMomentum>.bytes_per_element, 20);
  EXPECT_EQ(kInfo<AdamW>.least_bytes(10), 280);
  EXPECT_EQ(kInfo<DelayCompensate>.bytes_per_element, 16);
}

TEST(Operations, RefuseOtherVectorsThanTheirs) {
  std::vector<float> four(4), five(5);
  EXPECT_THROW(reference::apply(Scale{}, {four}, {five}), std::logic_error);
  EXPECT_THROW(reference::apply(Axpy{}, {four}, {four}), std::logic_error);
}

// A diverged gradient must show at the receiver, and not be kept for ever.
TEST(Operations, TwoBitQuantizeSendsANaNOnce) {
  const std::vector<float> gradient{std::numeric_limits<float>::quiet_NaN(), 0.75F};
  std::vector<float> residual{0.25F, 0}, sent(2);
  reference::apply(TwoBitQuantize{0.5}, {gradient, residual}, {sent, residual});
  EXPECT_TRUE(std::isnan(sent[0]));
  EXPECT_EQ(residual[0], 0);
  EXPECT_EQ(sent[1], 0.5F);
  EXPECT_EQ(residual[1], 0.25F);
}

}  // namespace
}  // namespace paceline::kernels
