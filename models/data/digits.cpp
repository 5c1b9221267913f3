#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/data/generated_images.hpp"

namespace paceline {
namespace {

constexpr int kSide = 28;

struct Point {
  double x, y;
};
using Stroke = std::vector<Point>;
using Glyph = std::vector<Stroke>;

// Control points in the unit square, y downwards; a stroke is a smooth curve through its points, a
// point given twice makes a corner. Some digits are written in two ways.
const std::vector<std::vector<Glyph>>& glyphs() {
  static const std::vector<std::vector<Glyph>> all = {
      {{{{.5, .05}, {.2, .25}, {.2, .75}, {.5, .95}, {.8, .75}, {.8, .25}, {.5, .05}}}},
      {{{{.5, .05}, {.5, .5}, {.5, .95}}},
       {{{.3, .25}, {.55, .05}, {.55, .05}, {.55, .5}, {.55, .95}}}},
      {{{{.22, .25}, {.45, .05}, {.75, .25}, {.6, .55}, {.2, .93}, {.2, .93}, {.8, .93}}},
       {{{.25, .2}, {.6, .07}, {.72, .35}, {.35, .85}, {.25, .75}, {.45, .8}, {.8, .95}}}},
      {{{{.25, .12},
         {.6, .05},
         {.72, .28},
         {.45, .47},
         {.45, .47},
         {.75, .65},
         {.6, .93},
         {.22, .88}}}},
      {{{{.65, .95}, {.65, .5}, {.65, .05}, {.65, .05}, {.2, .65}, {.2, .65}, {.85, .65}}},
       {{{.3, .05}, {.22, .5}, {.22, .5}, {.78, .5}}, {{.72, .1}, {.7, .5}, {.68, .95}}}},
      {{{{.75, .07},
         {.3, .07},
         {.3, .07},
         {.27, .45},
         {.27, .45},
         {.65, .45},
         {.75, .7},
         {.55, .95},
         {.22, .88}}}},
      {{{{.65, .05}, {.35, .35}, {.23, .7}, {.45, .95}, {.75, .75}, {.55, .52}, {.27, .68}}}},
      {{{{.2, .08}, {.8, .08}, {.8, .08}, {.55, .5}, {.4, .95}}},
       {{{.2, .08}, {.8, .08}, {.8, .08}, {.55, .5}, {.4, .95}}, {{.35, .5}, {.72, .5}}}},
      {{{{.5, .48},
         {.25, .27},
         {.5, .05},
         {.75, .27},
         {.5, .48},
         {.22, .73},
         {.5, .95},
         {.78, .73},
         {.5, .48}}}},
      {{{{.73, .3},
         {.5, .48},
         {.27, .3},
         {.48, .05},
         {.73, .3},
         {.73, .3},
         {.68, .65},
         {.6, .95}}}}};
  return all;
}

struct Affine {
  double xx, xy, yx, yy, x0, y0;
  [[nodiscard]] Point operator()(Point p) const {
    p.x -= .5, p.y -= .5;
    return {x0 + xx * p.x + xy * p.y, y0 + yx * p.x + yy * p.y};
  }
};

// To pixels: slant, stretch, rotate, shift.
Affine random_affine(RandomStream& random) {
  const double angle = random.uniform(-.45, .45);
  const double width = random.uniform(12, 19), height = random.uniform(15, 22);
  const double slant = random.uniform(-.35, .35);
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * width,
          c * slant * width - s * height,
          s * width,
          s * slant * width + c * height,
          kSide / 2.0 + random.uniform(-3.5, 3.5),
          kSide / 2.0 + random.uniform(-3.5, 3.5)};
}

class Canvas {
 public:
  // Raises the ink along the segment; the edge of the pen is one pixel soft.
  void segment(Point a, Point b, double radius, double ink) {
    const double reach = radius + 1;
    const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    const int bottom = clamp(std::max(a.y, b.y) + reach), right = clamp(std::max(a.x, b.x) + reach);
    for (int i = clamp(std::min(a.y, b.y) - reach); i <= bottom; ++i)
      for (int j = clamp(std::min(a.x, b.x) - reach); j <= right; ++j) {
        const double px = j + .5 - a.x, py = i + .5 - a.y;
        const double t = length2 > 0 ? std::clamp((px * dx + py * dy) / length2, 0.0, 1.0) : 0;
        const double away = std::hypot(px - t * dx, py - t * dy);
        double& pixel = ink_[i * kSide + j];
        pixel = std::max(pixel, ink * std::clamp(radius + .5 - away, 0.0, 1.0));
      }
  }

