// A run that is resumed from a checkpoint ends with the bits of one that was never interrupted,
// wherever between two tasks it was saved.
#include <gmock/gmock.h>
#include <stdlib.h>

#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "sim/values/checkpoint.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/values/cases.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ValuesCheckpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    // In memory where there is such a folder: hundreds of files are waited for.
    const fs::path base = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    std::string pattern = (base / "paceline-checkpoint-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] CheckpointOptions options(std::uint64_t every_tasks) const {
    CheckpointOptions o;
    o.folder = folder_ / "run";
    o.every_tasks = every_tasks;
    o.keep = 1000;
    *o.identity = {{"seed", 1}};
    return o;
  }
  [[nodiscard]] std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_ / "run")) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }
  // Leaves `file` as the only checkpoint of another folder, from which it resumes.
  [[nodiscard]] CheckpointOptions resume_from(const fs::path& file) {
    CheckpointOptions o = options(0);
    o.folder = folder_ / "resumed";
    o.resume = true;
    fs::remove_all(o.folder);
    fs::create_directories(o.folder);
    fs::copy_file(file, o.folder / file.filename());
    return o;
  }

  fs::path folder_;
};

// What has been computed again is what was computed before; the rest was not computed at all.
void expect_part_of(const std::vector<Computed::PerStep>& part,
                    const std::vector<Computed::PerStep>& whole) {
  for (std::size_t rank = 0; rank < whole.size(); ++rank)
    for (std::size_t step = 0; step < whole[rank].size(); ++step)
      for (std::size_t i = 0; i < whole[rank][step].size(); ++i)
        if (part[rank][step][i] != 0 && part[rank][step][i] != whole[rank][step][i])
          FAIL() << "worker " << rank << ", step " << step << ", element " << i;
}

void expect_same_run(const Trained& resumed, const Trained& whole) {
  const TrainingLog &a = resumed.job.training, &b = whole.job.training;
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    ASSERT_EQ(a.steps[i].loss, b.steps[i].loss) << i;
    EXPECT_EQ(a.steps[i].time_s, b.steps[i].time_s) << i;
  }
  ASSERT_EQ(a.evaluations.size(), b.evaluations.size());
  for (std::size_t i = 0; i < a.evaluations.size(); ++i) {
    EXPECT_EQ(a.evaluations[i].step, b.evaluations[i].step);
    EXPECT_EQ(a.evaluations[i].time_s, b.evaluations[i].time_s);
    EXPECT_EQ(a.evaluations[i].loss, b.evaluations[i].loss) << i;
    EXPECT_EQ(a.evaluations[i].spread, b.evaluations[i].spread) << i;
  }
  EXPECT_EQ(resumed.job.total_time_s, whole.job.total_time_s);
  EXPECT_EQ(resumed.job.sent_bytes, whole.job.sent_bytes);
  EXPECT_EQ(resumed.job.messages, whole.job.messages);
  EXPECT_EQ(resumed.simulation.events, whole.simulation.events);
  expect_part_of(resumed.computed.weights, whole.computed.weights);
  expect_part_of(resumed.computed.gradient, whole.computed.gradient);
  // Its evaluations are the last ones of the whole run, weights and state.
  const auto& mine = resumed.computed.evaluated;
  const auto& all = whole.computed.evaluated;
  ASSERT_LE(mine.size(), all.size());
  for (std::size_t i = 0; i < mine.size(); ++i)
    EXPECT_EQ(mine[i], all[all.size() - mine.size() + i]) << i;
}

Training full(const Case& c) {
  Training t = training_of(c);
  t.steps = 14;
  t.evaluate_every = 5;
  t.momentum = 0.5;
  return t;
}

TEST_F(ValuesCheckpoint, EveryScheduleGoesOnFromAnywhere) {
  std::uint64_t places = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(label(c));
    Training t = full(c);
    const Trained whole = train(t);
    // Places that fall anywhere in a step, and other ones for every schedule.
    t.threads = 2;
    t.checkpoints = options(17 + 2 * (places % 10));
    fs::remove_all(t.checkpoints->folder);
    expect_same_run(train(t), whole);
    ASSERT_GE(files().size(), 2U);
    for (const fs::path& file : files()) {
      SCOPED_TRACE(file.string());
      ++places;
      t.threads = std::vector<std::size_t>{0, 1, 8}[places % 3];
      t.checkpoints = resume_from(file);
      expect_same_run(train(t), whole);
    }
  }
  EXPECT_GE(places, 200U);
}

