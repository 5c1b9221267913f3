#pragma once

#include <cstdint>
#include <vector>

#include "models/data/dataset.hpp"

namespace paceline {

struct FeedOptions {
  std::int64_t batch = 32;
  Split split = Split::train;
  bool shuffle = true;  ///< anew in each epoch; a text keeps its order
  /// Images: shifted by up to `pad` pixels in each direction, what comes in being 0 (the mean
  /// colour), and mirrored half of the time. Differs per (worker, epoch, sample).
  bool augment = false;
  std::int64_t pad = 4;
  std::uint64_t seed = 1;
  std::int64_t worker = 0;
};

/// The batches of one worker. The batch of a step depends on the arguments alone, not on which
/// steps were asked for before, so a run may be resumed anywhere. Samples follow each other epoch
/// after epoch; where the batch does not divide their number, a batch spans two epochs. Of a text,
/// row r of a batch goes on where row r of the step before ended (batchify); at the end of its
/// stretch it starts again.
class Feed {
 public:
  /// `samples` are indices into the split, such as one of deal_samples(). The data set must outlive
  /// the feed. Throws InputError if there are no samples, or fewer samples of a text than rows.
  Feed(const Dataset& data, std::vector<std::int64_t> samples, const FeedOptions& options);
  /// Each batch of the split once, in order, but for the last incomplete one.
  static Feed in_order(const Dataset& data, Split split, std::int64_t batch);

  void fill(std::int64_t step, Batch& batch);
  /// The samples of this step, indices into the split.
  const std::vector<std::int64_t>& samples_of(std::int64_t step);

 private:
  void load_order(std::int64_t epoch);
  void augment(std::int64_t step, Batch& batch);
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(samples_.size()); }

  const Dataset* data_;
  std::vector<std::int64_t> samples_;
  FeedOptions options_;
  std::int64_t order_epoch_ = -1;
  std::vector<std::int64_t> order_;  // samples_ in the order of order_epoch_
  std::vector<std::int64_t> chosen_;
  std::vector<float> image_;
};

}  // namespace paceline
