#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/data/dataset.hpp"
#include "models/graph.hpp"

namespace paceline {

/// A data set by name. Generated: "digits", "textures", "grammar". From files in `folder`: "mnist",
/// "fashion-mnist", "cifar10", "cifar100", "ptb", "npy".
struct DataOptions {
  std::string name = "digits";
  std::filesystem::path folder = {};
  // Of generated sets: samples (grammar: tokens); by default as many as MNIST or CIFAR-10 has.
  std::optional<std::int64_t> train = {}, test = {};
  std::uint64_t seed = 1;
  // Of texts.
  std::int64_t steps = 35;   ///< tokens per sample
  std::int64_t words = 200;  ///< grammar: vocabulary
};
std::vector<std::string> dataset_names();
/// Throws InputError: an unknown name (with the nearest), a folder missing or not wanted, a damaged
/// file.
std::unique_ptr<Dataset> open_dataset(const DataOptions& options);

/// Throws InputError unless the model reads what the data set delivers and has as many classes (or
/// words) at least.
void check_fits(const Model& model, const Dataset& data);

}  // namespace paceline
