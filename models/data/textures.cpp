#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/data/generated_images.hpp"

namespace paceline {
namespace {

constexpr int kSide = 32;
// So wide that neighbouring classes overlap: no network gets all right.
constexpr double kAngleJitter = 7;  // degrees
constexpr double kWaveJitter = .1;  // of the logarithm

// A sine wave over the image; the class is in `steepness` and `wave`, all else is random.
struct Stripes {
  double kx, ky, phase;
  std::array<double, 3> colour;
  [[nodiscard]] double at(int i, int j) const { return std::sin(kx * j + ky * i + phase); }
};

std::array<double, 3> random_colour(RandomStream& random, double size) {
  std::array<double, 3> colour{random.normal(), random.normal(), random.normal()};
  const double norm =
      std::sqrt(colour[0] * colour[0] + colour[1] * colour[1] + colour[2] * colour[2]);
  for (double& c : colour) c *= size / norm;
  return colour;
}

Stripes random_stripes(std::int64_t label, double contrast, RandomStream& random) {
  const double degrees = static_cast<double>(label % 5) * 22.5 + kAngleJitter * random.normal();
  const double mirrored = random.below(2) == 0 ? degrees : -degrees;
  const double wave = (label < 5 ? 4.2 : 6.6) * std::exp(kWaveJitter * random.normal());
  const double angle = mirrored * std::numbers::pi / 180, k = 2 * std::numbers::pi / wave;
  return {k * std::cos(angle), k * std::sin(angle), random.uniform(0, 2 * std::numbers::pi),
          random_colour(random, contrast)};
}

class Textures final : public DrawnImages {
 public:
  // Mean and deviation of the pixels, measured over 4,000 images.
  explicit Textures(const GeneratedImages& sizes)
      : DrawnImages("textures", {3, kSide, kSide}, {{.497f, .497f, .497f}, {.22f, .22f, .22f}},
                    sizes) {}

 protected:
  void draw(std::int64_t label, RandomStream& random, std::uint8_t* image) const override {
    const Stripes patch = random_stripes(label, random.uniform(.2, .45), random);
    const Stripes ground = random_stripes(random.below(10), random.uniform(.1, .3), random);
    const std::array<double, 3> mean = random_colour(random, .25);
    const double x0 = random.uniform(9, 23), y0 = random.uniform(9, 23);
    const double rx = random.uniform(6, 12), ry = random.uniform(6, 12);
    const double noise = random.uniform(.08, .2);
    for (int i = 0; i < kSide; ++i)
      for (int j = 0; j < kSide; ++j) {
        const double r = std::hypot((j - x0) / rx, (i - y0) / ry);
        const double inside = 1 / (1 + std::exp(8 * (r - 1)));
        const double a = inside * patch.at(i, j), b = (1 - inside) * ground.at(i, j);
        for (int c = 0; c < 3; ++c) {
          const auto channel = static_cast<std::size_t>(c);
          const double value = .5 + mean[channel] + a * patch.colour[channel] +
                               b * ground.colour[channel] + noise * random.normal();
          image[(c * kSide + i) * kSide + j] =
              static_cast<std::uint8_t>(std::clamp(255 * value, 0.0, 255.0));
        }
      }
  }
};

}  // namespace

std::unique_ptr<Dataset> make_textures(const GeneratedImages& sizes) {
  return std::make_unique<Textures>(sizes);
}

}  // namespace paceline
