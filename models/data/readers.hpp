#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "models/data/dataset.hpp"

// Data sets in the files in which others publish them. A damaged file throws InputError naming
// file, offset and reason.
namespace paceline {

/// MNIST or Fashion-MNIST in IDX files, plain or gzip: train-images-idx3-ubyte,
/// train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, or with a dot
/// before "idx". [1, rows, columns], 10 classes, normalised with mean 0.1307 and deviation 0.3081
/// of the pixels.
std::unique_ptr<Dataset> read_mnist(const std::filesystem::path& folder);

/// CIFAR-10's binary version: data_batch_1.bin ... data_batch_5.bin and test_batch.bin, records of
/// one label and 3072 pixels. Fewer than five training files are accepted, but at least the first.
std::unique_ptr<Dataset> read_cifar10(const std::filesystem::path& folder);
/// CIFAR-100's: train.bin and test.bin, records of a coarse label, a fine one and 3072 pixels; the
/// fine ones are the classes.
std::unique_ptr<Dataset> read_cifar100(const std::filesystem::path& folder);

/// Penn Treebank's layout: ptb.train.txt and ptb.test.txt (or train.txt and test.txt), words
/// separated by blanks, the end of a line being the word <eos>. Words are numbered by falling
/// frequency in the training text, equally frequent ones in alphabetical order. A sample is `steps`
/// words, its labels the words that follow each. Throws InputError at a test word that the training
/// text does not have.
std::unique_ptr<Dataset> read_ptb(const std::filesystem::path& folder, std::int64_t steps);

/// NumPy arrays: train_images.npy, train_labels.npy, test_images.npy and test_labels.npy. Images
/// [n, channels, height, width] or [n, height, width], u1 (divided by 255) or f4 (as they are), in
/// C order; labels [n], any integers of 1 to 8 bytes, little endian.
std::unique_ptr<Dataset> read_npy(const std::filesystem::path& folder);

}  // namespace paceline
