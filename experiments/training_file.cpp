#include <fmt/format.h>

#include "base/fields.hpp"
#include "experiments/training.hpp"

namespace paceline {
namespace {

constexpr double kMostRate = 1e6;
const std::vector<std::string> kShardings{"iid", "dirichlet", "by_label"};
const std::vector<std::string> kDecays{"constant", "cosine"};

/// A date under one of two keys, "warm_up_steps" or "warm_up_epochs".
template <class F>
void date(F& f, const char* steps, const char* epochs, TrainingDate& at) {
  if constexpr (F::kReads) {
    if (f.reader().has(steps) && f.reader().has(epochs))
      f.reader().fail_at(epochs, fmt::format("'{}' is given too", steps));
    at.epochs = f.reader().has(epochs);
  }
  if (at.epochs) {
    f.stated(epochs, at.value, field::Number{0, 1e9});
  } else {
    auto number = static_cast<std::int64_t>(at.value);
    f.stated(steps, number, field::Whole{0});
    at.value = static_cast<double>(number);
  }
}

/// Or the name of a data set alone.
const field::ObjectOr kData{[](ObjectReader& r, std::string_view key, DataOptions& data) {
  if (!r.raw(key).is_string()) return false;
  data.name = r.choice(key, dataset_names());
  return true;
}};

struct FolderForm {
  void read(ObjectReader& r, std::string_view key, std::filesystem::path& folder) const {
    folder = r.string(key);
  }
  [[nodiscard]] Json write(const std::filesystem::path& folder) const { return folder.string(); }
};

/// Or its kind alone.
const field::ObjectOr kSharding{[](ObjectReader& r, std::string_view key, Sharding& sharding) {
  if (!r.raw(key).is_string()) return false;
  field::Choice{kShardings}.read(r, key, sharding.kind);
  return true;
}};

/// Or its base alone.
const field::ObjectOr kRate{[](ObjectReader& r, std::string_view key, LearningRate& rate) {
  if (!r.raw(key).is_number()) return false;
  rate.base = r.number(key, 0, kMostRate);
  return true;
}};

}  // namespace

template <class F>
static void fields(F& f, DataOptions& data) {
  f.stated("name", data.name, field::Choice{dataset_names()});
  f.unless("folder", data.folder, {}, FolderForm{});
  f.optional("train", data.train, field::Whole{1});
  f.optional("test", data.test, field::Whole{1});
  f.stated("seed", data.seed, field::Whole{0});
  f.stated("steps", data.steps, field::Whole{1, 100'000});
  f.stated("words", data.words, field::Whole{1, 10'000'000});
}

template <class F>
static void fields(F& f, Sharding& sharding) {
  f.stated("kind", sharding.kind, field::Choice{kShardings});
  f.stated("alpha", sharding.alpha, field::Number{1e-6, 1e9});
  f.stated("pieces", sharding.pieces, field::Whole{1, 1'000'000});
}

template <class F>
static void fields(F& f, LearningRate::Drop& drop) {
  date(f, "step", "epoch", drop.at);
  if constexpr (F::kReads)
    if (!f.reader().has("step") && !f.reader().has("epoch"))
      f.reader().fail("expected a 'step' or an 'epoch'");
  f.stated("factor", drop.factor, field::Number{0, kMostRate});
}

template <class F>
static void fields(F& f, LearningRate& rate) {
  f.stated("base", rate.base, field::Number{0, kMostRate});
  date(f, "warm_up_steps", "warm_up_epochs", rate.warm_up);
  f.stated("drops", rate.drops, field::Objects{});
  f.stated("decay", rate.cosine, field::Choice{kDecays});
  f.stated("linear_scaling", rate.linear_scaling, field::Flag{});
}

template <class F>
static void fields(F& f, TrainingDescription& training) {
  f.stated("data", training.data, kData);
  f.stated("sharding", training.sharding, kSharding);
  f.stated("learning_rate", training.learning_rate, kRate);
  f.optional("momentum", training.momentum, field::Number{0, 0.999999});
  f.stated("nesterov", training.nesterov, field::Flag{});
  f.stated("weight_decay", training.weight_decay, field::Number{0, 1});
  f.stated("clip_norm", training.clip_norm, field::Number{0, 1e9});
  f.stated("augment", training.augment, field::Flag{});
  f.stated("evaluation_samples", training.evaluation_samples, field::Whole{1, 10'000'000});
  f.optional("evaluate_every", training.evaluate_every, field::Whole{1});
  f.optional("target", training.target, field::Number{0, 1});
  f.optional("until_accuracy", training.until_accuracy, field::Number{0, 1});
  f.stated("backend", training.backend, field::Text{});
  if constexpr (F::kReads) f.optional("threads", training.threads, field::Whole{1, 4096});
}

TrainingDescription read_training(ObjectReader r) {
  TrainingDescription training;
  read_fields(r, training);
  return training;
}

Json write_training(const TrainingDescription& training) {
  return write_fields(training);
}

}  // namespace paceline
