#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "answer.hpp"
#include "experiments/shipped.hpp"

namespace paceline {

/// An experiment as the command line gives it: a file, flags, or a file and flags that override it.
class ExperimentOptions {
 public:
  /// Adds FILE and the flags; they fill this object, which must outlive the parsing.
  explicit ExperimentOptions(CLI::App& command);

  /// Throws InputError for a file that cannot be read.
  [[nodiscard]] ExperimentText text() const;
  [[nodiscard]] const std::string& file() const { return file_; }
  /// Puts what the flags say into an experiment's JSON.
  void override(Json& json) const;

 private:
  std::string file_;
  std::optional<std::string> model_, precision_, cluster_, stack_, profile_, schedule_, all_reduce_,
      fidelity_, network_, jitter_, optimizer_, top_k_, batch_split_, gpus_, baseline_, one_gpu_,
      step_, gpu_, wire_, recompute_;
  std::optional<std::int64_t> batch_, accumulation_, steps_, seed_, servers_;
  std::optional<double> slow_while_sending_;
  std::vector<std::string> set_;
  bool no_extrapolation_ = false;

  void put_one_gpu(Json& job) const;
  void add_training_flags(CLI::App& command);
  void put_training(Json& job) const;
  bool numerics_ = false, nesterov_ = false, augment_ = false;
  std::optional<std::string> data_, data_folder_, sharding_, backend_, device_;
  std::optional<double> learning_rate_, momentum_, alpha_, target_;
  std::optional<std::string> until_;
  std::optional<std::int64_t> threads_, evaluate_every_;
};

/// To check and rewrite the text of an option that is a whole number: in decimal, also with leading
/// zeros, and refused beyond 64 bits, where CLI11 would take the nearest.
const CLI::Validator& whole_number();

template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}

inline constexpr unsigned kMostJobs = 4096;  ///< processes at a time

/// `--progress` of a command that may take long.
void add_progress_flag(CLI::App& command);

}  // namespace paceline
