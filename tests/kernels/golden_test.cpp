#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "kernels/random.hpp"
#include "layer_harness.hpp"
#include "vector_support.hpp"

// The reference gives the same bits on every x86-64: hashes of its results against golden.txt.
// After an intended change, run with PACELINE_UPDATE_GOLDEN=1 and say in the commit why the bits
// moved.
namespace paceline::kernels::testing {
namespace {

const std::string golden_file = std::string(PACELINE_SOURCE_DIR) + "/tests/kernels/golden.txt";

/// FNV-1a over the bytes of what it is fed.
class Hash {
 public:
  template <class Range>
  Hash& operator<<(const Range& values) {
    for (const auto& value : values) {
      if constexpr (std::is_floating_point_v<std::decay_t<decltype(value)>>)
        add(std::bit_cast<std::uint32_t>(static_cast<float>(value)));
      else
        add(static_cast<std::uint32_t>(value));
    }
    return *this;
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  void add(std::uint32_t word) {
    for (int byte = 0; byte < 4; ++byte)
      hash_ = (hash_ ^ (word >> 8 * byte & 0xFFu)) * 0x100000001B3u;
  }
  std::uint64_t hash_ = 0xCBF29CE484222325u;
};

// Uniform in [-1, 1) from our own generator: the standard library's distributions are not portable.
Values portable(std::size_t n, std::uint64_t stream) {
  Values all(n);
  for (std::size_t i = 0; i < n; ++i)
    all[i] = static_cast<std::int32_t>(random_words(1, stream, i)[0]) * 0x1p-31;
  for (double& v : all) v = static_cast<float>(v);
  return all;
}
Floats portable_floats(std::size_t n, std::uint64_t stream) {
  const Values all = portable(n, stream);
  return {all.begin(), all.end()};
}

std::map<std::string, std::uint64_t> layer_hashes() {
  std::map<std::string, std::uint64_t> hashes;
  std::map<std::string, int> cases;  // counted by kind: a case more renumbers no other kind's
  for (const LayerShape& shape : layer_shapes(0, 0)) {
    LayerCase c = random_case(shape, 1);
    std::uint64_t stream = 1;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
      Values& input = c.inputs[i];
      if (differentiable(shape, i)) {
        input = portable(input.size(), stream++);
      } else {
        for (std::size_t j = 0; j < input.size(); ++j) input[j] = static_cast<double>(j % 2);
      }
    }
    for (Values& parameter : c.parameters) parameter = portable(parameter.size(), stream++);
    for (double& s : c.state = portable(c.state.size(), stream++)) s = s * s;
    c.output_gradient = portable(c.output_gradient.size(), stream++);
    const LayerResult result = run_reference<float>(c);
    Hash hash;
    hash << result.output << result.state;
    for (const Values& gradient : result.input_gradients) hash << gradient;
    for (const Values& gradient : result.parameter_gradients) hash << gradient;
    const std::string kind = layer_name(shape);
    hashes[kind + "-" + std::to_string(cases[kind]++)] = hash.value();
  }
  return hashes;
}

std::map<std::string, std::uint64_t> vector_hashes() {
  constexpr std::size_t n = 1003;
  const Floats g = portable_floats(n, 50), z = portable_floats(n, 51);
  std::map<std::string, std::uint64_t> hashes;
  Floats w = portable_floats(n, 52), v(n, 0.0f), s(n, 0.0f), out(n);
  reference::apply(SgdMomentum{0.1, 0.9, 1e-4, true}, {g, v, w}, {v, w});
  hashes["sgd_step"] = (Hash() << w << v).value();
  v.assign(n, 0.0f);
  for (const int step : {1, 2, 3}) reference::apply(AdamW({}, step), {g, v, s, w}, {v, s, w});
  hashes["adamw_step"] = (Hash() << w << v << s).value();
  reference::clip_norm(0.25, w);
  hashes["clip_norm"] = (Hash() << w).value();
  reference::apply(Combine{1 - 0.6F, 0.6F}, {w, z}, {w});
  reference::apply(AddProgress{}, {z, g, w}, {w});
  hashes["blend"] = (Hash() << w).value();
  reference::apply(DelayCompensateAdaptive(2, 0.95), {g, w, z, s}, {out, s});
  reference::apply(OdSgdLocalUpdate{0.5, 0, 0.04, 1}, {out, w, z}, {v});
  hashes["delay_compensation"] = (Hash() << out << v << s).value();
  Sparse selected(40);
  reference::top_k(g, selected.output());
  hashes["top_k"] = (Hash() << selected.indices << selected.values).value();
  const Floats thresholds{reference::gaussian_threshold(g, 40),
                          reference::sampled_threshold(g, 40, 10, 3)};
  hashes["thresholds"] = (Hash() << thresholds).value();
  std::vector<std::uint32_t> codes(two_bit_words(n));
  reference::two_bit_quantize(0.5, g, v, codes);
  hashes["two_bit"] = (Hash() << codes << v).value();
  codes.resize(sign_words(n));
  const Floats scale{reference::sign_quantize(g, v, codes)};
  hashes["sign"] = (Hash() << codes << v << scale).value();
  const MatrixShape shape{17, 59, 3};
  Floats p(17 * 3), q = portable_floats(59 * 3, 53);
  reference::low_rank_left(shape, g, q, p);
  reference::orthonormalize(shape, p);
  reference::low_rank_right(shape, g, p, q);
  hashes["low_rank"] = (Hash() << p << q).value();
  return hashes;
}

TEST(Golden, ReferenceGivesTheCommittedBits) {
  auto hashes = layer_hashes();
  hashes.merge(vector_hashes());
  if (std::getenv("PACELINE_UPDATE_GOLDEN")) {
    std::ofstream file(golden_file);
    for (const auto& [name, hash] : hashes) file << name << ' ' << std::hex << hash << '\n';
  }
  std::ifstream file(golden_file);
  std::size_t lines = 0;
  std::string name;
  for (std::uint64_t expected = 0; file >> name >> std::hex >> expected; ++lines)
    EXPECT_EQ(hashes[name], expected) << name;
  EXPECT_EQ(lines, hashes.size());
}

}  // namespace
}  // namespace paceline::kernels::testing
