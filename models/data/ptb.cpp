#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "models/data/readers.hpp"
#include "models/data/source_file.hpp"
#include "models/data/text.hpp"

namespace paceline {
namespace {

// Calls visit(word, offset) for each word, and with "<eos>" at the end of each line.
template <class Visit>
void for_each_word(const SourceFile& file, Visit visit) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  std::size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == '\n') visit(std::string_view("<eos>"), i);
    if (c == '\0') file.fail_at(i, "a zero byte: not a text file");
    if (c == '\n' || c == ' ' || c == '\t' || c == '\r') {
      ++i;
      continue;
    }
    const std::size_t end =
        std::min(text.find_first_of(std::string_view(" \t\r\n\0", 5), i), text.size());
    visit(text.substr(i, end - i), i);
    i = end;
  }
  if (!text.empty() && text.back() != '\n') visit(std::string_view("<eos>"), text.size());
}

using Vocabulary = std::unordered_map<std::string_view, std::int32_t>;

Vocabulary vocabulary_of(const SourceFile& file) {
  std::unordered_map<std::string_view, std::int64_t> counts;
  for_each_word(file, [&](std::string_view word, std::size_t) { ++counts[word]; });
  std::vector<std::pair<std::string_view, std::int64_t>> words(counts.begin(), counts.end());
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  Vocabulary vocabulary;
  for (const auto& [word, count] : words)
    vocabulary.emplace(word, static_cast<std::int32_t>(vocabulary.size()));
  return vocabulary;
}

std::vector<std::int32_t> numbers(const SourceFile& file, const Vocabulary& vocabulary) {
  std::vector<std::int32_t> tokens;
  for_each_word(file, [&](std::string_view word, std::size_t offset) {
    const auto found = vocabulary.find(word);
    if (found == vocabulary.end())
      file.fail_at(offset, fmt::format("the word '{}' is not in the training text", word));
    tokens.push_back(found->second);
  });
  return tokens;
}

}  // namespace

std::unique_ptr<Dataset> read_ptb(const std::filesystem::path& folder, std::int64_t steps) {
  const SourceFile train(find_file(folder, {"ptb.train.txt", "train.txt"}));
  const SourceFile test(find_file(folder, {"ptb.test.txt", "test.txt"}));
  const Vocabulary vocabulary = vocabulary_of(train);
  if (vocabulary.empty()) train.fail("the text is empty");
  return make_text("ptb", static_cast<std::int64_t>(vocabulary.size()), steps,
                   numbers(train, vocabulary), numbers(test, vocabulary));
}

}  // namespace paceline