TEST_F(ValuesCheckpoint, BetweenAnyTwoTasks) {
  for (const char* name : {"pipe-sgd", "cocod-sgd", "od-sgd", "asgd", "priority-sgd"}) {
    for (const Case& c : cases()) {
      if (c.name != name) continue;
      SCOPED_TRACE(label(c));
      Training t = full(c);
      t.workers = 2;
      t.steps = 5;
      t.micro_batches = c.name == "cocod-sgd" ? 3 : 1;
      t.evaluate_every = 2;
      const Trained whole = train(t);
      t.checkpoints = options(1);
      fs::remove_all(t.checkpoints->folder);
      expect_same_run(train(t), whole);
      ASSERT_GE(files().size(), 40U);
      for (const fs::path& file : files()) {
        SCOPED_TRACE(file.string());
        t.checkpoints = resume_from(file);
        expect_same_run(train(t), whole);
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(ValuesCheckpoint, NumbersThatTheSimulationTookFromValuesAreKept) {
  for (const Selector selector : {Selector::dgc_sample, Selector::gaussian_k}) {
    Training t;
    t.schedule = "lags-sgd";
    t.options = {{"density", 0.1}, {"grouping", "none"}};
    t.selector = selector;
    t.model = ModelShape();
    for (const std::int64_t elements : {2000, 300, 1500}) add_tensor(t.model, elements, 5e-4, 1e-3);
    const Trained whole = train(t);
    t.checkpoints = options(333);
    fs::remove_all(t.checkpoints->folder);
    expect_same_run(train(t), whole);
    for (const fs::path& file : files()) {
      t.checkpoints = resume_from(file);
      expect_same_run(train(t), whole);
    }
  }
}

TEST_F(ValuesCheckpoint, ResumedRunsAreSavedToo) {
  Training t = full(cases()[3]);
  const Trained whole = train(t);
  t.checkpoints = options(70);
  train(t);
  const fs::path first = files().front();
  t.checkpoints = resume_from(first);
  t.checkpoints->every_tasks = 40;
  expect_same_run(train(t), whole);
  // It goes on from the later checkpoint that it wrote itself.
  std::vector<std::string> notes;
  t.checkpoints->note = [&](const std::string& note) { notes.push_back(note); };
  expect_same_run(train(t), whole);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_THAT(notes[0], Not(HasSubstr(first.filename().string())));
}

// Also in the very pass in which it was resumed.
TEST_F(ValuesCheckpoint, ResumedAndSavedAgainAtOnce) {
  Training t;
  t.schedule = "s-sgd";
  t.options = {{"overlap", "wfbp"}};
  t.workers = 2;
  t.steps = 3;
  const Trained whole = train(t);
  t.checkpoints = options(1);
  train(t);
  const std::vector<fs::path> first = files();
  for (std::size_t i = 0; i < first.size(); i += 2) {
    t.checkpoints = resume_from(first[i]);
    t.checkpoints->every_tasks = 1;
    expect_same_run(train(t), whole);
    const fs::path written = folder_ / "written";
    fs::remove_all(written);
    fs::rename(t.checkpoints->folder, written);
    std::size_t tried = 0;
    for (std::size_t next = i + 1; next < first.size() && tried < 4; ++next) {
      const fs::path again = written / first[next].filename();
      if (!fs::exists(again)) continue;
      ++tried;
      t.checkpoints = resume_from(again);
      expect_same_run(train(t), whole);
      if (HasFailure()) return;
    }
  }
}

TEST_F(ValuesCheckpoint, EverySoManyStepsAndSecondsTheLatestTwoAreKept) {
  Training t = full(cases()[4]);
  const Trained whole = train(t);
  t.checkpoints = options(0);
  t.checkpoints->every_steps = 3;
  t.checkpoints->keep = 2;
  t.threads = 2;
  train(t);
  ASSERT_EQ(files().size(), 2U);
  EXPECT_EQ(SavedRun(files()[0]).step(), 9);
  EXPECT_EQ(SavedRun(files()[1]).step(), 12);
  for (const fs::path& file : files()) {
    t.checkpoints = resume_from(file);
    expect_same_run(train(t), whole);
  }
  t.checkpoints = options(0);
  t.checkpoints->folder = folder_ / "often";
  t.checkpoints->every_s = 1e-9;
  train(t);
  t.checkpoints->resume = true;
  expect_same_run(train(t), whole);
}

// One worker is three times slower: the others are steps ahead when it passes the border.
TEST_F(ValuesCheckpoint, AsynchronousWithAStraggler) {
  for (const char* name : {"asgd", "dc-asgd"}) {
    Training t;
    t.schedule = name;
    t.servers = 1;
    t.steps = 20;
    Straggler slow;
    slow.worker = 1;
    slow.slowdown = 3;
    t.stragglers = {slow};
    const Trained whole = train(t);
    t.checkpoints = options(0);
    t.checkpoints->every_steps = 4;
    fs::remove_all(t.checkpoints->folder);
    train(t);
    for (const fs::path& file : files()) {
      t.checkpoints = resume_from(file);
      expect_same_run(train(t), whole);
    }
  }
}

TEST_F(ValuesCheckpoint, GoesOnAtTheFidelityItWasAt) {
  Training t;
  t.schedule = "asgd";  // transfers share the server's link
  t.servers = 1;
  t.fidelity = Fidelity::automatic;
  const std::vector<double> whole = in_child([&] { return train(t).bits(); });
  t.checkpoints = options(150);
  const auto losses = [&] {
    return in_child([&] {
      const Trained run = train(t);
      std::vector<double> all = run.losses();
      all.push_back(run.simulation.fidelity == Fidelity::flow ? 1 : 0);
      all.push_back(static_cast<double>(run.simulation.fidelity_reason.size()));
      all.push_back(run.job.total_time_s);
      return all;
    });
  };
  const std::vector<double> first = losses();
  EXPECT_EQ(first[12], 1);
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 12, whole.begin()));
  for (const fs::path& file : files()) {
    t.checkpoints = resume_from(file);
    EXPECT_EQ(losses(), first);
  }
}

TEST_F(ValuesCheckpoint, RefusesWhatDoesNotFit) {
  Training t = full(cases()[3]);
  t.checkpoints = options(70);
  train(t);
  const auto refuses = [&](const std::string& expected) {
    try {
      train(t);
      ADD_FAILURE() << "no error: " << expected;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(expected));
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  };
  refuses("--resume");
  const fs::path last = files().back();
  t.checkpoints = resume_from(last);
  (*t.checkpoints->identity)["seed"] = 2;
  refuses("belongs to another run: $.seed is 2 now, and 1 in the checkpoint");

  t.checkpoints = resume_from(last);
  const fs::path copy = t.checkpoints->folder / last.filename();
  const std::uintmax_t size = fs::file_size(copy);
  for (const std::uintmax_t kept : {std::uintmax_t{0}, std::uintmax_t{3}, size / 2, size - 1}) {
    fs::copy_file(last, copy, fs::copy_options::overwrite_existing);
    fs::resize_file(copy, kept);
    refuses(copy.filename().string() + ": is not a whole checkpoint");
  }
  for (const std::uintmax_t at : {std::uintmax_t{0}, size / 2, size - 1}) {
    fs::copy_file(last, copy, fs::copy_options::overwrite_existing);
    std::fstream stream(copy, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(stream.get() ^ 1);
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put(byte);
    stream.close();
    refuses(copy.filename().string() + ": is not a whole checkpoint");
  }
  std::ofstream(folder_ / "file") << "x";
  t.checkpoints->folder = folder_ / "file";
  refuses("expected a folder");
}

TEST_F(ValuesCheckpoint, AHalfWrittenFileIsNoCheckpoint) {
  {
    ArchiveWriter archive(folder_ / "a");
    archive.put(std::vector<double>(1000));
  }
  EXPECT_TRUE(fs::is_empty(folder_));
  EXPECT_THROW(ArchiveWriter(folder_ / "none" / "a"), std::runtime_error);
}

}  // namespace
}  // namespace paceline
