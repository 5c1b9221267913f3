#include "models/data/images.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "models/operation.hpp"

namespace paceline {

ImageDataset::ImageDataset(std::string name, std::vector<std::int64_t> shape, std::int64_t classes,
                           const Normalization& normalization)
    : name_(std::move(name)),
      shape_(std::move(shape)),
      classes_(classes),
      image_size_(static_cast<std::size_t>(element_count(shape_))) {
  for (std::size_t c = 0; c < static_cast<std::size_t>(shape_[0]); ++c)
    for (int pixel = 0; pixel < 256; ++pixel)
      table_.push_back((static_cast<float>(pixel) / 255 - normalization.mean.at(c)) /
                       normalization.deviation.at(c));
}

void ImageDataset::check_index(Split split, std::int64_t index) const {
  if (index < 0 || index >= size(split))
    throw std::out_of_range(fmt::format("{}: sample {} of {}", name_, index, size(split)));
}

void ImageDataset::fill(Split split, std::span<const std::int64_t> indices, Batch& batch) const {
  batch.inputs.resize(indices.size() * image_size_);
  batch.labels.resize(indices.size());
  std::vector<std::uint8_t> room(image_size_);
  const std::size_t plane = image_size_ / static_cast<std::size_t>(shape_[0]);
  float* to = batch.inputs.data();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    check_index(split, indices[i]);
    batch.labels[i] = static_cast<float>(label(split, indices[i]));
    const std::uint8_t* from = pixels(split, indices[i], room.data());
    for (const float* values = table_.data(); values != table_.data() + table_.size();
         values += 256)
      for (std::size_t p = 0; p < plane; ++p) *to++ = values[*from++];
  }
}

namespace {

class Stored final : public ImageDataset {
 public:
  Stored(std::string name, std::vector<std::int64_t> shape, std::int64_t classes,
         const Normalization& normalization, StoredImages train, StoredImages test)
      : ImageDataset(std::move(name), std::move(shape), classes, normalization),
        train_(std::move(train)),
        test_(std::move(test)) {
    for (const StoredImages* part : {&train_, &test_})
      if (part->pixels.size() != part->labels.size() * image_size())
        throw std::logic_error("numbers of images and labels differ");
  }
  [[nodiscard]] std::int64_t size(Split split) const override {
    return static_cast<std::int64_t>(part(split).labels.size());
  }
  [[nodiscard]] std::int64_t label(Split split, std::int64_t index) const override {
    return part(split).labels.at(static_cast<std::size_t>(index));
  }
  [[nodiscard]] const std::uint8_t* pixels(Split split, std::int64_t index,
                                           std::uint8_t*) const override {
    return part(split).pixels.data() + static_cast<std::size_t>(index) * image_size();
  }

 private:
  [[nodiscard]] const StoredImages& part(Split split) const {
    return split == Split::train ? train_ : test_;
  }
  StoredImages train_, test_;
};

}  // namespace

std::unique_ptr<Dataset> make_stored_images(std::string name, std::vector<std::int64_t> shape,
                                            std::int64_t classes,
                                            const Normalization& normalization, StoredImages train,
                                            StoredImages test) {
  return std::make_unique<Stored>(std::move(name), std::move(shape), classes, normalization,
                                  std::move(train), std::move(test));
}

}  // namespace paceline
