#include "studies/store.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/version.hpp"
#include "studies/figures.hpp"
#include "studies/interval.hpp"

namespace paceline {
namespace {

constexpr int kApplication = 0x5061636c, kSchema = 2;  // "Pacl"

std::string compressed(const std::string& text) {
  uLongf size = compressBound(static_cast<uLong>(text.size()));
  std::string packed(8 + size, '\0');
  for (int i = 0; i < 8; ++i)
    packed[static_cast<std::size_t>(i)] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  compress2(reinterpret_cast<Bytef*>(packed.data() + 8), &size,
            reinterpret_cast<const Bytef*>(text.data()), static_cast<uLong>(text.size()),
            Z_BEST_SPEED);
  packed.resize(8 + size);
  return packed;
}

std::string expanded(const std::string& packed, const std::string& file) {
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(8, packed.size()); ++i)
    length |= static_cast<std::uint64_t>(static_cast<unsigned char>(packed[i])) << (8 * i);
  if (packed.size() < 8 || length > 1ULL << 30) throw InputError(file + ": a damaged result");
  std::string text(length, '\0');
  uLongf size = length;
  if (uncompress(reinterpret_cast<Bytef*>(text.data()), &size,
                 reinterpret_cast<const Bytef*>(packed.data() + 8),
                 static_cast<uLong>(packed.size() - 8)) != Z_OK ||
      size != length)
    throw InputError(file + ": a damaged result");
  return text;
}

Blob blob(const ResultKey& key) {
  return {std::string(key.begin(), key.end())};
}

std::string schema() {
  std::string columns, marks;
  for (const Figure& figure : figures())
    columns += fmt::format(", {} {}", figure.name, figure.type);
  return fmt::format(
      "BEGIN IMMEDIATE;"
      "CREATE TABLE IF NOT EXISTS study(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
      "description TEXT NOT NULL,"
      " version TEXT NOT NULL, axes TEXT NOT NULL, points INTEGER NOT NULL, experiment TEXT NOT "
      "NULL,"
      " definition BLOB NOT NULL);"
      "CREATE TABLE IF NOT EXISTS point(study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE, "
      "number INTEGER NOT NULL,"
      " labels TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY(study, number)) WITHOUT ROWID;"
      "CREATE INDEX IF NOT EXISTS point_key ON point(study, key);"
      "CREATE TABLE IF NOT EXISTS baseline(study INTEGER NOT NULL REFERENCES study ON DELETE "
      "CASCADE, number INTEGER NOT"
      " NULL, key BLOB NOT NULL, asked INTEGER NOT NULL, PRIMARY KEY(study, number, key)) WITHOUT "
      "ROWID;"
      "CREATE TABLE IF NOT EXISTS result(key BLOB PRIMARY KEY, version TEXT NOT NULL, error "
      "TEXT{}) WITHOUT ROWID;"
      "CREATE TABLE IF NOT EXISTS detail(key BLOB PRIMARY KEY, json BLOB NOT NULL);"
      "PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT",
      columns, kApplication, kSchema);
}

std::int64_t pragma(const Database& database, const char* name) {
  Statement statement(database, fmt::format("PRAGMA {}", name));
  return statement.step() ? statement.integer(0) : 0;
}

}  // namespace

ResultKey fnv1a128(std::string_view text) {
  using Wide = unsigned __int128;
  Wide hash = (static_cast<Wide>(0x6c62272e07bb0142ULL) << 64) | 0x62b821756295c58dULL;
  constexpr Wide kPrime = (static_cast<Wide>(1) << 88) | 0x13b;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * kPrime;
  ResultKey key;
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>(hash >> (8 * (15 - i)));
  return key;
}

ResultKey key_of(const Experiment& experiment) {
  std::string text = version();
  for (const JobDescription& job : experiment.jobs)
    if (job.training && job.training->target)
      text += fmt::format(" target {}", *job.training->target);
  return fnv1a128(text + '\n' + what_decides(write_experiment(experiment)).dump());
}

StoredResult stored_result(const ResultKey& key, const RunResult& result) {
  StoredResult stored{key, "", {}, compressed(to_json(result).dump())};
  stored.figures.reserve(figures().size());
  for (const Figure& figure : figures()) stored.figures.push_back(figure.of(result));
  return stored;
}

StoredResult stored_error(const ResultKey& key, std::string error) {
  return {key, std::move(error), std::vector<SqlValue>(figures().size()), ""};
}

Store::Store(const std::string& file, Database::Mode mode) : database_(file, mode) {
  const std::int64_t application = pragma(database_, "application_id"),
                     schema_version = pragma(database_, "user_version");
  Statement tables(database_, "SELECT count(*) FROM sqlite_schema");
  tables.step();
  const bool empty = tables.integer(0) == 0;
  if (!(empty && mode == Database::Mode::write) && application != kApplication)
    throw InputError(fmt::format("{}: this is no store of 'paceline sweep'", file));
  if (!empty && schema_version != kSchema)
    throw InputError(
        fmt::format("{}: a store of another version of paceline (format {}, expected {})", file,
                    schema_version, kSchema));
  tables.reset();
  if (mode == Database::Mode::write) database_.execute(schema());
}

