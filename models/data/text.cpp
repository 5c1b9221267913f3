#include "models/data/text.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/error.hpp"

namespace paceline {
namespace {

class Text final : public Dataset {
 public:
  Text(std::string name, std::int64_t words, std::int64_t steps, std::vector<std::int32_t> train,
       std::vector<std::int32_t> test)
      : name_(std::move(name)),
        words_(words),
        shape_{steps},
        train_(std::move(train)),
        test_(std::move(test)) {
    if (steps < 1)
      throw InputError(fmt::format("data set '{}': {} steps, expected 1 or more", name_, steps));
    for (const Split split : {Split::train, Split::test})
      if (size(split) < 1)
        throw InputError(fmt::format("data set '{}': {} words, too few for a sample of {} steps",
                                     name_, tokens(split).size(), steps));
  }
  [[nodiscard]] std::string name() const override { return name_; }
  // The last token of a sample needs a successor as label.
  [[nodiscard]] std::int64_t size(Split split) const override {
    const auto count = static_cast<std::int64_t>(tokens(split).size());
    return count == 0 ? 0 : (count - 1) / shape_[0];
  }
  [[nodiscard]] const std::vector<std::int64_t>& sample_shape() const override { return shape_; }
  [[nodiscard]] std::int64_t classes() const override { return words_; }
  [[nodiscard]] bool sequential() const override { return true; }
  [[nodiscard]] std::int64_t label(Split, std::int64_t) const override {
    throw InputError(fmt::format("data set '{}': a text has no class per sample", name_));
  }
  void fill(Split split, std::span<const std::int64_t> indices, Batch& batch) const override {
    const std::int64_t steps = shape_[0];
    batch.inputs.clear();
    batch.labels.clear();
    for (const std::int64_t index : indices) {
      if (index < 0 || index >= size(split))
        throw std::out_of_range(fmt::format("{}: sample {} of {}", name_, index, size(split)));
      const std::int32_t* from = tokens(split).data() + index * steps;
      for (std::int64_t t = 0; t < steps; ++t) {
        batch.inputs.push_back(static_cast<float>(from[t]));
        batch.labels.push_back(static_cast<float>(from[t + 1]));
      }
    }
  }

 private:
  [[nodiscard]] const std::vector<std::int32_t>& tokens(Split split) const {
    return split == Split::train ? train_ : test_;
  }
  std::string name_;
  std::int64_t words_;
  std::vector<std::int64_t> shape_;
  std::vector<std::int32_t> train_, test_;
};

}  // namespace

std::unique_ptr<Dataset> make_text(std::string name, std::int64_t words, std::int64_t steps,
                                   std::vector<std::int32_t> train,
                                   std::vector<std::int32_t> test) {
  return std::make_unique<Text>(std::move(name), words, steps, std::move(train), std::move(test));
}

}  // namespace paceline
