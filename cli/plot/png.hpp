#pragma once

#include <stdexcept>
#include <string>

namespace paceline {

/// This machine has no program that makes a PNG.
class NoConverter : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The PNG of an SVG, twice as large as it says: sharp on any screen. By rsvg-convert
/// (librsvg2-bin), the one program that we start: the libraries that draw SVG text (librsvg, cairo
/// and pango, 42 Debian packages to build against) would be a part of every build for a few
/// pictures. It gets the drawing and gives the picture through memory; no file is made. Throws
/// NoConverter, and std::runtime_error if it fails.
std::string png_of(const std::string& svg);

/// The same for a user who asked for it: throws InputError where this machine has no converter.
std::string png_picture(const std::string& svg);

}  // namespace paceline
