#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "models/data/generated.hpp"
#include "models/data/images.hpp"
#include "models/data/random_stream.hpp"

namespace paceline {

/// Images that are drawn when first asked for and then kept.
class DrawnImages : public ImageDataset {
 public:
  DrawnImages(std::string name, std::vector<std::int64_t> shape, const Normalization& normalization,
              const GeneratedImages& sizes);
  [[nodiscard]] std::int64_t size(Split split) const override { return part(split).size; }
  [[nodiscard]] std::int64_t label(Split split, std::int64_t index) const override;
  [[nodiscard]] const std::uint8_t* pixels(Split split, std::int64_t index,
                                           std::uint8_t* room) const override;

 protected:
  /// Draws an image of class `label`; must depend on its arguments alone.
  virtual void draw(std::int64_t label, RandomStream& random, std::uint8_t* image) const = 0;

 private:
  enum State : std::uint8_t { absent, being_drawn, present };
  struct Part {
    std::int64_t size = 0;
    std::unique_ptr<std::uint8_t[]> pixels;
    std::unique_ptr<std::atomic<std::uint8_t>[]> states;
  };
  [[nodiscard]] const Part& part(Split split) const { return parts_[split == Split::test]; }
  [[nodiscard]] RandomStream stream(Split split, std::int64_t index) const;

  std::uint64_t seed_;
  std::array<Part, 2> parts_;
};

}  // namespace paceline
