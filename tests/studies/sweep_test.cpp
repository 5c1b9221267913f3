#include "studies/sweep.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/json.hpp"
#include "experiments/run.hpp"
#include "studies/figures.hpp"
#include "studies/query.hpp"
#include "tests/base/temporary_folder.hpp"
#include "tests/experiments/small.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Keys as of the reference implementation's test vectors (draft-eastlake-fnv).
TEST(ResultKey, IsFnv1aOf128Bits) {
  const ResultKey a{0xd2, 0x28, 0xcb, 0x69, 0x6f, 0x1a, 0x8c, 0xaf,
                    0x78, 0x91, 0x2b, 0x70, 0x4e, 0x4a, 0x89, 0x64};
  const ResultKey none{0x6c, 0x62, 0x27, 0x2e, 0x07, 0xbb, 0x01, 0x42,
                       0x62, 0xb8, 0x21, 0x75, 0x62, 0x95, 0xc5, 0x8d};
  EXPECT_EQ(fnv1a128("a"), a);
  EXPECT_EQ(fnv1a128(""), none);
}

class Sweeps : public ::testing::Test {
 protected:
  static Study study_of(const std::vector<std::string>& vary, const Json& base = small(),
                        const std::string& name = "test") {
    Study study = Study::read(base, "test.json");
    study.add({.vary = vary});
    study.finish();
    study.name = name;
    return study;
  }
  SweepProgress run(const Study& study, unsigned parallel = 2,
                    const std::string& file = "store.db") {
    Store store(path(file), Database::Mode::write);
    return sweep(study, store, {parallel, {}});
  }
  // Every column of every row, and every whole result.
  std::string exported(const std::string& file = "store.db", const std::string& study = "test") {
    Store store(path(file), Database::Mode::read);
    std::string text;
    std::vector<std::uint64_t> numbers;
    ask(store, {.study = study},
        {[](const std::vector<std::string>&) {},
         [&](const std::vector<SqlValue>& row) {
           numbers.push_back(static_cast<std::uint64_t>(std::get<std::int64_t>(row.front())));
           for (const SqlValue& value : row) text += to_text(value) + "|";
           text += '\n';
         }});
    for (const std::uint64_t number : numbers) text += store.result(number).dump() + '\n';
    return text;
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  const TemporaryFolder folder_;
  const std::vector<std::string> axes_{"network.bandwidth=1Gbps,10Gbps,40Gbps",
                                       "schedule=s-sgd,s-sgd:overlap=ddp,lags-sgd"};
};

TEST_F(Sweeps, GivesWhatRunsGiveOneByOne) {
  const Study study = study_of(axes_);
  const SweepProgress progress = run(study);
  EXPECT_EQ(progress.done, 9U);
  EXPECT_EQ(progress.simulations, 9U);  // no S-SGD beside them
  Store store(path("store.db"), Database::Mode::read);
  store.view_points(store.study(""));
  for (std::uint64_t number = 0; number < 9; ++number) {
    Json alone = to_json(run_alone(read_experiment(study.point(number).experiment, "test.json")));
    EXPECT_EQ(store.result(number), alone) << number;
  }
}

TEST_F(Sweeps, ExportsTheSameBytesWhateverTheEngine) {
  (void)run(study_of(axes_), 1, "one.db");
  (void)run(study_of(axes_), 5, "five.db");
  // One after the other, the last first, with other things between.
  (void)run(study_of({"network.bandwidth=40Gbps", axes_[1]}, small(), "part"), 2, "parts.db");
  (void)run(study_of({"seed=7..9"}, small(), "other"), 2, "parts.db");
  EXPECT_EQ(run(study_of(axes_), 2, "parts.db").found, 3U);
  EXPECT_EQ(exported("one.db"), exported("five.db"));
  EXPECT_EQ(exported("one.db"), exported("parts.db"));
  EXPECT_THAT(exported("one.db"), HasSubstr("\"format\":\"paceline-result-1\""));
}

TEST_F(Sweeps, InProcessesIsAsOnThreads) {
  Json base = small();
  base["network"] = "simgrid";
  base["fidelity"] = "flow";
  base["steps"] = 3;
  const Study study = study_of({"network.bandwidth=1Gbps,10Gbps", "seed=1,1,2"}, base);
  const SweepProgress progress = run(study, 2);
  EXPECT_EQ(progress.done, 6U);
  EXPECT_EQ(progress.found, 2U);  // seed 1, twice
  EXPECT_EQ(progress.simulations, 4U);
  EXPECT_EQ(run(study, 2).simulations, 0U);
  (void)run(study, 1, "again.db");
  EXPECT_EQ(exported(), exported("again.db"));
}

TEST_F(Sweeps, ShareResultsAndMakeNoneTwice) {
  EXPECT_EQ(run(study_of({"seed=1..4"})).simulations, 4U);
  EXPECT_EQ(run(study_of({"seed=1..4"})).simulations, 0U);
  const SweepProgress wider = run(study_of({"seed=1..6"}, small(), "wider"));
  EXPECT_EQ(wider.found, 4U);
  EXPECT_EQ(wider.simulations, 2U);
  // The same study with other points replaces its points, and keeps the results.
  EXPECT_EQ(run(study_of({"seed=5..6"})).simulations, 0U);
  Store store(path("store.db"), Database::Mode::read);
  EXPECT_EQ(store.done(store.study("test")), 2U);
  EXPECT_EQ(store.done(store.study("wider")), 6U);
  EXPECT_EQ(store.keys().size(), 6U);
}

// As of a job array: each share has a store of its own, of which one may be there twice.
TEST_F(Sweeps, SharesOfSeveralMachinesAreTheWhole) {
  const Study study = study_of(axes_);
  for (std::uint64_t part = 0; part < 4; ++part) {
    Store store(path("part" + std::to_string(part)), Database::Mode::write);
    EXPECT_EQ(sweep(study, store, {.parallel = 2, .part = part, .parts = 4}).done,
              part == 0 ? 3U : 2U);
  }
  {
    Store all(path("all.db"), Database::Mode::write);
    for (const char* part : {"part2", "part0", "part3", "part1", "part2"}) all.collect(path(part));
    EXPECT_EQ(all.keys().size(), 9U);
    EXPECT_EQ(sweep(study, all, {.parallel = 2}).simulations, 0U);
    EXPECT_THROW(all.collect(path("absent")), InputError);
  }
  (void)run(study);
  EXPECT_EQ(exported("all.db"), exported());
}

TEST_F(Sweeps, ComparesWithSSgdWhereItIsAPointOrAskedFor) {
  const auto speedups = [&](const std::string& file) {
    std::vector<SqlValue> found;
    Store store(path(file), Database::Mode::read);
    ask(store, {.columns = {"speedup_over_s_sgd"}},
        {[](const std::vector<std::string>&) {},
         [&](const std::vector<SqlValue>& row) { found.push_back(row[0]); }});
    return found;
  };
  (void)run(study_of({"schedule=s-sgd:overlap=ddp,lags-sgd"}), 2, "point.db");
  (void)run(study_of({"schedule=lags-sgd"}), 2, "none.db");
  Json asked = small();
  asked["baseline"] = "ddp";
  EXPECT_EQ(run(study_of({"schedule=lags-sgd"}, asked), 2, "asked.db").simulations, 2U);
  const RunResult alone =
      run_experiment(read_experiment(study_of({"schedule=lags-sgd"}).point(0).experiment, "t"));
  ASSERT_EQ(speedups("point.db").size(), 2U);
  EXPECT_EQ(std::get<double>(speedups("point.db")[0]), 1);
  EXPECT_EQ(std::get<double>(speedups("point.db")[1]), *alone.job.speedup_over_s_sgd);
  EXPECT_EQ(std::get<double>(speedups("asked.db")[0]), *alone.job.speedup_over_s_sgd);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(speedups("none.db")[0]));
}

