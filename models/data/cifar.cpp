#include <fmt/format.h>

#include "models/data/images.hpp"
#include "models/data/readers.hpp"
#include "models/data/source_file.hpp"

namespace paceline {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;

// Appends the records of a file. The last of `label_bytes` is the class, below `classes`.
void read_records(const std::filesystem::path& path, std::size_t label_bytes, std::int64_t classes,
                  StoredImages& part) {
  SourceFile file(path);
  if (file.size() == 0) file.fail("the file is empty");
  part.pixels.reserve(part.pixels.size() + file.size());
  while (file.left() > 0) {
    const std::uint8_t* labels = file.take(label_bytes, "a label");
    const std::int32_t label = labels[label_bytes - 1];
    if (label >= classes)
      file.fail_at(file.position() - 1,
                   fmt::format("label {}, expected 0 to {}", label, classes - 1));
    const std::uint8_t* pixels = file.take(kPixels, "an image");
    part.labels.push_back(label);
    part.pixels.insert(part.pixels.end(), pixels, pixels + kPixels);
  }
}

// Mean and deviation of the channels over the training images (as in kuangliu/pytorch-cifar).
const Normalization kNormalization{{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};

}  // namespace

std::unique_ptr<Dataset> read_cifar10(const std::filesystem::path& folder) {
  StoredImages train, test;
  std::error_code ignored;
  read_records(find_file(folder, {"data_batch_1.bin"}), 1, 10, train);
  for (int i = 2; i <= 5; ++i)
    if (const auto path = folder / fmt::format("data_batch_{}.bin", i);
        std::filesystem::exists(path, ignored))
      read_records(path, 1, 10, train);
  read_records(find_file(folder, {"test_batch.bin"}), 1, 10, test);
  return make_stored_images("cifar10", {3, 32, 32}, 10, kNormalization, std::move(train),
                            std::move(test));
}

std::unique_ptr<Dataset> read_cifar100(const std::filesystem::path& folder) {
  StoredImages train, test;
  read_records(find_file(folder, {"train.bin"}), 2, 100, train);
  read_records(find_file(folder, {"test.bin"}), 2, 100, test);
  return make_stored_images("cifar100", {3, 32, 32}, 100, kNormalization, std::move(train),
                            std::move(test));
}

}  // namespace paceline
