#include "studies/store.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/version.hpp"
#include "studies/figures.hpp"
#include "studies/interval.hpp"
#include "studies/schema.hpp"

namespace paceline {
namespace {

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
  prepare_store(database_);
}

std::int64_t Store::begin(const Study& study) {
  const std::string definition = compressed(study.definition().dump());
  Transaction transaction(database_);
  Statement same(database_, "SELECT id, definition = ? AND version = ? FROM study WHERE name = ?");
  same.bind(1, Blob{definition}).bind(2, version()).bind(3, study.name);
  const bool known = same.step();
  std::int64_t id = known ? same.integer(0) : 0;
  const bool goes_on = known && same.integer(1) != 0;
  same.reset();
  if (goes_on) {  // of a search, with more points
    Statement(database_, "UPDATE study SET points = ?1 WHERE id = ?2 AND points <> ?1")
        .bind(1, static_cast<std::int64_t>(study.points()))
        .bind(2, id)
        .run();
    transaction.commit();
    return id;
  }
  if (known) {
    Statement(database_, "DELETE FROM study WHERE id = ?").bind(1, id).run();
    database_.execute("DROP TABLE " + point_table(id));
  }
  Statement insert(
      database_,
      "INSERT INTO study(name, description, version, axes, points, experiment, definition)"
      " VALUES(?, ?, ?, ?, ?, ?, ?)");
  insert.bind(1, study.name)
      .bind(2, study.description)
      .bind(3, version())
      .bind(4, Json(study.axes()).dump())
      .bind(5, static_cast<std::int64_t>(study.points()))
      .bind(6, study.experiment.dump())
      .bind(7, Blob{definition})
      .run();
  id = database_.last_insert();
  make_point_table(database_, id, study.axes().size());
  transaction.commit();
  return id;
}

std::vector<ResultKey> Store::keys() const {
  std::vector<ResultKey> keys;
  Statement all(database_, "SELECT k.key FROM result r JOIN key k USING(id) WHERE error IS NULL");
  while (all.step()) {
    const std::string bytes = all.text(0);
    ResultKey key{};
    if (bytes.size() == key.size()) std::copy(bytes.begin(), bytes.end(), key.begin());
    keys.push_back(key);
  }
  return keys;
}

namespace {

// The number of a key, a new one where it is met first.
class KeyNumbers {
 public:
  explicit KeyNumbers(const Database& database)
      : database_(database),
        find_(database, "SELECT id FROM key WHERE key = ?"),
        add_(database, "INSERT INTO key(key) VALUES(?)") {}
  std::int64_t of(const ResultKey& key) {
    const bool known = find_.bind(1, blob(key)).step();
    const std::int64_t number = known ? find_.integer(0) : 0;
    find_.reset();
    if (known) return number;
    add_.bind(1, blob(key)).run();
    return database_.last_insert();
  }

