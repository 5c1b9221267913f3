#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "models/data/random_stream.hpp"
#include "models/data/text.hpp"

namespace paceline {
namespace {

constexpr std::int32_t kEnd = 0;  // of a sentence
constexpr std::int32_t kPairs = 10;
constexpr std::int32_t kFirstOpening = 1, kFirstClosing = kFirstOpening + kPairs;
constexpr std::int32_t kFirstContent = kFirstClosing + kPairs;
constexpr std::int64_t kTopics = 8;
constexpr std::size_t kDepth = 3;  // most words open at once
constexpr int kSuccessors = 6;     // of a word in a topic, the j-th with probability ~ 1/j
constexpr double kOpen = .12, kClose = .2, kFinish = .12;

class Writer {
 public:
  Writer(const GrammarText& sizes, std::uint64_t stream)
      : seed_(sizes.seed), contents_(sizes.words - kFirstContent), random_(sizes.seed, stream) {}

  std::int32_t next() {
    const std::int32_t word = choose();
    if (word == kEnd) {
      topic_ = static_cast<std::uint64_t>(random_.below(kTopics));
      content_ = kEnd;
    }
    return word;
  }
  /// -log(probability) of everything written.
  [[nodiscard]] double information() const { return information_; }

 private:
  std::int32_t choose() {
    const double open = open_.size() < kDepth ? kOpen : 0;
    const double close = open_.empty() ? 0 : kClose;
    // A sentence has one content word at least, and ends with nothing left open.
    const double finish = open_.empty() && content_ != kEnd ? kFinish : 0;
    const double u = random_.uniform();
    if (u < open) {
      information_ -= std::log(open / kPairs);
      open_.push_back(static_cast<std::int32_t>(random_.below(kPairs)));
      return kFirstOpening + open_.back();
    }
    if (u < open + close) {
      information_ -= std::log(close);
      const std::int32_t word = kFirstClosing + open_.back();
      open_.pop_back();
      return word;
    }
    if (u < open + close + finish) {
      information_ -= std::log(finish);
      return kEnd;
    }
    information_ -= std::log(1 - open - close - finish);
    return content_ = choose_content();
  }

  std::int32_t choose_content() {
    std::array<std::int32_t, kSuccessors> words{};
    std::array<double, kSuccessors> weights{};
    double total = 0;
    for (int j = 0; j < kSuccessors; ++j) {
      const auto k = static_cast<std::size_t>(j);
      words[k] = successor(j);
      total += weights[k] = 1.0 / (j + 1);
    }
    double u = random_.uniform() * total;
    std::size_t chosen = 0;
    while (chosen + 1 < kSuccessors && (u -= weights[chosen]) >= 0) ++chosen;
    double weight = 0;  // the same word may succeed in two places
    for (std::size_t k = 0; k < kSuccessors; ++k)
      if (words[k] == words[chosen]) weight += weights[k];
    information_ -= std::log(weight / total);
    return words[chosen];
  }

  // A fixed choice per (topic, word, j); low numbers are chosen more often.
  [[nodiscard]] std::int32_t successor(int j) const {
    const auto words = kernels::random_words(
        seed_, (std::uint64_t{1} << 48) + topic_,
        static_cast<std::uint64_t>(content_) * 64 + static_cast<std::uint64_t>(j));
    const double u = words[0] * 0x1p-32;
    return kFirstContent + static_cast<std::int32_t>(static_cast<double>(contents_) * u * u);
  }

  std::uint64_t seed_;
  std::int64_t contents_;
  RandomStream random_;
  std::uint64_t topic_ = 0;
  std::int32_t content_ = kEnd;  // the last content word of this sentence
  std::vector<std::int32_t> open_;
  double information_ = 0;
};

constexpr std::uint64_t kTrainStream = 0, kTestStream = 1;

void check(const GrammarText& sizes) {
  const auto need = [](const char* what, std::int64_t value, std::int64_t least) {
    if (value < least || value > 1 << 30)
      throw InputError(
          fmt::format("data set 'grammar': {} {}, expected {} to {}", value, what, least, 1 << 30));
  };
  need("words", sizes.words, 100);
  need("training tokens", sizes.train_tokens, 1);
  need("test tokens", sizes.test_tokens, 1);
}

}  // namespace

std::unique_ptr<Dataset> make_grammar(const GrammarText& sizes) {
  check(sizes);
  std::vector<std::int32_t> train(static_cast<std::size_t>(sizes.train_tokens));
  std::vector<std::int32_t> test(static_cast<std::size_t>(sizes.test_tokens));
  Writer train_writer(sizes, kTrainStream), test_writer(sizes, kTestStream);
  std::generate(train.begin(), train.end(), [&] { return train_writer.next(); });
  std::generate(test.begin(), test.end(), [&] { return test_writer.next(); });
  return make_text("grammar", sizes.words, sizes.steps, std::move(train), std::move(test));
}

double grammar_entropy(const GrammarText& sizes) {
  check(sizes);
  Writer writer(sizes, kTrainStream);
  for (std::int64_t i = 0; i < sizes.train_tokens; ++i) writer.next();
  return writer.information() / static_cast<double>(sizes.train_tokens);
}

}  // namespace paceline
