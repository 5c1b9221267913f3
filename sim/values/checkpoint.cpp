#include "sim/values/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/interrupt.hpp"
#include "base/json.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormat = "paceline-checkpoint-1";
constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kSuffix = ".paceline";

fs::path file_of(const fs::path& folder, std::uint64_t number) {
  return folder / fmt::format("{}{:06}{}", kPrefix, number, kSuffix);
}

// By number, the latest last.
std::map<std::uint64_t, fs::path> checkpoints_in(const fs::path& folder) {
  std::map<std::uint64_t, fs::path> found;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const char* const end = name.data() + name.size() - kSuffix.size();
    std::uint64_t number = 0;
    const auto [stop, wrong] = std::from_chars(name.data() + kPrefix.size(), end, number);
    if (wrong == std::errc() && stop == end) found[number] = entry->path();
  }
  if (error)
    throw InputError(fmt::format("{}: cannot be read: {}", folder.string(), error.message()));
  return found;
}

void note_kept(const fs::path& folder, std::int64_t step) {
  interrupt_note(fmt::format("step {} is kept in {}; the same command with --resume goes on", step,
                             folder.string()));
}

// "$.experiment.seed is 2, and 1 in the checkpoint".
std::string first_difference(const Json& now, const Json& saved) {
  const Json patch = Json::diff(saved, now);
  if (patch.empty()) return "";
  const std::string pointer = patch.front().at("path");
  const auto value = [&](const Json& json) {
    const Json::json_pointer at(pointer);
    return json.contains(at) ? json.at(at).dump() : "absent";
  };
  std::string path = "$" + pointer;
  std::replace(path.begin(), path.end(), '/', '.');
  return fmt::format("{} is {} now, and {} in the checkpoint", path, value(now), value(saved));
}

}  // namespace

SavedRun::SavedRun(const fs::path& file) : archive_(file) {
  if (const std::string format = archive_.text(); format != kFormat)
    throw InputError(fmt::format("{}: expected the format {}", file.string(), kFormat));
  *identity_ = parse_json(archive_.text(), file.string());
  contention_ = archive_.text();
  tasks_ = archive_.get<std::uint64_t>();
  step_ = archive_.get<std::int64_t>();
  date_s_ = archive_.get<double>();
}

void note_checkpoints(const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_directory(folder, ignored) && !checkpoints_in(folder).empty())
    interrupt_note(
        fmt::format("the latest checkpoint is kept in {}; the same command with --resume goes on",
                    folder.string()));
}

std::unique_ptr<FileLock> hold_checkpoints(const CheckpointOptions& options) {
  std::error_code error, ignored;
  fs::create_directories(options.folder, error);
  if (!fs::is_directory(options.folder, ignored))
    throw InputError(fmt::format("{}: expected a folder for checkpoints{}{}",
                                 options.folder.string(), error ? ": " : "",
                                 error ? error.message() : ""));
  return std::make_unique<FileLock>(options.folder, "paceline keeps its checkpoints there");
}

std::unique_ptr<SavedRun> find_saved_run(const CheckpointOptions& options) {
  const auto found = checkpoints_in(options.folder);
  if (!options.resume) {
    if (!found.empty())
      throw InputError(
          fmt::format("{}: holds checkpoints of an earlier run; go on from them with --resume, or "
                      "take another folder",
                      options.folder.string()));
    return nullptr;
  }
  if (found.empty()) {
    if (options.note)
      options.note(fmt::format("no checkpoint in {}: the run begins", options.folder.string()));
    return nullptr;
  }
  const fs::path& latest = found.rbegin()->second;
  auto saved = std::make_unique<SavedRun>(latest);
  if (const std::string difference = first_difference(*options.identity, saved->identity());
      !difference.empty())
    throw InputError(fmt::format("{}: belongs to another run: {}", latest.string(), difference));
  if (options.note)
    options.note(fmt::format("goes on from {}: step {}, {} of cluster time", latest.string(),
                             saved->step(), format_duration(saved->date_s())));
  return saved;
}

Checkpointer::Checkpointer(const CheckpointOptions& options, TaskGraph& graph,
                           std::string contention, std::unique_ptr<SavedRun> saved)
    : options_(options),
      graph_(graph),
      contention_(std::move(contention)),
      saved_(std::move(saved)) {
  remove_abandoned(options_.folder);
  if (saved_)
    note_kept(options_.folder, saved_->step());
  else
    interrupt_note("before the first checkpoint: nothing was kept");
  if (const auto found = checkpoints_in(options_.folder); !found.empty())
    next_file_ = found.rbegin()->first + 1;
  if (saved_) {
    graph_.state().load_scalars(saved_->rest());
    graph_.set_skipping(true);
  }
  graph_.observe(this);
  wait_for_next();
}

Checkpointer::~Checkpointer() {
  graph_.observe(nullptr);
}

void Checkpointer::wait_for_next() {
  next_step_ = step_ + options_.every_steps;
  next_time_ = SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(
                                        std::chrono::duration<double>(options_.every_s));
  next_task_ = graph_.posted() + options_.every_tasks;
  graph_.state().set_recording(!saved_ && options_.every_tasks > 0);
}

void Checkpointer::border(std::int64_t step, double date_s) {
  step_ = step;
  date_s_ = date_s;
  if (saved_ || graph_.state().recording()) return;
  const bool due = (options_.every_steps > 0 && step >= next_step_) ||
                   (options_.every_s > 0 && SteadyClock::now() >= next_time_);
  // A pass that has begun without being noted cannot be saved: the place is the first one at which
  // there is no such pass any more.
  if (due) graph_.state().set_recording(true);
}

void Checkpointer::posting() {
  if (saved_) {
    if (graph_.posted() < saved_->tasks()) return;
    graph_.state().load(saved_->rest());
    graph_.set_skipping(false);
    saved_.reset();
    wait_for_next();
    return;
  }
  if (graph_.state().recording() && graph_.posted() >= next_task_ && graph_.state().savable())
    save();
}

void Checkpointer::save() {
  graph_.wait_all();
  const fs::path file = file_of(options_.folder, next_file_);
  try {
    const SignalsWait until_noted;
    save_as(file);
    ++next_file_;
    note_kept(options_.folder, step_);
    auto kept = checkpoints_in(options_.folder);
    for (; kept.size() > options_.keep; kept.erase(kept.begin())) fs::remove(kept.begin()->second);
  } catch (const std::runtime_error& error) {  // a full disk is no reason to lose the run
    if (options_.note) options_.note(fmt::format("no checkpoint this time: {}", error.what()));
  }
  wait_for_next();
}

void Checkpointer::save_as(const fs::path& file) {
  ArchiveWriter archive(file);
  archive.put(std::string(kFormat));
  archive.put(options_.identity->dump());
  archive.put(contention_);
  archive.put<std::uint64_t>(graph_.posted());
  archive.put(step_);
  archive.put(date_s_);
  graph_.state().save_scalars(archive);
  graph_.state().save(archive);
  archive.finish();
}

void Checkpointer::ended() const {
  if (saved_)
    throw std::logic_error("the run has ended before the place of the checkpoint it repeats");
}

}  // namespace paceline