 private:
  const Database& database_;
  Statement find_, add_;
};

std::string insert_into(const std::string& table, std::size_t columns) {
  std::string marks = "?";
  for (std::size_t i = 1; i < columns; ++i) marks += ", ?";
  return fmt::format("INSERT OR REPLACE INTO {} VALUES({})", table, marks);
}

void put_points(const Database& database, KeyNumbers& numbers, std::int64_t study, const Study& of,
                const std::vector<StoredPoint>& points) {
  Statement point(database, insert_into(point_table(study), 2 + of.axes().size())),
      forget(database, "DELETE FROM baseline WHERE study = ? AND number = ?"),
      baseline(database, insert_into("baseline", 4));
  for (const StoredPoint& stored : points) {
    const auto number = static_cast<std::int64_t>(stored.number);
    point.bind(1, number).bind(2, numbers.of(stored.key));
    int column = 3;
    for (const std::string& label : of.labels(stored.number)) point.bind(column++, label);
    point.run();
    forget.bind(1, study).bind(2, number).run();
    for (const ResultKey& key : stored.baselines)
      baseline.bind(1, study)
          .bind(2, number)
          .bind(3, numbers.of(key))
          .bind(4, std::int64_t{stored.asked})
          .run();
  }
}

}  // namespace

void Store::put(std::int64_t study, const Study& of, const std::vector<StoredPoint>& points,
                const std::vector<StoredResult>& results) {
  if (points.empty() && results.empty()) return;
  Transaction transaction(database_);
  KeyNumbers numbers(database_);
  put_points(database_, numbers, study, of, points);
  Statement result(database_, insert_into("result", 3 + figures().size())),
      detail(database_, "INSERT OR REPLACE INTO detail(key, json) VALUES(?, ?)");
  for (const StoredResult& stored : results) {
    result.bind(1, numbers.of(stored.key)).bind(2, version());
    result.bind(3, stored.error.empty() ? SqlValue() : SqlValue(stored.error));
    for (std::size_t i = 0; i < stored.figures.size(); ++i)
      result.bind(static_cast<int>(4 + i), stored.figures[i]);
    result.run();
    if (stored.error.empty()) detail.bind(1, blob(stored.key)).bind(2, Blob{stored.json}).run();
  }
  transaction.commit();
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
  std::string columns;
  for (const Figure& figure : figures()) columns += fmt::format(", {}", figure.name);
  database_.execute(fmt::format(
      "BEGIN IMMEDIATE;"
      "INSERT OR IGNORE INTO main.key(key) SELECT k.key FROM other.result r JOIN other.key k "
      "USING(id) WHERE r.error IS NULL ORDER BY r.id;"
      "INSERT OR IGNORE INTO main.result(id, version{0}) SELECT m.id, r.version{0} FROM "
      "other.result r JOIN other.key k USING(id) JOIN main.key m ON m.key = k.key WHERE r.error IS "
      "NULL ORDER BY m.id;"
      "INSERT OR IGNORE INTO main.detail SELECT * FROM other.detail;"
      "COMMIT; DETACH other",
      columns));
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
                  fmt::format("SELECT count(*) FROM {} p JOIN result r ON r.id = p.result",
                              point_table(study.id)));
  count.step();
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
    columns += fmt::format(", p.{} AS {}", label_column(i), axis_column(study.axes[i]));
  columns += ", r.error";
  for (const Figure& figure : figures()) columns += fmt::format(", r.{}", figure.name);
  const std::string table = point_table(study.id);
  const std::string baseline = fmt::format(
      "(SELECT min(b.iteration_time_s) FROM main.baseline x JOIN main.result b ON b.id = x.result "
      "WHERE x.study = {} AND x.number = p.number AND (x.asked OR EXISTS(SELECT 1 FROM {} o WHERE "
      "o.result = x.result)))",
      study.id, table);
  database_.execute(
      "PRAGMA query_only = 0; DROP VIEW IF EXISTS temp.over_seeds; DROP VIEW IF EXISTS "
      "temp.points");
  // CROSS JOIN: points in their order, each with its result. An ORDER BY would have every column of every row made
  // before an aggregate sees any.
  database_.execute(fmt::format(
      "CREATE TEMP VIEW points AS SELECT {0}, {1} AS s_sgd_time_s, {1} / r.iteration_time_s AS"
      " speedup_over_s_sgd FROM {2} p CROSS JOIN main.result r ON r.id = p.result",
      columns, baseline, table));
  database_.execute(seeds_view(study.axes));
  if (database_.mode() == Database::Mode::read) database_.execute("PRAGMA query_only = 1");
}

Json Store::result(std::uint64_t number) const {
  Statement detail(database_,
                   fmt::format("SELECT d.json FROM {} p JOIN key k ON k.id = p.result JOIN detail "
                               "d ON d.key = k.key WHERE p.number = ?",
                               point_table(viewed_)));
  detail.bind(1, static_cast<std::int64_t>(number));
  if (!detail.step()) return {};
  return Json::parse(expanded(detail.text(0), database_.file()));
}

}  // namespace paceline
