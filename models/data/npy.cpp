#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "base/error.hpp"
#include "models/data/images.hpp"
#include "models/data/readers.hpp"
#include "models/data/source_file.hpp"
#include "models/operation.hpp"

// NumPy's format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
namespace paceline {
namespace {

struct Header {
  std::string type;  // "<f4", "|u1", ...
  std::vector<std::int64_t> shape;
};

// What follows 'key': in the Python dictionary of the header.
std::string_view entry(const SourceFile& file, std::string_view text, std::string_view key) {
  const std::size_t at = text.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) file.fail_at(10, fmt::format("the header has no '{}'", key));
  text.remove_prefix(at + key.size() + 3);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

std::vector<std::int64_t> parse_shape(const SourceFile& file, std::string_view text) {
  const std::size_t end = text.find(')');
  if (!text.starts_with('(') || end == std::string_view::npos)
    file.fail_at(10, "the header's shape is not a tuple");
  constexpr std::int64_t kMostElements = std::int64_t{1} << 40;  // products cannot overflow
  std::int64_t elements = 1;
  std::vector<std::int64_t> shape;
  const char* at = text.data() + 1;
  const char* const stop = text.data() + end;
  while (at < stop) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, stop, extent);
    if (error != std::errc() || extent < 1)
      file.fail_at(10, fmt::format("the header's shape {} has an extent that is not positive",
                                   text.substr(0, end + 1)));
    if (extent > kMostElements / elements)
      file.fail_at(10, fmt::format("the header's shape {} has more than 2^40 elements",
                                   text.substr(0, end + 1)));
    elements *= extent;
    shape.push_back(extent);
    at = next;
  }
  return shape;
}

Header read_header(SourceFile& file) {
  if (std::memcmp(file.take(6, "the magic string"), "\x93NUMPY", 6) != 0)
    file.fail_at(0, "not a .npy file: the magic string is missing");
  const std::uint8_t* version = file.take(2, "the version");
  if (version[0] < 1 || version[0] > 3)
    file.fail_at(6, fmt::format("format version {}, expected 1 to 3", version[0]));
  const std::size_t width = version[0] == 1 ? 2 : 4;
  const std::uint8_t* bytes = file.take(width, "the header's length");
  std::size_t length = 0;
  for (std::size_t i = width; i-- > 0;) length = length << 8 | bytes[i];
  const auto* start = reinterpret_cast<const char*>(file.take(length, "the header"));
  const std::string_view text(start, length);
  if (entry(file, text, "fortran_order").starts_with("True"))
    file.fail_at(10, "the array is in Fortran order, expected C order");
  Header header;
  std::string_view type = entry(file, text, "descr");
  header.type = std::string(type.substr(0, 1) == "'" ? type.substr(1, type.find('\'', 1) - 1)
                                                     : std::string_view("a structure"));
  header.shape = parse_shape(file, entry(file, text, "shape"));
  return header;
}

struct Images {
  std::vector<std::int64_t> shape;   // of one
  std::vector<std::uint8_t> pixels;  // u1
  std::vector<float> values;         // f4
  std::int64_t count = 0;
};

// Throws unless the rest of the file is exactly these elements.
const std::uint8_t* take_elements(SourceFile& file, const Header& header, std::size_t width) {
  const auto bytes = static_cast<std::size_t>(element_count(header.shape)) * width;
  const std::uint8_t* data = file.take(bytes, "the array");
  if (file.left() > 0) file.fail(fmt::format("{} bytes follow the array", file.left()));
  return data;
}

Images read_images(const std::filesystem::path& path) {
  SourceFile file(path);
  const Header header = read_header(file);
  if (header.shape.size() != 3 && header.shape.size() != 4)
    file.fail_at(10, fmt::format("shape {}, expected [images, channels, height, width] or [images, "
                                 "height, width]",
                                 shape_text(header.shape)));
  Images images;
  images.count = header.shape[0];
  images.shape.assign(header.shape.begin() + 1, header.shape.end());
  if (images.shape.size() == 2) images.shape.insert(images.shape.begin(), 1);
  const auto count = static_cast<std::size_t>(element_count(header.shape));
  if (header.type == "|u1" || header.type == "<u1") {
    const std::uint8_t* data = take_elements(file, header, 1);
    images.pixels.assign(data, data + count);
  } else if (header.type == "<f4") {
    const std::uint8_t* data = take_elements(file, header, 4);
    images.values.resize(count);
    std::memcpy(images.values.data(), data, count * 4);
    for (std::size_t i = 0; i < count; ++i)
      if (!std::isfinite(images.values[i]))
        file.fail_at(static_cast<std::size_t>(data - file.data()) + 4 * i,
                     fmt::format("the value {} is not finite", images.values[i]));
  } else {
    file.fail_at(10, fmt::format("elements of type {}, expected |u1 or <f4", header.type));
  }
  return images;
}

