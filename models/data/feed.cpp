#include "models/data/feed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "models/data/random_stream.hpp"
#include "models/data/shuffle.hpp"

namespace paceline {
namespace {

// Random streams of one seed: the order of each epoch, and the augmentation of each.
std::uint64_t stream_of(std::int64_t worker, std::int64_t epoch, bool augmentation) {
  return static_cast<std::uint64_t>(worker) << 33 | std::uint64_t{augmentation} << 32 |
         static_cast<std::uint64_t>(epoch);
}

struct Place {
  std::int64_t down, right;
  bool mirrored;
};

// to[i][j] = from[i + down][j + right], mirrored first; zero outside.
void move_plane(const float* from, std::int64_t height, std::int64_t width, const Place& place,
                float* to) {
  for (std::int64_t i = 0; i < height; ++i)
    for (std::int64_t j = 0; j < width; ++j) {
      const std::int64_t y = i + place.down, x = j + place.right;
      const bool inside = y >= 0 && y < height && x >= 0 && x < width;
      *to++ = inside ? from[y * width + (place.mirrored ? width - 1 - x : x)] : 0;
    }
}

}  // namespace

Feed::Feed(const Dataset& data, std::vector<std::int64_t> samples, const FeedOptions& options)
    : data_(&data), samples_(std::move(samples)), options_(options) {
  if (options_.batch < 1)
    throw InputError(fmt::format("the batch must be 1 or more, found {}", options_.batch));
  if (options_.pad < 0)
    throw InputError(fmt::format("the padding must not be negative, found {}", options_.pad));
  const std::int64_t least = data.sequential() ? options_.batch : 1;
  if (size() < least)
    throw InputError(fmt::format("worker {} has {} samples of data set '{}', {} are needed",
                                 options_.worker, size(), data.name(), least));
  if (options_.augment && data.sample_shape().size() != 3)
    throw InputError(fmt::format("data set '{}' has no images to augment", data.name()));
}

Feed Feed::in_order(const Dataset& data, Split split, std::int64_t batch) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(data.size(split)));
  std::iota(all.begin(), all.end(), 0);
  return {data, std::move(all), {.batch = batch, .split = split, .shuffle = false}};
}

void Feed::load_order(std::int64_t epoch) {
  if (epoch == order_epoch_) return;
  order_ = samples_;
  if (options_.shuffle) {
    RandomStream random(options_.seed, stream_of(options_.worker, epoch, false));
    shuffle(order_, random);
  }
  order_epoch_ = epoch;
}

const std::vector<std::int64_t>& Feed::samples_of(std::int64_t step) {
  chosen_.resize(static_cast<std::size_t>(options_.batch));
  const std::int64_t stretch = size() / options_.batch;  // samples per row of a text
  for (std::int64_t row = 0; row < options_.batch; ++row) {
    std::int64_t& sample = chosen_[static_cast<std::size_t>(row)];
    if (data_->sequential()) {
      sample = samples_[static_cast<std::size_t>(row * stretch + step % stretch)];
    } else {
      const std::int64_t number = step * options_.batch + row;
      load_order(number / size());
      sample = order_[static_cast<std::size_t>(number % size())];
    }
  }
  return chosen_;
}

void Feed::fill(std::int64_t step, Batch& batch) {
  data_->fill(options_.split, samples_of(step), batch);
  if (options_.augment) augment(step, batch);
}

void Feed::augment(std::int64_t step, Batch& batch) {
  const std::vector<std::int64_t>& shape = data_->sample_shape();
  const std::int64_t plane = shape[1] * shape[2];
  image_.resize(static_cast<std::size_t>(shape[0] * plane));
  float* image = batch.inputs.data();
  for (std::int64_t row = 0; row < options_.batch; ++row) {
    const std::int64_t epoch = (step * options_.batch + row) / size();
    const auto words =
        kernels::random_words(options_.seed, stream_of(options_.worker, epoch, true),
                              static_cast<std::uint64_t>(chosen_[static_cast<std::size_t>(row)]));
    const auto shift = [&](std::uint32_t word) {
      const auto range = static_cast<std::uint64_t>(2 * options_.pad + 1);
      return static_cast<std::int64_t>((word * range) >> 32) - options_.pad;
    };
    const Place place{shift(words[0]), shift(words[1]), (words[2] & 1) != 0};
    std::copy_n(image, image_.size(), image_.begin());
    for (std::int64_t c = 0; c < shape[0]; ++c, image += plane)
      move_plane(image_.data() + c * plane, shape[1], shape[2], place, image);
  }
}

}  // namespace paceline
