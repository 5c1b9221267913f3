// The Python module's functions over texts; paceline/__init__.py makes dicts of them.
#include <fmt/format.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <filesystem>
#include <thread>

#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "base/version.hpp"
#include "experiments/compare.hpp"
#include "experiments/run.hpp"
#include "experiments/shipped.hpp"
#include "studies/optimize.hpp"
#include "studies/query.hpp"
#include "studies/shipped.hpp"
#include "studies/sweep.hpp"

namespace paceline {
namespace {

namespace py = pybind11;

constexpr const char* kFile = "python";  // of what was given as a dict, in messages

// A dict is JSON, all else a name or a path.
ExperimentText described(const std::string& text,
                         ExperimentText (*load)(const std::string& name_or_path)) {
  if (text.empty()) return {Json{{"format", "paceline-experiment-1"}}, kFile};
  if (text.front() == '{') {
    ExperimentText given{parse_json(text, kFile), kFile};
    if (!given.json.contains("format")) given.json["format"] = "paceline-experiment-1";
    return given;
  }
  return load(text);
}

// As the command line's flags: texts of schedules, all-reduces and jitter have options behind ':'.
void override(Json& json, const std::string& keys) {
  const Json given = parse_json(keys, kFile);
  for (const auto& [key, value] : given.items()) {
    Json& job = json.contains("jobs") && json["jobs"].is_array() && !json["jobs"].empty()
                    ? json["jobs"][0]
                    : json;
    if (key == "set" && value.is_array()) {
      for (const Json& assignment : value) json["set"].push_back(assignment);
    } else if (key == "schedule" && value.is_string()) {
      job[key] = schedule_from_option(value.get<std::string>());
    } else if (key == "all_reduce" && value.is_string()) {
      job[key] = all_reduce_from_option(value.get<std::string>());
    } else if (key == "jitter" && value.is_string()) {
      json[key] = jitter_from_option(value.get<std::string>());
    } else {
      const bool of_all = json.contains(key) || &job == &json || key == "cluster" ||
                          key == "stack" || key == "seed" || key == "fidelity" ||
                          key == "network" || key == "baseline" || key == "gpu";
      (of_all ? json : job)[key] = value;
    }
  }
}

unsigned jobs_of(unsigned asked) {
  return asked > 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

// Ctrl-C in a notebook; to be called from the thread that called us.
void check_signals() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

std::string run(const std::string& experiment, const std::string& keys, bool layers) {
  ExperimentText text = described(experiment, load_experiment);
  override(text.json, keys);
  const Experiment read = read_experiment(text.json, text.file);
  RunAlongside alongside;
  alongside.layers = layers;
  const auto result = [&] { return to_json(run_experiment(read, alongside)); };
  // A process has one engine of SimGrid, and a training threads of its own.
  return (needs_process(read) ? run_isolated({result}, 1).front() : result()).dump();
}

std::string compare_all(const std::string& experiment, const std::string& keys,
                        const std::vector<std::string>& vary, unsigned jobs) {
  ExperimentText text = described(experiment, load_experiment);
  override(text.json, keys);
  std::vector<Axis> axes = read_axes(text.json, text.file);
  for (const std::string& axis : vary) axes.push_back(axis_from_option(axis));
  CompareSettings settings{jobs_of(jobs), {}, {}};
  settings.progress = [](const CompareProgress&) { check_signals(); };
  return to_json(compare(text.json, text.file, axes, settings)).dump();
}

Study study_of(const std::string& described_study, const std::string& keys,
               const std::vector<std::string>& vary, const std::string& name, StudyUse use) {
  const ExperimentText text = described(described_study, load_study);
  Study study = Study::read(text.json, text.file, use);
  override(study.experiment, keys);
  study.add({.vary = vary});
  study.finish();
  if (!name.empty()) study.name = name;
  if (study.name.empty() && text.file != kFile)
    study.name = std::filesystem::path(text.file).stem().string();
  if (study.name.empty()) study.name = use == StudyUse::sweep ? "sweep" : "search";
  return study;
}

std::string sweep_all(const std::string& described_study, const std::string& keys,
                      const std::vector<std::string>& vary, std::string store,
                      const std::string& name, unsigned jobs) {
  const Study study = study_of(described_study, keys, vary, name, StudyUse::sweep);
  study.check_values();
  if (store.empty()) store = study.name + ".db";
  Store file(store, Database::Mode::write);
  const SweepProgress done =
      sweep(study, file,
            {.parallel = jobs_of(jobs), .progress = [](const SweepProgress&) { check_signals(); }});
  return Json{{"study", study.name},
              {"store", store},
              {"axes", study.axes()},
              {"points", study.points()},
              {"done", done.done},
              {"found", done.found},
              {"failed", done.failed},
              {"first_failure", done.first_failure},
              {"simulations", done.simulations}}
      .dump();
}

std::string optimize_all(const std::string& described_study, const std::string& keys,
                         const std::vector<std::string>& vary, std::string store,
                         const std::string& name, OptimizeSettings settings) {
  const Study study = study_of(described_study, keys, vary, name, StudyUse::search);
  Optimization plan = planned(study, settings);
  plan.study = name.empty() ? study.name + "-optimum" : name;
  study.check_values();
  if (store.empty()) store = study.name + ".db";
  settings.parallel = jobs_of(settings.parallel);
  settings.progress = [](const OptimizeProgress&) { check_signals(); };
  Optimization found;
  {
    Store file(store, Database::Mode::write);
    found = optimize(study, file, plan, settings);
  }
  require_optima(found);
  return to_json(found, store).dump();
}

Json value_of(const SqlValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (std::holds_alternative<std::monostate>(value)) return nullptr;
  return to_text(value);
}

std::string load(const std::string& store, const std::string& study,
                 const std::vector<std::string>& where, const std::vector<std::string>& columns,
                 const std::string& sort, const std::string& sql, bool full) {
  Store file(store, Database::Mode::read);
  Question question{.study = study, .where = where, .columns = columns, .sort = sort, .sql = sql};
  if (full) {
    if (!sql.empty() || !columns.empty())
      throw InputError("full results have no columns and no SQL of their own");
    question.columns = file.study(study).axes;
    question.columns.insert(question.columns.begin(), "number");
  }
  Json rows = Json::array();
  std::vector<std::string> names;
  ask(file, question,
      {[&](const std::vector<std::string>& header) { names = header; },
       [&](const std::vector<SqlValue>& values) {
         Json row = Json::object();
         for (std::size_t i = 0; i < values.size(); ++i) row[names[i]] = value_of(values[i]);
         rows.push_back(std::move(row));
       }});
  if (!full) return rows.dump();
  Json whole = Json::array();
  for (Json& row : rows) {
    const Json number = row.at("number");
    row.erase("number");
    whole.push_back({{"number", number},
                     {"labels", std::move(row)},
                     {"result", file.result(number.get<std::uint64_t>())}});
  }
  return whole.dump();
}

}  // namespace
}  // namespace paceline

PYBIND11_MODULE(_paceline, module) {
  namespace py = pybind11;
  using py::arg;
  py::register_exception<paceline::InputError>(module, "InputError", PyExc_ValueError);
  py::register_exception<paceline::CheckFailed>(module, "CheckFailed", PyExc_RuntimeError);
  const auto unlocked = py::call_guard<py::gil_scoped_release>();
  module.def("version", [] { return std::string(paceline::version()); });
  module.def("run", paceline::run, unlocked, arg("experiment"), arg("keys"), arg("layers"));
  module.def("compare", paceline::compare_all, unlocked, arg("experiment"), arg("keys"),
             arg("vary"), arg("jobs"));
  module.def("sweep", paceline::sweep_all, unlocked, arg("study"), arg("keys"), arg("vary"),
             arg("store"), arg("name"), arg("jobs"));
  module.def(
      "optimize",
      [](const std::string& study, const std::string& keys, const std::vector<std::string>& vary,
         const std::string& store, const std::string& name, const std::string& minimize,
         const std::string& maximize, const std::vector<std::string>& subject_to,
         const std::vector<std::string>& each, std::uint64_t evaluations, unsigned jobs) {
        return paceline::optimize_all(
            study, keys, vary, store, name,
            {minimize, maximize, subject_to, each, evaluations, jobs, {}});
      },
      unlocked, arg("study"), arg("keys"), arg("vary"), arg("store"), arg("name"), arg("minimize"),
      arg("maximize"), arg("subject_to"), arg("each"), arg("evaluations"), arg("jobs"));
  module.def("load", paceline::load, unlocked, arg("store"), arg("study"), arg("where"),
             arg("columns"), arg("sort"), arg("sql"), arg("full"));
}
