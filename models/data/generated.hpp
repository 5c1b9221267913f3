#pragma once

#include <cstdint>
#include <memory>

#include "models/data/dataset.hpp"

namespace paceline {

/// Sizes and seed of a data set that needs no file. Sample i depends on (seed, split, i) alone, so
/// a smaller set is the beginning of a larger one.
struct GeneratedImages {
  std::int64_t train = 60'000;
  std::int64_t test = 10'000;
  std::uint64_t seed = 1;
};

/// Handwriting-like digits, [1, 28, 28], 10 classes: strokes with jittered control points under a
/// random affine map, with stray strokes and noise. An image is drawn when it is first asked for.
/// Throws InputError if a size is not positive.
std::unique_ptr<Dataset> make_digits(const GeneratedImages& sizes = {});

/// Textured colour images of CIFAR's shape [3, 32, 32], 10 classes: a patch of stripes whose
/// steepness (5) and width (2) make the class, in random colours, over stripes of another class
/// with less contrast, with noise. Mirroring keeps the class.
std::unique_ptr<Dataset> make_textures(const GeneratedImages& sizes = {.train = 50'000});

}  // namespace paceline
