#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "models/data/dataset.hpp"
#include "models/data/sharding.hpp"
#include "models/graph.hpp"
#include "sim/values/value_engine.hpp"

namespace paceline {

/// How a network is trained on a data set. Everything random depends on `seed`, worker and step
/// alone.
struct TrainingOptions {
  std::size_t workers = 1;
  std::int64_t batch = 32;         ///< samples per worker and micro-batch
  std::int64_t micro_batches = 1;  ///< per step (gradient accumulation)
  std::string backend;             ///< of kernels::make_backend; empty: the fastest CPU backend
  Sharding sharding;
  bool augment = false;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0;
  double clip_norm = 0;  ///< of the applied gradient, per update call; 0: off
  std::int64_t evaluation_samples = 1000;
  std::uint64_t seed = 1;
};

/// The engine that trains `model` on `data` with the kernels. Throws InputError if they do not fit
/// together, or if the model holds an operation that cannot be executed.
std::shared_ptr<ValueEngine> make_network_engine(const Model& model,
                                                 std::shared_ptr<const Dataset> data,
                                                 const TrainingOptions& options);

}  // namespace paceline
