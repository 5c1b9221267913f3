#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "models/data/catalog.hpp"
#include "models/data/readers.hpp"
#include "models/zoo.hpp"

// Every format is written here in small, read back, and then damaged.
namespace paceline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Bytes = std::string;

class DataFiles : public ::testing::Test {
 protected:
  DataFiles()
      : folder_(std::filesystem::temp_directory_path() /
                ("paceline-data-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~DataFiles() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void write(const std::string& name, const Bytes& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  void write_gzip(const std::string& name, const Bytes& bytes) const {
    gzFile file = gzopen((folder_ / name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
  }
  [[nodiscard]] Bytes read(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// The message of the InputError that reading gives, without the folder.
  template <class Read>
  std::string refusal(Read read_it) const {
    try {
      read_it(folder_);
    } catch (const InputError& error) {
      std::string text = error.what();
      const std::string prefix = folder_.string();
      for (std::size_t at = 0; (at = text.find(prefix)) != std::string::npos;)
        text.erase(at, std::min(prefix.size() + 1, text.size() - at));
      return text;
    }
    return "accepted";
  }

  std::filesystem::path folder_;
};

Bytes big_endian(std::uint32_t x) {
  return {static_cast<char>(x >> 24), static_cast<char>(x >> 16), static_cast<char>(x >> 8),
          static_cast<char>(x)};
}

// Pixel i of all is i % 251.
Bytes counting(std::size_t n) {
  Bytes bytes;
  for (std::size_t i = 0; i < n; ++i) bytes += static_cast<char>(i % 251);
  return bytes;
}

// ---- IDX

Bytes idx_images(std::uint32_t count, std::uint32_t rows, std::uint32_t columns) {
  return big_endian(0x803) + big_endian(count) + big_endian(rows) + big_endian(columns) +
         counting(std::size_t{count} * rows * columns);
}
Bytes idx_labels(const Bytes& labels) {
  return big_endian(0x801) + big_endian(static_cast<std::uint32_t>(labels.size())) + labels;
}

class Mnist : public DataFiles {
 protected:
  void SetUp() override {
    write("train-images-idx3-ubyte", idx_images(3, 4, 5));
    write("train-labels-idx1-ubyte", idx_labels({7, 0, 9}));
    write_gzip("t10k-images.idx3-ubyte.gz", idx_images(2, 4, 5));
    write_gzip("t10k-labels.idx1-ubyte.gz", idx_labels({1, 2}));
  }
  [[nodiscard]] std::string refused() const { return refusal(read_mnist); }
};

TEST_F(Mnist, PlainAndGzipFilesUnderBothNames) {
  const auto data = read_mnist(folder_);
  EXPECT_EQ(data->size(Split::train), 3);
  EXPECT_EQ(data->size(Split::test), 2);
  EXPECT_THAT(data->sample_shape(), ElementsAre(1, 4, 5));
  EXPECT_EQ(data->label(Split::train, 0), 7);
  EXPECT_EQ(data->label(Split::test, 1), 2);
  Batch batch;
  data->fill(Split::train, std::vector<std::int64_t>{2, 1}, batch);
  EXPECT_THAT(batch.labels, ElementsAre(9, 0));
  ASSERT_EQ(batch.inputs.size(), 40u);
  EXPECT_FLOAT_EQ(batch.inputs[0], (40 / 255.0f - .1307f) / .3081f);
  EXPECT_FLOAT_EQ(batch.inputs[20], (20 / 255.0f - .1307f) / .3081f);
  EXPECT_THROW(data->fill(Split::test, std::vector<std::int64_t>{2}, batch), std::out_of_range);
}

TEST_F(Mnist, DamagedFilesAreNamedWithOffsetAndReason) {
  const Bytes images = read("train-images-idx3-ubyte"), labels = read("train-labels-idx1-ubyte");
  write("train-images-idx3-ubyte", images.substr(0, 50));
  EXPECT_EQ(refused(),
            "train-images-idx3-ubyte: byte 16: the file ends within the images: expected 60 bytes, "
            "found 34");
  write("train-images-idx3-ubyte", images.substr(0, 10));
  EXPECT_THAT(refused(), HasSubstr("byte 8: the file ends within the image size"));
  write("train-images-idx3-ubyte", images + "x");
  EXPECT_EQ(refused(), "train-images-idx3-ubyte: byte 76: 1 bytes follow the last record");
  write("train-images-idx3-ubyte", labels);
  EXPECT_EQ(refused(),
            "train-images-idx3-ubyte: byte 0: magic number 0x00000801, expected 0x00000803 (IDX "
            "images of unsigned bytes)");
  write("train-images-idx3-ubyte",
        big_endian(0x803) + big_endian(1) + big_endian(0x7fffffff) + big_endian(0x7fffffff));
  EXPECT_THAT(refused(), HasSubstr("byte 8: image side 2147483647, expected 1 to 4096"));
  write("train-images-idx3-ubyte", images);

  write("train-labels-idx1-ubyte", idx_labels({7, 0, 10}));
  EXPECT_EQ(refused(), "train-labels-idx1-ubyte: byte 10: label 10, expected 0 to 9");
  write("train-labels-idx1-ubyte", idx_labels({7, 0}));
  EXPECT_THAT(refused(), HasSubstr("byte 4: 2 labels for 3 images in "));
  write("train-labels-idx1-ubyte", labels);

  const Bytes packed = read("t10k-images.idx3-ubyte.gz");
  write("t10k-images.idx3-ubyte.gz", packed.substr(0, packed.size() - 12));
  EXPECT_THAT(refused(), HasSubstr("t10k-images.idx3-ubyte.gz: byte "));
  EXPECT_THAT(refused(), HasSubstr("unpacking failed: the compressed file is cut short"));
  Bytes flipped = packed;
  flipped[packed.size() - 6] ^= 1;  // of the checksum
  write("t10k-images.idx3-ubyte.gz", flipped);
  EXPECT_THAT(refused(), HasSubstr("unpacking failed: "));
  write("t10k-images.idx3-ubyte.gz", packed);
  EXPECT_EQ(refused(), "accepted");

  write_gzip("t10k-images.idx3-ubyte.gz", idx_images(2, 5, 4));
  EXPECT_THAT(refused(), HasSubstr("training images are 4x5 and test images 5x4"));
  std::filesystem::remove(folder_ / "train-labels-idx1-ubyte");
  EXPECT_THAT(refused(),
              HasSubstr("no file train-labels-idx1-ubyte or train-labels.idx1-ubyte (or .gz)"));
}

// ---- CIFAR

Bytes cifar_record(const Bytes& labels, std::size_t first_pixel) {
  return labels + counting(first_pixel + 3072).substr(first_pixel);
}

TEST_F(DataFiles, Cifar10) {
  write("data_batch_1.bin", cifar_record({3}, 0) + cifar_record({9}, 5));
  write("data_batch_2.bin", cifar_record({4}, 7));
  write("test_batch.bin", cifar_record({0}, 9));
  const auto data = read_cifar10(folder_);
  EXPECT_EQ(data->size(Split::train), 3);
  EXPECT_EQ(data->label(Split::train, 1), 9);
  EXPECT_EQ(data->label(Split::train, 2), 4);
  EXPECT_THAT(data->sample_shape(), ElementsAre(3, 32, 32));
  Batch batch;
  data->fill(Split::train, std::vector<std::int64_t>{1}, batch);
  EXPECT_FLOAT_EQ(batch.inputs[0], (5 / 255.0f - .4914f) / .2470f);
  const float blue = static_cast<float>((5 + 2048 + 31) % 251);
  EXPECT_FLOAT_EQ(batch.inputs[2048 + 31], (blue / 255.0f - .4465f) / .2616f);

  write("data_batch_2.bin", cifar_record({4}, 7).substr(0, 1000));
  EXPECT_EQ(refusal(read_cifar10),
            "data_batch_2.bin: byte 1: the file ends within an image: expected 3072 bytes, found "
            "999");
  write("data_batch_2.bin", cifar_record({4}, 7) + cifar_record({10}, 7));
  EXPECT_EQ(refusal(read_cifar10), "data_batch_2.bin: byte 3073: label 10, expected 0 to 9");
  write("data_batch_2.bin", "");
  EXPECT_EQ(refusal(read_cifar10), "data_batch_2.bin: byte 0: the file is empty");
  std::filesystem::remove(folder_ / "data_batch_1.bin");
  EXPECT_THAT(refusal(read_cifar10), HasSubstr("no file data_batch_1.bin"));
}

TEST_F(DataFiles, Cifar100UsesFineLabels) {
  write("train.bin", cifar_record({19, 99}, 0) + cifar_record({1, 5}, 1));
  write("test.bin", cifar_record({0, 50}, 2));
  const auto data = read_cifar100(folder_);
  EXPECT_EQ(data->classes(), 100);
  EXPECT_EQ(data->label(Split::train, 0), 99);
  EXPECT_EQ(data->label(Split::test, 0), 50);
  write("test.bin", cifar_record({0, 100}, 2));
  EXPECT_EQ(refusal(read_cifar100), "test.bin: byte 1: label 100, expected 0 to 99");
  write("test.bin", "a");
  EXPECT_THAT(refusal(read_cifar100), HasSubstr("test.bin: byte 0: the file ends within a label"));
}

// ---- PTB

TEST_F(DataFiles, PtbText) {
  const auto read = [](const std::filesystem::path& folder) { return read_ptb(folder, 3); };
  write("ptb.train.txt", " the cat sat \n the dog sat on the mat \n");
  write("ptb.test.txt", "the dog\nsat");
  // the 3, <eos> 2, sat 2, then cat, dog, mat, on: numbers 0 to 6.
  const auto data = read(folder_);
  EXPECT_EQ(data->classes(), 7);
  EXPECT_TRUE(data->sequential());
  EXPECT_EQ(data->size(Split::train), 3);
  EXPECT_EQ(data->size(Split::test), 1);
  Batch batch;
  data->fill(Split::train, std::vector<std::int64_t>{0, 2}, batch);
  EXPECT_THAT(batch.inputs, ElementsAre(0, 3, 2, 2, 6, 0));
  EXPECT_THAT(batch.labels, ElementsAre(3, 2, 1, 6, 0, 5));
  data->fill(Split::test, std::vector<std::int64_t>{0}, batch);
  EXPECT_THAT(batch.inputs, ElementsAre(0, 4, 1));  // a last line without newline ends too
  EXPECT_THAT(batch.labels, ElementsAre(4, 1, 2));

  write("ptb.test.txt", "the dog\nsat bird");
  EXPECT_EQ(refusal(read), "ptb.test.txt: byte 12: the word 'bird' is not in the training text");
  write("ptb.test.txt", Bytes("the dog\n\0sat", 12));
  EXPECT_EQ(refusal(read), "ptb.test.txt: byte 8: a zero byte: not a text file");
  write("ptb.test.txt", "the");
  EXPECT_THAT(refusal(read), HasSubstr("2 words, too few for a sample of 3 steps"));
  write("ptb.train.txt", "");
  EXPECT_EQ(refusal(read), "ptb.train.txt: byte 0: the text is empty");
}

// ---- npy

Bytes npy(const std::string& type, const std::string& shape, const Bytes& data,
          const std::string& order = "False") {
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  header.resize((header.size() + 10 + 1 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  return Bytes("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size() & 255) +
         static_cast<char>(header.size() >> 8) + header + data;
}
template <class T>
Bytes raw(std::initializer_list<T> values) {
  Bytes bytes(values.size() * sizeof(T), 0);
  std::memcpy(bytes.data(), std::data(values), bytes.size());
  return bytes;
}

class Npy : public DataFiles {
 protected:
  void SetUp() override {
    write("train_images.npy", npy("|u1", "(2, 3, 2, 2)", counting(24)));
    write("train_labels.npy", npy("<i8", "(2,)", raw<std::int64_t>({4, 1})));
    write("test_images.npy", npy("|u1", "(1, 3, 2, 2)", counting(12)));
    write("test_labels.npy", npy("|u1", "(1,)", {5}));
  }
  [[nodiscard]] std::string refused() const { return refusal(read_npy); }
};

TEST_F(Npy, Bytes) {
  const auto data = read_npy(folder_);
  EXPECT_THAT(data->sample_shape(), ElementsAre(3, 2, 2));
  EXPECT_EQ(data->classes(), 6);
  Batch batch;
  data->fill(Split::train, std::vector<std::int64_t>{1}, batch);
  EXPECT_THAT(batch.labels, ElementsAre(1));
  EXPECT_FLOAT_EQ(batch.inputs[3], 15 / 255.0f);
}

TEST_F(Npy, Floats) {
  write("train_images.npy", npy("<f4", "(2, 1, 2)", raw({.5f, -1.f, 2.f, 3.f})));
  write("test_images.npy", npy("<f4", "(1, 1, 2)", raw({7.f, 8.f})));
  const auto data = read_npy(folder_);
  EXPECT_THAT(data->sample_shape(), ElementsAre(1, 1, 2));
  Batch batch;
  data->fill(Split::train, std::vector<std::int64_t>{1, 0}, batch);
  EXPECT_THAT(batch.inputs, ElementsAre(2, 3, .5, -1));
  EXPECT_THAT(batch.labels, ElementsAre(1, 4));
  write("test_images.npy", npy("<f4", "(1, 1, 2)", raw({7.f, std::nanf("")})));
  EXPECT_THAT(refused(), HasSubstr("test_images.npy: byte 132: the value nan is not finite"));
}

TEST_F(Npy, DamagedFilesAreNamedWithOffsetAndReason) {
  const auto images = [&](const Bytes& bytes) { write("train_images.npy", bytes); };
  images("hello, world");
  EXPECT_EQ(refused(), "train_images.npy: byte 0: not a .npy file: the magic string is missing");
  images(Bytes("\x93NUMPY\x09\x00", 8));
  EXPECT_EQ(refused(), "train_images.npy: byte 6: format version 9, expected 1 to 3");
  images(npy("|u1", "(2, 3, 2, 2)", counting(24)).substr(0, 40));
  EXPECT_THAT(refused(), HasSubstr("byte 10: the file ends within the header"));
  images(npy("|u1", "(2, 3, 2, 2)", counting(23)));
  EXPECT_THAT(refused(), HasSubstr("the file ends within the array: expected 24 bytes, found 23"));
  images(npy("|u1", "(2, 3, 2, 2)", counting(25)));
  EXPECT_THAT(refused(), HasSubstr("1 bytes follow the array"));
  images(npy("|u1", "(2, 3, 2, 2)", counting(24), "True"));
  EXPECT_THAT(refused(), HasSubstr("the array is in Fortran order"));
  images(npy(">f4", "(2, 3, 2, 2)", counting(96)));
  EXPECT_THAT(refused(), HasSubstr("elements of type >f4, expected |u1 or <f4"));
  images(npy("|u1", "(24,)", counting(24)));
  EXPECT_THAT(refused(), HasSubstr("shape [24], expected [images, channels, height, width]"));
  images(npy("|u1", "(2, -3, 2, 2)", counting(24)));
  EXPECT_THAT(refused(), HasSubstr("an extent that is not positive"));
  images(npy("|u1", "(2, 4294967296, 4294967296, 4294967296)", counting(24)));
  EXPECT_THAT(refused(), HasSubstr("has more than 2^40 elements"));
  images(npy("|u1", "(2, 3, 2, 2)", counting(24)));
  EXPECT_EQ(refused(), "accepted");

  write("train_labels.npy", npy("<i8", "(2,)", raw<std::int64_t>({4, -1})));
  EXPECT_THAT(refused(), HasSubstr("train_labels.npy: byte 136: label below 0"));
  write("train_labels.npy", npy("<f4", "(2,)", raw({4.f, 1.f})));
  EXPECT_THAT(refused(), HasSubstr("elements of type <f4, expected little-endian integers"));
  write("train_labels.npy", npy("<i4", "(3,)", raw({4, 1, 2})));
  EXPECT_THAT(refused(), HasSubstr("shape [3], expected [2] as there are so many images"));
}

// ---- catalog

TEST_F(DataFiles, CatalogNamesWhatIsWrong) {
  const auto message = [](const DataOptions& options) -> std::string {
    try {
      open_dataset(options);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message({.name = "digit"}), HasSubstr("did you mean 'digits'?"));
  EXPECT_THAT(message({.name = "mnist"}), HasSubstr("name their folder (--data-folder FOLDER)"));
  EXPECT_THAT(message({.name = "digits", .folder = folder_}), HasSubstr("it reads no folder"));
  EXPECT_THAT(message({.name = "cifar10", .folder = folder_, .train = 5}),
              HasSubstr("give no sizes"));
  EXPECT_THAT(message({.name = "digits", .train = 0}), HasSubstr("0 training images"));
  EXPECT_THAT(message({.name = "ptb", .folder = folder_ / "nowhere"}),
              HasSubstr("nowhere: no file ptb.train.txt"));
  for (const char* name : {"digits", "textures", "grammar"})
    EXPECT_EQ(message({.name = name, .train = 100, .test = 100}), "accepted");
}

TEST_F(DataFiles, ModelAndDataMustFit) {
  const auto digits = open_dataset({.name = "digits", .train = 10, .test = 10});
  const auto grammar = open_dataset({.name = "grammar", .train = 1000, .test = 100, .words = 1000});
  const auto message = [](const Model& model, const Dataset& data) -> std::string {
    try {
      check_fits(model, data);
    } catch (const InputError& error) {
      return error.what();
    }
    return "fits";
  };
  EXPECT_EQ(message(make_model("lenet5"), *digits), "fits");
  EXPECT_EQ(message(make_model("resnet20-cifar"), *digits),
            "model 'resnet20-cifar' reads values [3, 32, 32], but a sample of data set 'digits' is "
            "values [1, 28, 28]; --data textures, cifar10, cifar100");
  EXPECT_EQ(message(make_lstm_language_model({.hidden = 8, .vocabulary = 1000}), *grammar), "fits");
  EXPECT_THAT(message(make_lstm_language_model({.hidden = 8, .vocabulary = 999}), *grammar),
              HasSubstr("has 999 words, but data set 'grammar' has 1000"));
}

}  // namespace
}  // namespace paceline
