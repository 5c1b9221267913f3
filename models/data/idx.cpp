#include <fmt/format.h>

#include "base/error.hpp"
#include "models/data/images.hpp"
#include "models/data/readers.hpp"
#include "models/data/source_file.hpp"

namespace paceline {
namespace {

constexpr std::uint32_t kImages = 0x00000803, kLabels = 0x00000801;  // unsigned bytes, 3 and 1 axes
constexpr std::int64_t kClasses = 10;
constexpr std::uint32_t kLargestSide = 4096;

struct Images {
  std::size_t count = 0;
  std::int64_t rows = 0, columns = 0;
  std::vector<std::uint8_t> pixels;
};

void check_magic(SourceFile& file, std::uint32_t expected, const char* what) {
  if (const std::uint32_t found = file.big_endian_32("the magic number"); found != expected)
    file.fail_at(
        0, fmt::format("magic number {:#010x}, expected {:#010x} ({})", found, expected, what));
}

void check_end(const SourceFile& file) {
  if (file.left() > 0) file.fail(fmt::format("{} bytes follow the last record", file.left()));
}

Images read_images(const std::filesystem::path& path) {
  SourceFile file(path);
  check_magic(file, kImages, "IDX images of unsigned bytes");
  Images images;
  images.count = file.big_endian_32("the number of images");
  for (std::int64_t* side : {&images.rows, &images.columns}) {
    const std::uint32_t value = file.big_endian_32("the image size");
    if (value < 1 || value > kLargestSide)
      file.fail_at(file.position() - 4,
                   fmt::format("image side {}, expected 1 to {}", value, kLargestSide));
    *side = value;
  }
  const std::size_t bytes = images.count * static_cast<std::size_t>(images.rows * images.columns);
  const std::uint8_t* pixels = file.take(bytes, "the images");
  images.pixels.assign(pixels, pixels + bytes);
  check_end(file);
  return images;
}

std::vector<std::int32_t> read_labels(const std::filesystem::path& path) {
  SourceFile file(path);
  check_magic(file, kLabels, "IDX labels of unsigned bytes");
  const std::size_t count = file.big_endian_32("the number of labels");
  const std::size_t start = file.position();
  const std::uint8_t* labels = file.take(count, "the labels");
  for (std::size_t i = 0; i < count; ++i)
    if (labels[i] >= kClasses)
      file.fail_at(start + i, fmt::format("label {}, expected 0 to {}", labels[i], kClasses - 1));
  check_end(file);
  return {labels, labels + count};
}

Images read_part(const std::filesystem::path& folder, const std::string& prefix,
                 StoredImages& part) {
  const auto named = [&](const std::string& what, int axes) {
    const std::string ending = fmt::format("idx{}-ubyte", axes);
    return find_file(folder, {prefix + what + "-" + ending, prefix + what + "." + ending});
  };
  const std::filesystem::path images_path = named("images", 3), labels_path = named("labels", 1);
  Images images = read_images(images_path);
  part.labels = read_labels(labels_path);
  if (images.count != part.labels.size())
    throw InputError(fmt::format("{}: byte 4: {} labels for {} images in {}", labels_path.string(),
                                 part.labels.size(), images.count, images_path.string()));
  if (images.count == 0)
    throw InputError(fmt::format("{}: byte 4: no images", images_path.string()));
  part.pixels = std::move(images.pixels);
  return images;
}

}  // namespace

std::unique_ptr<Dataset> read_mnist(const std::filesystem::path& folder) {
  StoredImages train, test;
  const Images train_size = read_part(folder, "train-", train);
  const Images test_size = read_part(folder, "t10k-", test);
  if (train_size.rows != test_size.rows || train_size.columns != test_size.columns)
    throw InputError(fmt::format("{}: training images are {}x{} and test images {}x{}",
                                 folder.string(), train_size.rows, train_size.columns,
                                 test_size.rows, test_size.columns));
  return make_stored_images("mnist", {1, train_size.rows, train_size.columns}, kClasses,
                            {{0.1307f}, {0.3081f}}, std::move(train), std::move(test));
}

}  // namespace paceline
