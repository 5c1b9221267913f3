// Every reader on its corpus and on what chance makes of it: a short run of what libFuzzer does at
// length (tests/fuzz/README.md).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "readers.hpp"

namespace paceline {
namespace {

constexpr int kMutations = 1500;  // of each reader
constexpr std::size_t kLongest = 1 << 16;

class Mutator {
 public:
  explicit Mutator(std::vector<std::string> corpus) : corpus_(std::move(corpus)), random_(1) {}

  std::string next() {
    std::string input = corpus_[below(corpus_.size())];
    for (std::size_t i = 1 + below(4); i > 0; --i) change(input);
    input.resize(std::min(input.size(), kLongest));
    return input;
  }

 private:
  std::size_t below(std::size_t end) { return random_() % std::max<std::size_t>(1, end); }

  void change(std::string& input) {
    static const std::vector<std::string> tokens{
        "0",  "-1", "1e999",  "1e300", "1e-300", "9223372036854775808", "nan", "inf", "null",
        "[]", "{}", "\"\"",   "\xff",  "\n",     std::string(1, '\0'),  "[",   "{",   "\"",
        ",",  ":",  "1e300s", "-1GB",  "true",   "4294967296",          "#",   "<a>", "&x;"};
    const std::size_t at = below(input.size() + 1), length = below(input.size() - at + 1);
    switch (below(6)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(random_());
        break;
      case 1:
        input.insert(at, tokens[below(tokens.size())]);
        break;
      case 2:
        input.erase(at, below(length + 1));
        break;
      case 3:
        input.replace(at, std::min<std::size_t>(length, 8), tokens[below(tokens.size())]);
        break;
      case 4:
        input.insert(below(input.size() + 1), input.substr(at, length));
        break;
      default: {
        const std::string& other = corpus_[below(corpus_.size())];
        const std::size_t from = below(other.size() + 1);
        input = input.substr(0, at) + other.substr(from);
      }
    }
  }

  std::vector<std::string> corpus_;
  std::mt19937_64 random_;
};

class Fuzz : public ::testing::TestWithParam<FuzzReader> {};

TEST_P(Fuzz, RefusesOrTakesWhatItGets) {
  const FuzzReader& reader = GetParam();
  std::vector<std::string> corpus;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(PACELINE_SOURCE_DIR) / "tests/fuzz/corpus" / reader.name)) {
    std::ifstream file(entry.path(), std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  ASSERT_FALSE(corpus.empty());
  for (const std::string& input : corpus) EXPECT_NO_THROW(reader.read(input)) << input;
  Mutator mutator(std::move(corpus));
  for (int i = 0; i < kMutations && !HasFailure(); ++i) {
    const std::string input = mutator.next();
    EXPECT_NO_THROW(reader.read(input)) << i << ":\n" << input;
  }
}

INSTANTIATE_TEST_SUITE_P(Readers, Fuzz, ::testing::ValuesIn(fuzz_readers()),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace paceline
