#include "sweep_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>

#include "base/error.hpp"
#include "base/interrupt.hpp"
#include "base/json.hpp"
#include "progress.hpp"
#include "store_rows.hpp"
#include "table.hpp"

namespace paceline {

std::function<void(const SweepProgress&)> sweep_progress(const std::string& file) {
  using HostClock = std::chrono::steady_clock;
  interrupt_note(fmt::format("what is in {} is kept; the same command goes on", file));
  return [started = HostClock::now(), file](const SweepProgress& progress) {
    interrupt_note(fmt::format("{} of {} points are kept in {}; the same command goes on",
                               progress.done, progress.all, file));
    const double elapsed = std::chrono::duration<double>(HostClock::now() - started).count();
    const double rate = elapsed > 0 ? static_cast<double>(progress.done) / elapsed : 0;
    std::string line = fmt::format("{} of {} points, {} found, {:.0f}/s", progress.done,
                                   progress.all, progress.found, rate);
    if (rate > 0 && progress.done < progress.all)
      line += fmt::format(", {} left",
                          clock_time(static_cast<double>(progress.all - progress.done) / rate));
    show_progress(line);
  };
}

std::string study_size(const Study& study) {
  const std::uint64_t left_out = study.combinations() - study.points();
  return fmt::format(
      "{}: {} points{}", study.name, study.points(),
      left_out > 0 ? fmt::format(" ({} combinations, {} left out)", study.combinations(), left_out)
                   : "");
}

Json sweep_json(const Study& study, const std::string& store, const SweepProgress& progress) {
  return {{"format", "paceline-sweep-1"},
          {"study", study.name},
          {"store", store},
          {"axes", study.axes()},
          {"points", study.points()},
          {"done", progress.done},
          {"found", progress.found},
          {"failed", progress.failed},
          {"simulations", progress.simulations}};
}

std::string sweep_summary(const Study& study, const std::string& file,
                          const SweepProgress& progress) {
  std::string text = fmt::format(
      "{}, {} simulations made, {} found, {} impossible, in {}\n\nmost samples per second:\n",
      study_size(study), progress.simulations, progress.found, progress.failed, file);
  Store store(file, Database::Mode::read);
  Question best{.study = study.name,
                .columns = study.axes(),
                .sort = "samples_per_s",
                .descending = true,
                .limit = 5};
  best.columns.insert(best.columns.end(), {"iteration_time_s", "uncertainty_s", "samples_per_s",
                                           "speedup_over_one_gpu"});
  text += rows_table(store, best);
  return text + fmt::format(
                    "\npaceline query {0}     rows as a table, --csv or --json; SQL\npaceline "
                    "report {0} -o report.html\n",
                    file);
}

void complain_of_failed(const SweepProgress& progress, const std::string& file) {
  if (progress.failed > 0)
    throw InputError(fmt::format(
        "{} of {} points cannot be run, the first at {}; 'paceline query {} --where \"error=*\"' "
        "says why",
        progress.failed, progress.all, progress.first_failure, file));
}

}  // namespace paceline