TEST_F(Sweeps, KeepWhatCannotBeRunAndGoOn) {
  const Study study = study_of({"nodes[0].count=4,8", "servers=4,8", "schedule=asgd"});
  const SweepProgress progress = run(study);
  EXPECT_EQ(progress.done, 4U);
  EXPECT_EQ(progress.failed, 1U);
  EXPECT_THAT(progress.first_failure, HasSubstr("4, 8, asgd: "));
  EXPECT_THAT(progress.first_failure, HasSubstr("8 servers were asked for"));
  EXPECT_EQ(run(study).failed, 1U);  // it is tried again: a file may be there now
  Store store(path("store.db"), Database::Mode::read);
  std::vector<std::string> errors;
  ask(store, {.where = {"error=*"}, .columns = {"number", "error"}},
      {[](const std::vector<std::string>&) {},
       [&](const std::vector<SqlValue>& row) { errors.push_back(to_text(row[1])); }});
  EXPECT_EQ(errors.size(), 1U);
}

TEST_F(Sweeps, AskRefusesWhatIsNoQuestion) {
  (void)run(study_of({"seed=1,2"}));
  Store store(path("store.db"), Database::Mode::read);
  const auto refused = [&](const Question& question, const char* why) {
    EXPECT_THAT(
        [&] {
          ask(store, question, {[](const auto&) {}, [](const auto&) {}});
        },
        ThrowsMessage<InputError>(HasSubstr(why)));
  };
  refused({.columns = {"iteration_tim_s"}}, "did you mean 'iteration_time_s'");
  refused({.where = {"sead=1"}}, "did you mean 'seed'");
  refused({.study = "tst"}, "did you mean 'test'");
  refused({.sql = "DELETE FROM result"}, "one statement that reads");
  refused({.sql = "SELECT 1; SELECT 2"}, "more behind it");
  refused({.sql = "SELECT absent FROM points"}, "no such column");
  EXPECT_EQ(store.keys().size(), 2U);
}