std::vector<std::int32_t> read_labels(const std::filesystem::path& path, std::int64_t images) {
  constexpr std::int64_t kLargest = 1 << 24;  // labels travel in fp32
  SourceFile file(path);
  const Header header = read_header(file);
  if (header.shape != std::vector<std::int64_t>{images})
    file.fail_at(10, fmt::format("shape {}, expected [{}] as there are so many images",
                                 shape_text(header.shape), images));
  const std::string& type = header.type;
  if (type.size() != 3 || (type[0] != '<' && type[0] != '|') ||
      (type[1] != 'i' && type[1] != 'u') ||
      std::string_view("1248").find(type[2]) == std::string_view::npos)
    file.fail_at(10, fmt::format("elements of type {}, expected little-endian integers", type));
  const auto width = static_cast<std::size_t>(type[2] - '0');
  const std::uint8_t* data = take_elements(file, header, width);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < images; ++i, data += width) {
    // A negative number has its highest bit set: as large as one that is too large.
    std::uint64_t label = 0;
    for (std::size_t b = width; b-- > 0;) label = label << 8 | data[b];
    const bool negative = type[1] == 'i' && (data[width - 1] & 0x80) != 0;
    if (negative || label >= kLargest)
      file.fail_at(static_cast<std::size_t>(data - file.data()),
                   fmt::format("label {}, expected 0 to {}",
                               negative ? "below 0" : fmt::to_string(label), kLargest - 1));
    labels.push_back(static_cast<std::int32_t>(label));
  }
  return labels;
}

class FloatImages final : public Dataset {
 public:
  struct Part {
    std::vector<float> values;
    std::vector<std::int32_t> labels;
  };
  FloatImages(std::vector<std::int64_t> shape, std::int64_t classes, Part train, Part test)
      : shape_(std::move(shape)),
        classes_(classes),
        train_(std::move(train)),
        test_(std::move(test)) {}
  [[nodiscard]] std::string name() const override { return "npy"; }
  [[nodiscard]] std::int64_t size(Split split) const override {
    return static_cast<std::int64_t>(part(split).labels.size());
  }
  [[nodiscard]] const std::vector<std::int64_t>& sample_shape() const override { return shape_; }
  [[nodiscard]] std::int64_t classes() const override { return classes_; }
  [[nodiscard]] std::int64_t label(Split split, std::int64_t index) const override {
    return part(split).labels.at(static_cast<std::size_t>(index));
  }
  void fill(Split split, std::span<const std::int64_t> indices, Batch& batch) const override {
    const auto n = static_cast<std::ptrdiff_t>(element_count(shape_));
    batch.inputs.clear();
    batch.labels.clear();
    for (const std::int64_t index : indices) {
      batch.labels.push_back(static_cast<float>(label(split, index)));
      const auto from = part(split).values.begin() + index * n;
      batch.inputs.insert(batch.inputs.end(), from, from + n);
    }
  }

 private:
  [[nodiscard]] const Part& part(Split split) const {
    return split == Split::train ? train_ : test_;
  }
  std::vector<std::int64_t> shape_;
  std::int64_t classes_;
  Part train_, test_;
};

}  // namespace

std::unique_ptr<Dataset> read_npy(const std::filesystem::path& folder) {
  const auto path = [&](const char* name) { return find_file(folder, {name}); };
  Images train = read_images(path("train_images.npy"));
  Images test = read_images(path("test_images.npy"));
  if (train.shape != test.shape || train.pixels.empty() != test.pixels.empty())
    throw InputError(fmt::format("{}: training and test images differ in shape ({} and {}) or type",
                                 folder.string(), shape_text(train.shape), shape_text(test.shape)));
  std::vector<std::int32_t> train_labels = read_labels(path("train_labels.npy"), train.count);
  std::vector<std::int32_t> test_labels = read_labels(path("test_labels.npy"), test.count);
  const std::int64_t classes =
      1 + std::max(*std::max_element(train_labels.begin(), train_labels.end()),
                   *std::max_element(test_labels.begin(), test_labels.end()));
  if (train.pixels.empty())
    return std::make_unique<FloatImages>(
        train.shape, classes, FloatImages::Part{std::move(train.values), std::move(train_labels)},
        FloatImages::Part{std::move(test.values), std::move(test_labels)});
  const auto channels = static_cast<std::size_t>(train.shape[0]);
  const Normalization plain{std::vector<float>(channels, 0), std::vector<float>(channels, 1)};
  return make_stored_images("npy", train.shape, classes, plain,
                            {std::move(train.pixels), std::move(train_labels)},
                            {std::move(test.pixels), std::move(test_labels)});
}

}  // namespace paceline
