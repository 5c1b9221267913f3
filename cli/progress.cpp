#include "progress.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

using HostClock = std::chrono::steady_clock;
constexpr double kRefresh_s = 0.2;
constexpr std::size_t kBarCells = 20;

double seconds_since(HostClock::time_point date) {
  return std::chrono::duration<double>(HostClock::now() - date).count();
}

std::string progress_bar(double share) {
  const auto done = static_cast<std::size_t>(
      std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(kBarCells)));
  return "[" + std::string(done, '#') + std::string(kBarCells - done, '.') + "]";
}

}  // namespace

std::string clock_time(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string progress_line(const TrainingProgress& progress, double samples, double elapsed_s) {
  const double share = static_cast<double>(progress.step) /
                       static_cast<double>(std::max<std::int64_t>(1, progress.steps));
  std::string line =
      fmt::format("{} step {} of {}", progress_bar(share), progress.step, progress.steps);
  if (progress.loss) line += fmt::format("  loss {:.4f}", *progress.loss);
  line += fmt::format("  cluster {}", seconds_like(progress.date_s, progress.date_s));
  if (elapsed_s > 0 && progress.passes > 0) {
    line += fmt::format("  {:.0f} samples/s",
                        samples * static_cast<double>(progress.passes) / elapsed_s);
    if (share > 0) line += fmt::format("  {} left", clock_time(elapsed_s * (1 - share) / share));
  }
  return line;
}

std::string progress_line(const CompareProgress& progress, double elapsed_s) {
  std::string line =
      fmt::format("{} {} of {} simulations",
                  progress_bar(static_cast<double>(progress.done) /
                               static_cast<double>(std::max<std::size_t>(1, progress.all))),
                  progress.done, progress.all);
  if (progress.stored > 0) line += fmt::format(", {} of them found", progress.stored);
  const std::size_t made = progress.done - progress.stored;
  if (made > 0 && progress.done < progress.all)
    line += fmt::format("  {} left",
                        clock_time(elapsed_s * static_cast<double>(progress.all - progress.done) /
                                   static_cast<double>(made)));
  return line;
}

ProgressReport training_progress(const Experiment& experiment) {
  const JobDescription& job = experiment.jobs.front();
  if (!progress_wanted() || !job.training || !job.batch) return {};
  struct State {
    HostClock::time_point started = HostClock::now(), shown;
    std::int64_t last = 0;
  };
  const double samples = static_cast<double>(*job.batch * job.accumulation);
  return [state = std::make_shared<State>(), samples](const TrainingProgress& progress) {
    if (progress.step < state->last)
      state->started = HostClock::now();  // begun again, at flow fidelity
    state->last = progress.step;
    if (progress.step < progress.steps && seconds_since(state->shown) < kRefresh_s) return;
    state->shown = HostClock::now();
    show_progress(progress_line(progress, samples, seconds_since(state->started)));
  };
}

std::function<void(const CompareProgress&)> comparison_progress() {
  return [started = HostClock::now()](const CompareProgress& progress) {
    show_progress(progress_line(progress, seconds_since(started)));
  };
}

std::function<void(std::int64_t)> steps_progress(std::int64_t steps) {
  if (!progress_wanted()) return {};
  return [steps, started = HostClock::now(),
          shown = HostClock::time_point()](std::int64_t done) mutable {
    if (done < steps && seconds_since(shown) < kRefresh_s) return;
    shown = HostClock::now();
    const double each_s = seconds_since(started) / static_cast<double>(done);
    show_progress(fmt::format("{} step {} of {}  {} an iteration  {} left",
                              progress_bar(static_cast<double>(done) / static_cast<double>(steps)),
                              done, steps, seconds_like(each_s, each_s),
                              clock_time(each_s * static_cast<double>(steps - done))));
  };
}

}  // namespace paceline
