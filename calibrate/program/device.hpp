#pragma once

#include <memory>
#include <string>

#include "calibrate/measure/measure.hpp"
#include "kernels/backend.hpp"
#include "models/data/dataset.hpp"
#include "models/data/feed.hpp"

namespace paceline {

/// What --device, --engine and --data name. Keeps alive what `options` refers to.
class ChosenDevice {
 public:
  /// `device`: "cpu" or "cuda:N". `engine`: a CPU backend, "" for the fastest. Throws InputError.
  ChosenDevice(const std::string& device, const std::string& engine);
  /// Batches of a generated data set instead of resident random ones. Throws InputError if the
  /// model cannot read it.
  void use_data(const std::string& name, const Model& model);

  [[nodiscard]] kernels::Backend& backend() { return *backend_; }
  MeasureOptions options;

 private:
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<Dataset> data_;
  std::unique_ptr<Feed> feed_;
  std::int64_t feed_batch_ = 0;
};

}  // namespace paceline