TEST_F(Sweeps, StoresAreToldFromOtherFiles) {
  std::ofstream(path("text.db"))
      << "this is no database, but long enough to be one of them, whatever it may be\n";
  EXPECT_THAT([&] { Store(path("text.db"), Database::Mode::write); },
              ThrowsMessage<InputError>(HasSubstr("no store")));
  Database(path("other.db"), Database::Mode::write).execute("CREATE TABLE mine(a)");
  EXPECT_THAT([&] { Store(path("other.db"), Database::Mode::write); },
              ThrowsMessage<InputError>(HasSubstr("no store")));
  EXPECT_THAT([&] { Store(path("absent.db"), Database::Mode::read); },
              ThrowsMessage<InputError>(HasSubstr("no such store")));
}

// A store of format 2, with its labels as JSON and keys in place of numbers, as it would be of the same studies.
void make_old(Database& database, const Store& store) {
  std::string figures;
  for (const Figure& figure : paceline::figures()) figures += std::string(", r.") + figure.name;
  database.execute(
      "PRAGMA foreign_keys = 0; BEGIN;"
      "CREATE TABLE point(study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE, number "
      "INTEGER NOT NULL,"
      " labels TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY(study, number)) WITHOUT ROWID;"
      "CREATE INDEX point_key ON point(study, key)");
  for (const Store::StudyInfo& study : store.studies()) {
    std::string labels;
    for (std::size_t i = 0; i < study.axes.size(); ++i)
      labels += (i == 0 ? "" : ", ") + ("label_" + std::to_string(i));
    const std::string table = "point_" + std::to_string(study.id);
    database.execute("INSERT INTO point SELECT " + std::to_string(study.id) +
                     ", number, json_array(" + labels + "), k.key FROM " + table +
                     " p JOIN key k ON k.id = p.result; DROP TABLE " + table);
  }
  database.execute(
      "CREATE TABLE b(study INTEGER NOT NULL, number INTEGER NOT NULL, key BLOB NOT NULL, asked "
      "INTEGER NOT NULL, "
      "PRIMARY KEY(study, number, key)) WITHOUT ROWID;"
      "INSERT INTO b SELECT study, number, k.key, asked FROM baseline x JOIN key k ON k.id = "
      "x.result;"
      "DROP TABLE baseline; ALTER TABLE b RENAME TO baseline;"
      "CREATE TABLE r AS SELECT k.key, r.version, r.error" +
      figures +
      " FROM result r JOIN key k USING(id);"
      "DROP TABLE result; ALTER TABLE r RENAME TO result; DROP TABLE key; PRAGMA user_version = 2; "
      "COMMIT");
}

TEST_F(Sweeps, StoresOfAnEarlierVersionAreBroughtUp) {
  Json base = small();
  base["baseline"] = "s-sgd";
  const Study study = study_of(axes_, base), other = study_of({"seed=1..3"}, small(), "it's");
  (void)run(study);
  (void)run(other);
  const std::string whole = exported(), of_other = exported("store.db", "it's");
  {
    Store store(path("store.db"), Database::Mode::write);
    make_old(store.database(), store);
  }
  {
    const Database old(path("store.db"), Database::Mode::read);
    Statement keys(old, "SELECT count(DISTINCT key), (SELECT count(*) FROM baseline) FROM point");
    ASSERT_TRUE(keys.step());
    EXPECT_GE(keys.integer(0), 12);
    EXPECT_GT(keys.integer(1), 0);
  }
  EXPECT_EQ(exported(), whole);  // a reader does it
  EXPECT_EQ(exported("store.db", "it's"), of_other);
  EXPECT_EQ(run(study).simulations, 0U);
  EXPECT_EQ(exported(), whole);
}

// 100,000 points are gone through once, and only what is asked for is read.
TEST_F(Sweeps, QuestionsGoThroughPointsAndResultsInOneOrder) {
  (void)run(study_of(axes_));
  Store store(path("store.db"), Database::Mode::read);
  store.view_points(store.study(""));
  Statement plan(
      store.database(),
      "EXPLAIN QUERY PLAN SELECT schedule, avg(iteration_time_s) FROM points GROUP BY 1");
  std::vector<std::string> steps;
  while (plan.step()) steps.push_back(plan.text(3));
  ASSERT_GE(steps.size(), 2U);
  EXPECT_EQ(steps[0], "SCAN p");
  EXPECT_EQ(steps[1], "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)");
}

// As on a full disk: SQLite may use no more pages than there are.
TEST_F(Sweeps, AFullDiskIsOneMessageAndWhatWasKeptStays) {
  const Study study = study_of({"seed=1..800"});
  {
    Store store(path("store.db"), Database::Mode::write);
    store.database().execute("PRAGMA max_page_count = 150");
    EXPECT_THAT(
        [&] {
          sweep(study, store, {2, {}});
        },
        ThrowsMessage<InputError>(HasSubstr("full")));
  }
  const std::size_t kept = Store(path("store.db"), Database::Mode::read).keys().size();
  EXPECT_LT(kept, 800U);
  const SweepProgress rest = run(study);
  EXPECT_EQ(rest.simulations, 800 - kept);
  EXPECT_EQ(rest.done, 800U);
}

}  // namespace
}  // namespace paceline
