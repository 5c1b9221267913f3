#include "models/data/generated_images.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

DrawnImages::DrawnImages(std::string name, std::vector<std::int64_t> shape,
                         const Normalization& normalization, const GeneratedImages& sizes)
    : ImageDataset(std::move(name), std::move(shape), 10, normalization), seed_(sizes.seed) {
  for (const Split split : {Split::train, Split::test}) {
    const std::int64_t count = split == Split::train ? sizes.train : sizes.test;
    if (count < 1 || count > 1 << 28)
      throw InputError(fmt::format("data set '{}': {} {} images, expected 1 to {}", this->name(),
                                   count, split == Split::train ? "training" : "test", 1 << 28));
    Part& part = parts_[split == Split::test];
    part.size = count;
    const auto n = static_cast<std::size_t>(count);
    // Not initialised: the system gives memory only to pages that get drawn on.
    part.pixels = std::make_unique_for_overwrite<std::uint8_t[]>(n * image_size());
    part.states = std::make_unique<std::atomic<std::uint8_t>[]>(n);
  }
}

RandomStream DrawnImages::stream(Split split, std::int64_t index) const {
  return {seed_, (std::uint64_t{split == Split::test} << 40) + static_cast<std::uint64_t>(index)};
}

std::int64_t DrawnImages::label(Split split, std::int64_t index) const {
  check_index(split, index);
  return stream(split, index).below(classes());
}

const std::uint8_t* DrawnImages::pixels(Split split, std::int64_t index, std::uint8_t* room) const {
  const Part& images = part(split);
  const auto i = static_cast<std::size_t>(index);
  std::uint8_t* kept = images.pixels.get() + i * image_size();
  std::uint8_t state = images.states[i].load(std::memory_order_acquire);
  if (state == present) return kept;
  // Whoever finds it absent draws it where it stays; others meanwhile draw a copy of their own.
  const bool mine =
      state == absent && images.states[i].compare_exchange_strong(state, std::uint8_t{being_drawn});
  std::uint8_t* image = mine ? kept : room;
  RandomStream random = stream(split, index);
  const std::int64_t drawn_label = random.below(classes());
  draw(drawn_label, random, image);
  if (mine) images.states[i].store(present, std::memory_order_release);
  return image;
}

}  // namespace paceline
