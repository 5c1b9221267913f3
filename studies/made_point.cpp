#include "studies/made_point.hpp"

#include <fmt/format.h>
#include <malloc.h>

#include <stdexcept>
#include <thread>
#include <type_traits>

#include "base/error.hpp"
#include "base/version.hpp"
#include "experiments/baseline.hpp"
#include "experiments/run.hpp"

namespace paceline {
namespace {

// What a store holds is of no study: studies share it.
Experiment anonymous(Experiment experiment) {
  experiment.name.clear();
  experiment.description.clear();
  return experiment;
}

// Between processes of one program: numbers as they are in memory, texts behind their lengths.
class Packer {
 public:
  template <class T>
  void number(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    number(static_cast<std::uint64_t>(value.size()));
    bytes_ += value;
  }
  void value(const SqlValue& value) {
    number(static_cast<std::uint8_t>(value.index()));
    if (const auto* whole = std::get_if<std::int64_t>(&value)) number(*whole);
    if (const auto* real = std::get_if<double>(&value)) number(*real);
    if (const auto* words = std::get_if<std::string>(&value)) text(*words);
    if (const auto* blob = std::get_if<Blob>(&value)) text(blob->bytes);
  }
  std::string bytes_;
};

class Unpacker {
 public:
  explicit Unpacker(const std::string& bytes) : bytes_(bytes) {}
  template <class T>
  T number() {
    T value{};
    need(sizeof value);
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text() {
    const auto size = number<std::uint64_t>();
    need(size);
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  SqlValue value() {
    switch (number<std::uint8_t>()) {
      case 1:
        return number<std::int64_t>();
      case 2:
        return number<double>();
      case 3:
        return text();
      case 4:
        return Blob{text()};
      default:
        return std::monostate{};
    }
  }

 private:
  void need(std::uint64_t size) const {
    if (size > bytes_.size() - at_)
      throw std::runtime_error("a message between processes of a sweep is too short");
  }
  const std::string& bytes_;
  std::size_t at_ = 0;
};

void pack(Packer& to, const MadePoint& made) {
  to.number(made.point.number);
  to.number(made.point.key);
  to.text(packed(made.point.baselines));
  to.number(made.point.asked);
  to.number(made.found);
  to.number(static_cast<std::uint64_t>(made.results.size()));
  for (const StoredResult& result : made.results) {
    to.number(result.key);
    to.text(result.error);
    to.text(result.json);
    to.number(static_cast<std::uint64_t>(result.figures.size()));
    for (const SqlValue& figure : result.figures) to.value(figure);
  }
}

MadePoint unpack(Unpacker& from) {
  MadePoint made;
  made.point.number = from.number<std::uint64_t>();
  made.point.key = from.number<ResultKey>();
  made.point.baselines = unpacked_keys(from.text());
  made.point.asked = from.number<bool>();
  made.found = from.number<bool>();
  for (auto left = from.number<std::uint64_t>(); left > 0; --left) {
    StoredResult result;
    result.key = from.number<ResultKey>();
    result.error = from.text();
    result.json = from.text();
    for (auto figures = from.number<std::uint64_t>(); figures > 0; --figures)
      result.figures.push_back(from.value());
    made.results.push_back(std::move(result));
  }
  return made;
}

}  // namespace

PlannedPoint plan_point(const Study& study, std::uint64_t number) {
  PlannedPoint planned;
  planned.stored.number = number;
  const StudyPoint point = study.point(number);
  try {
    planned.experiment = anonymous(read_experiment(point.experiment, study.file));
    planned.stored.key = key_of(*planned.experiment);
    const Baseline baseline = baseline_of(*planned.experiment);
    planned.stored.asked = !planned.experiment->baseline.is_null();
    for (const Experiment& other : baseline.experiments)
      planned.stored.baselines.push_back(key_of(other));
    if (planned.stored.asked) planned.baselines = baseline.experiments;
  } catch (const InputError& error) {
    planned.experiment.reset();
    planned.error = error.what();
    planned.stored.key =
        fnv1a128(fmt::format("unreadable {} {}", version(), point.experiment.dump()));
  }
  return planned;
}

MadePoint made_point(PlannedPoint planned, Claims& claims,
                     const std::function<RunResult(const Experiment&)>& run) {
  const auto result_of = [&run](const ResultKey& key, const Experiment& experiment) {
    try {
      return stored_result(key, run(experiment));
    } catch (const InputError& error) {
      return stored_error(key, error.what());
    }
  };
  MadePoint made{std::move(planned.stored), {}, false};
  if (!planned.experiment)
    made.results.push_back(stored_error(made.point.key, planned.error));
  else if (claims.claim(made.point.key))
    made.results.push_back(result_of(made.point.key, *planned.experiment));
  else
    made.found = true;
  for (const Experiment& baseline : planned.baselines)
    if (const ResultKey key = key_of(baseline); claims.claim(key))
      made.results.push_back(result_of(key, baseline));
  return made;
}

void share_cores(Experiment& experiment, unsigned side_by_side) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  for (JobDescription& job : experiment.jobs)
    if (job.training && !job.training->threads)
      job.training->threads = std::max(1U, cores / std::max(1U, side_by_side));
}

void keep_freed_memory() {
#ifdef M_TRIM_THRESHOLD
  constexpr int kKept = 64 << 20;  // bytes
  ::mallopt(M_TRIM_THRESHOLD, kKept);
  ::mallopt(M_MMAP_THRESHOLD, kKept);
#endif
}

std::string packed(const MadePoints& made) {
  Packer to;
  to.number(made.seconds);
  to.text(made.failed);
  to.number(static_cast<std::uint64_t>(made.points.size()));
  for (const MadePoint& point : made.points) pack(to, point);
  return std::move(to.bytes_);
}

MadePoints unpacked(const std::string& bytes) {
  Unpacker from(bytes);
  MadePoints made;
  made.seconds = from.number<double>();
  made.failed = from.text();
  for (auto left = from.number<std::uint64_t>(); left > 0; --left)
    made.points.push_back(unpack(from));
  return made;
}

std::string packed(const std::vector<ResultKey>& keys) {
  std::string bytes;
  for (const ResultKey& key : keys) bytes.append(key.begin(), key.end());
  return bytes;
}

std::vector<ResultKey> unpacked_keys(const std::string& bytes) {
  std::vector<ResultKey> keys(bytes.size() / std::tuple_size_v<ResultKey>);
  for (std::size_t i = 0; i < keys.size(); ++i)
    std::memcpy(keys[i].data(), bytes.data() + i * keys[i].size(), keys[i].size());
  return keys;
}

}  // namespace paceline