  // Catmull and Rom's curve through the points.
  void stroke(const Stroke& points, double radius, double ink) {
    Point last = points.front();
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
      const Point &p0 = points[i == 0 ? 0 : i - 1], &p1 = points[i], &p2 = points[i + 1];
      const Point& p3 = points[std::min(i + 2, points.size() - 1)];
      for (int k = 1; k <= kPieces; ++k) {
        const double t = static_cast<double>(k) / kPieces;
        const auto along = [t](double a, double b, double c, double d) {
          return .5 * (2 * b +
                       t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))));
        };
        const Point next{along(p0.x, p1.x, p2.x, p3.x), along(p0.y, p1.y, p2.y, p3.y)};
        segment(last, next, radius, ink);
        last = next;
      }
    }
  }

  void write(double noise, RandomStream& random, std::uint8_t* image) const {
    for (int i = 0; i < kSide * kSide; ++i) {
      const double value = 255 * (ink_[i] + noise * random.normal());
      image[i] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
    }
  }

 private:
  static constexpr int kPieces = 6;
  static int clamp(double x) { return std::clamp(static_cast<int>(x), 0, kSide - 1); }
  std::array<double, kSide * kSide> ink_{};
};

class Digits final : public DrawnImages {
 public:
  // Mean and deviation of the pixels, measured over 4,000 images.
  explicit Digits(const GeneratedImages& sizes)
      : DrawnImages("digits", {1, kSide, kSide}, {{0.139f}, {0.237f}}, sizes) {}

 protected:
  void draw(std::int64_t label, RandomStream& random, std::uint8_t* image) const override {
    const std::vector<Glyph>& ways = glyphs()[static_cast<std::size_t>(label)];
    const Glyph& glyph =
        ways[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(ways.size())))];
    const Affine place = random_affine(random);
    const double radius = random.uniform(.7, 1.7), ink = random.uniform(.55, 1);
    Canvas canvas;
    for (Stroke stroke : glyph) {
      jitter(stroke, random);
      for (Point& p : stroke) p = place(p);
      canvas.stroke(stroke, radius, ink);
    }
    stray_strokes(canvas, random);
    canvas.write(random.uniform(.05, .2), random, image);
  }

 private:
  static void jitter(Stroke& stroke, RandomStream& random) {
    Point before{-1, -1}, moved{};
    for (Point& p : stroke) {
      const bool corner = p.x == before.x && p.y == before.y;  // its two points stay together
      before = p;
      if (!corner) moved = {p.x + kJitter * random.normal(), p.y + kJitter * random.normal()};
      p = moved;
    }
  }

  static void stray_strokes(Canvas& canvas, RandomStream& random) {
    for (std::int64_t n = random.below(4); n > 0; --n) {
      const Point a{random.uniform(0, kSide), random.uniform(0, kSide)};
      const double angle = random.uniform(0, 2 * std::numbers::pi), length = random.uniform(3, 9);
      const Point b{a.x + length * std::cos(angle), a.y + length * std::sin(angle)};
      canvas.segment(a, b, random.uniform(.5, 1.2), random.uniform(.4, .9));
    }
  }

  static constexpr double kJitter = .05;
};

}  // namespace

std::unique_ptr<Dataset> make_digits(const GeneratedImages& sizes) {
  return std::make_unique<Digits>(sizes);
}

}  // namespace paceline