std::int64_t Store::begin(const Study& study) {
  const std::string definition = compressed(study.definition().dump());
  database_.execute("BEGIN IMMEDIATE");
  Statement same(database_,
                 "SELECT id FROM study WHERE name = ? AND definition = ? AND version = ?");
  same.bind(1, study.name).bind(2, Blob{definition}).bind(3, version());
  std::int64_t id = same.step() ? same.integer(0) : 0;
  same.reset();
  if (id != 0)  // a search goes on
    Statement(database_, "UPDATE study SET points = ?1 WHERE id = ?2 AND points <> ?1")
        .bind(1, static_cast<std::int64_t>(study.points()))
        .bind(2, id)
        .run();
  if (id == 0) {
    Statement(database_, "DELETE FROM study WHERE name = ?").bind(1, study.name).run();
    Statement insert(
        database_,
        "INSERT INTO study(name, description, version, axes, points, experiment, definition)"
        " VALUES(?, ?, ?, ?, ?, ?, ?)");
    insert.bind(1, study.name)
        .bind(2, study.description)
        .bind(3, version())
        .bind(4, Json(study.axes()).dump());
    insert.bind(5, static_cast<std::int64_t>(study.points()))
        .bind(6, study.experiment.dump())
        .bind(7, Blob{definition});
    insert.run();
    Statement last(database_, "SELECT last_insert_rowid()");
    last.step();
    id = last.integer(0);
  }
  database_.execute("COMMIT");
  return id;
}

std::vector<ResultKey> Store::keys() const {
  std::vector<ResultKey> keys;
  Statement all(database_, "SELECT key FROM result WHERE error IS NULL");
  while (all.step()) {
    const std::string bytes = all.text(0);
    ResultKey key{};
    if (bytes.size() == key.size()) std::copy(bytes.begin(), bytes.end(), key.begin());
    keys.push_back(key);
  }
  return keys;
}

void Store::put(std::int64_t study, const Study& of, const std::vector<StoredPoint>& points,
                const std::vector<StoredResult>& results) {
  if (points.empty() && results.empty()) return;
  std::string marks;
  for (std::size_t i = 0; i < figures().size(); ++i) marks += ", ?";
  database_.execute("BEGIN IMMEDIATE");
  try {
    Statement result(database_, "INSERT OR REPLACE INTO result VALUES(?, ?, ?" + marks + ")"),
        detail(database_, "INSERT OR REPLACE INTO detail(key, json) VALUES(?, ?)"),
        point(database_, "INSERT OR REPLACE INTO point VALUES(?, ?, ?, ?)"),
        forget(database_, "DELETE FROM baseline WHERE study = ? AND number = ?"),
        baseline(database_, "INSERT OR REPLACE INTO baseline VALUES(?, ?, ?, ?)");
    for (const StoredResult& stored : results) {
      result.bind(1, blob(stored.key)).bind(2, version());
      result.bind(3, stored.error.empty() ? SqlValue() : SqlValue(stored.error));
      for (std::size_t i = 0; i < stored.figures.size(); ++i)
        result.bind(static_cast<int>(4 + i), stored.figures[i]);
      result.run();
      if (stored.error.empty()) detail.bind(1, blob(stored.key)).bind(2, Blob{stored.json}).run();
    }
    for (const StoredPoint& stored : points) {
      const auto number = static_cast<std::int64_t>(stored.number);
      point.bind(1, study)
          .bind(2, number)
          .bind(3, Json(of.labels(stored.number)).dump())
          .bind(4, blob(stored.key))
          .run();
      forget.bind(1, study).bind(2, number).run();
      for (const ResultKey& key : stored.baselines)
        baseline.bind(1, study)
            .bind(2, number)
            .bind(3, blob(key))
            .bind(4, std::int64_t{stored.asked})
            .run();
    }
    database_.execute("COMMIT");
  } catch (...) {
    try {
      database_.execute("ROLLBACK");
    } catch (const InputError&) {  // SQLite has done so where it could not go on
    }
    throw;
  }
}

void Store::collect(const std::string& file) {
  {
    // Of a task that ended before it had made its tables.
    const Database other(file, Database::Mode::read);
    Statement tables(other, "SELECT count(*) FROM sqlite_schema");
    if (tables.step() && tables.integer(0) == 0) return;
  }
  (void)Store(file, Database::Mode::read);  // it is one, of this version
  Statement(database_, "ATTACH ? AS other").bind(1, file).run();
  database_.execute(
      "BEGIN IMMEDIATE;"
      "INSERT OR IGNORE INTO main.result SELECT * FROM other.result WHERE error IS NULL;"
      "INSERT OR IGNORE INTO main.detail SELECT * FROM other.detail;"
      "COMMIT; DETACH other");
}

