#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/data/dataset.hpp"

namespace paceline {

/// A text as word numbers in [0, words). Sample i is tokens [i*steps, (i+1)*steps), its labels the
/// tokens one further on. Throws InputError if steps < 1 or a part has not even one sample.
std::unique_ptr<Dataset> make_text(std::string name, std::int64_t words, std::int64_t steps,
                                   std::vector<std::int32_t> train, std::vector<std::int32_t> test);

/// A made-up language that needs no file. A sentence speaks about one of eight topics; its words
/// follow a Markov chain of the topic over words of unequal frequency, and each opening word is
/// closed, some words later and last opened first, by its own partner, so that something is to be
/// gained from a long memory. Throws InputError if a size is too small.
struct GrammarText {
  std::int64_t words = 200;  ///< vocabulary, at least 100
  std::int64_t steps = 35;   ///< tokens per sample
  std::int64_t train_tokens = 1'000'000;
  std::int64_t test_tokens = 100'000;
  std::uint64_t seed = 1;
};
std::unique_ptr<Dataset> make_grammar(const GrammarText& sizes = {});
/// Mean of -log(probability) of the training tokens under the process that wrote them, which sees
/// the topic too: no model's mean cross-entropy can be lower in the long run.
double grammar_entropy(const GrammarText& sizes = {});

}  // namespace paceline
