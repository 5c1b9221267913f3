#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/data/dataset.hpp"

namespace paceline {

/// A network sees (pixel/255 - mean) / deviation, per channel.
struct Normalization {
  std::vector<float> mean, deviation;
};

/// Images whose pixels are bytes, [channels, height, width].
class ImageDataset : public Dataset {
 public:
  ImageDataset(std::string name, std::vector<std::int64_t> shape, std::int64_t classes,
               const Normalization& normalization);
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] const std::vector<std::int64_t>& sample_shape() const override { return shape_; }
  [[nodiscard]] std::int64_t classes() const override { return classes_; }
  void fill(Split split, std::span<const std::int64_t> indices, Batch& batch) const override;
  /// The pixels of one image: either from memory that lives as long as the data set, or written to
  /// `room`, which holds one image.
  [[nodiscard]] virtual const std::uint8_t* pixels(Split split, std::int64_t index,
                                                   std::uint8_t* room) const = 0;

 protected:
  [[nodiscard]] std::size_t image_size() const { return image_size_; }
  /// Throws std::out_of_range.
  void check_index(Split split, std::int64_t index) const;

 private:
  std::string name_;
  std::vector<std::int64_t> shape_;
  std::int64_t classes_;
  std::size_t image_size_;
  std::vector<float> table_;  ///< [channels, 256]: the value of each pixel
};

/// Images of one split, all in memory.
struct StoredImages {
  std::vector<std::uint8_t> pixels;  ///< [images, channels, height, width]
  std::vector<std::int32_t> labels;  ///< [images], each in [0, classes)
};
std::unique_ptr<Dataset> make_stored_images(std::string name, std::vector<std::int64_t> shape,
                                            std::int64_t classes,
                                            const Normalization& normalization, StoredImages train,
                                            StoredImages test);

}  // namespace paceline