std::vector<Store::StudyInfo> Store::studies() const {
  std::vector<StudyInfo> found;
  Statement all(
      database_,
      "SELECT id, name, description, version, axes, points, experiment FROM study ORDER BY id");
  while (all.step()) {
    StudyInfo info{all.integer(0), all.text(1), all.text(2), all.text(3), {}, 0, {}};
    info.axes = Json::parse(all.text(4)).get<std::vector<std::string>>();
    info.points = static_cast<std::uint64_t>(all.integer(5));
    info.experiment = Json::parse(all.text(6));
    found.push_back(std::move(info));
  }
  return found;
}

Store::StudyInfo Store::study(const std::string& name) const {
  std::vector<StudyInfo> all = studies();
  if (all.empty()) throw InputError(database_.file() + ": there is no study in it");
  std::vector<std::string> names;
  for (StudyInfo& info : all) {
    if (info.name == name || (name.empty() && all.size() == 1)) return std::move(info);
    names.push_back(info.name);
  }
  if (name.empty())
    throw InputError(
        fmt::format("{}: which study? --study {}", database_.file(), fmt::join(names, ", ")));
  throw InputError(fmt::format("{}: {}", database_.file(), unknown_name("study", name, names)));
}

std::uint64_t Store::done(const StudyInfo& study) const {
  Statement count(database_,
                  "SELECT count(*) FROM point p JOIN result USING(key) WHERE p.study = ?");
  count.bind(1, study.id).step();
  return static_cast<std::uint64_t>(count.integer(0));
}

std::vector<std::string> point_columns() {
  std::vector<std::string> names{"number", "error"};
  for (const Figure& figure : figures()) names.emplace_back(figure.name);
  names.insert(names.end(), {"s_sgd_time_s", "speedup_over_s_sgd"});
  return names;
}

namespace {

// As the view has it: an axis may be called as a figure is.
std::string axis_column(const std::string& axis) {
  const std::vector<std::string> own = point_columns();
  const bool taken = std::find(own.begin(), own.end(), axis) != own.end();
  return quoted_name(taken ? axis + " (axis)" : axis);
}

std::string seeds_view(const std::vector<std::string>& axes) {
  std::string columns = "min(number) AS number", by;
  for (const std::string& axis : axes)
    if (!is_seed_axis(axis)) {
      columns += ", " + axis_column(axis);
      by += (by.empty() ? " GROUP BY " : ", ") + axis_column(axis);
    }
  columns += ", count(*) AS seeds, NULL AS error";
  const auto number = [&](const std::string& name) {
    columns += fmt::format(", avg({0}) AS {0}, interval95({0}) AS {0}_ci95", name);
  };
  for (const Figure& figure : figures())
    if (std::string_view(figure.type) == "TEXT")
      columns += fmt::format(", min({0}) AS {0}", figure.name);
    else
      number(figure.name);
  number("s_sgd_time_s");
  number("speedup_over_s_sgd");
  return fmt::format(
      "CREATE TEMP VIEW over_seeds AS SELECT {} FROM points WHERE error IS NULL{} HAVING count(*) "
      "> 0 "
      "ORDER BY min(number)",
      columns, by);
}

}  // namespace

void Store::view_points(const StudyInfo& study) {
  viewed_ = study.id;
  std::string columns = "p.number";
  for (std::size_t i = 0; i < study.axes.size(); ++i)
    columns +=
        fmt::format(", json_extract(p.labels, '$[{}]') AS {}", i, axis_column(study.axes[i]));
  columns += ", r.error";
  for (const Figure& figure : figures()) columns += fmt::format(", r.{}", figure.name);
  const std::string baseline = fmt::format(
      "(SELECT min(b.iteration_time_s) FROM main.baseline x JOIN main.result b ON b.key = x.key "
      "WHERE x.study = {0} AND"
      " x.number = p.number AND (x.asked OR EXISTS(SELECT 1 FROM main.point o WHERE o.study = {0} "
      "AND o.key = x.key)))",
      study.id);
  database_.execute(
      "PRAGMA query_only = 0; DROP VIEW IF EXISTS temp.over_seeds; DROP VIEW IF EXISTS "
      "temp.points");
  database_.execute(fmt::format(
      "CREATE TEMP VIEW points AS SELECT {0}, {1} AS s_sgd_time_s, {1} / r.iteration_time_s AS"
      " speedup_over_s_sgd FROM main.point p JOIN main.result r ON r.key = p.key WHERE p.study = "
      "{2} ORDER BY p.number",
      columns, baseline, study.id));
  database_.execute(seeds_view(study.axes));
  if (database_.mode() == Database::Mode::read) database_.execute("PRAGMA query_only = 1");
}

Json Store::result(std::uint64_t number) const {
  Statement detail(database_,
                   "SELECT d.json FROM point p JOIN detail d ON d.key = p.key WHERE p.study = ? "
                   "AND p.number = ?");
  detail.bind(1, viewed_).bind(2, static_cast<std::int64_t>(number));
  if (!detail.step()) return {};
  return Json::parse(expanded(detail.text(0), database_.file()));
}

}  // namespace paceline
