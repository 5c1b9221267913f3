#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/object_reader.hpp"
#include "models/data/catalog.hpp"
#include "models/data/sharding.hpp"

namespace paceline {

struct JobDescription;
struct PreparedJob;
struct SimulationSpec;
struct TrainingLog;
struct TrainingOutcome;

/// A time in the course of a training, in steps or in epochs of the whole data set.
struct TrainingDate {
  double value = 0;
  bool epochs = false;
  [[nodiscard]] double steps(double steps_per_epoch) const {
    return epochs ? value * steps_per_epoch : value;
  }
};

/// Rate of a step: base, times the number of workers with linear scaling, after a linear warm-up
/// (Goyal et al., arXiv 1706.02677) from the base with linear scaling and from 0 without, times
/// every drop's factor whose date is past, or half a cosine down to 0 at the last step (Loshchilov
/// and Hutter, arXiv 1608.03983, without restarts).
struct LearningRate {
  struct Drop {
    TrainingDate at;
    double factor = 0.1;
  };
  double base = 0.05;
  TrainingDate warm_up;
  std::vector<Drop> drops;
  bool cosine = false;
  bool linear_scaling = false;

  [[nodiscard]] std::function<double(std::int64_t step)> schedule(std::size_t workers,
                                                                  std::int64_t steps,
                                                                  double steps_per_epoch) const;
};

/// A job's training on real values: the section "training" of an experiment; docs/training.md says
/// what the keys mean.
struct TrainingDescription {
  DataOptions data;
  Sharding sharding;
  LearningRate learning_rate;
  std::optional<double> momentum;  ///< absent: 0.9, or 0 with "optimizer": "sgd"
  bool nesterov = false;
  double weight_decay = 0;
  double clip_norm = 0;
  bool augment = false;
  std::int64_t evaluation_samples = 1000;
  std::optional<std::int64_t> evaluate_every;  ///< steps; absent: a tenth of them
  std::optional<double> target;                ///< accuracy whose date is asked for
  std::optional<double> until_accuracy;        ///< the training ends once it has that
  std::string backend;                         ///< empty: the fastest on the CPU
  /// Of this machine; changes no result, so write_training leaves it out. Absent: all.
  std::optional<std::int64_t> threads;
};

TrainingDescription read_training(ObjectReader r);
Json write_training(const TrainingDescription& training);

/// Gives the jobs that train their network, data and learning rate. Throws InputError for what does
/// not fit together, and before anything is made if the jobs need more memory than there is.
void add_training(const std::vector<JobDescription>& descriptions, std::vector<PreparedJob>& jobs,
                  SimulationSpec& simulation);

/// What the job's training came to. Losses that are not finite are left out, as is all that follows
/// the divergence.
TrainingOutcome training_outcome(const JobDescription& description, const PreparedJob& prepared,
                                 const TrainingLog& log);

/// The first evaluation of `outcome` that reached the accuracy.
void find_target(TrainingOutcome& outcome, std::optional<double> target);

}  // namespace paceline
