#include "calibrate/measure/stopwatch.hpp"

#include <sys/resource.h>

#include <ctime>

#include "base/statistics.hpp"

namespace paceline {
namespace {

long involuntary_switches() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Sample take_sample(kernels::Backend& backend, const std::function<void()>& work) {
  const bool on_cpu = backend.on_host();
  Sample sample;
  const long before = involuntary_switches();
  const double cpu_before = on_cpu ? thread_seconds() : 0;
  sample.seconds = backend.measure(work);
  if (on_cpu) sample.cpu_seconds = thread_seconds() - cpu_before;
  sample.undisturbed = involuntary_switches() == before;
  return sample;
}

SampleSummary summarize(const std::vector<Sample>& samples, int least) {
  std::vector<double> undisturbed, all, cpu;
  for (const Sample& sample : samples) {
    all.push_back(sample.seconds);
    if (sample.undisturbed) undisturbed.push_back(sample.seconds);
    if (sample.cpu_seconds > 0) cpu.push_back(sample.cpu_seconds);
  }
  SampleSummary summary;
  const bool enough = static_cast<int>(undisturbed.size()) >= least;
  summary.cpu_time = !enough && undisturbed.size() < all.size() && cpu.size() == all.size();
  const std::vector<double>& kept = enough ? undisturbed : summary.cpu_time ? cpu : all;
  const Quartiles q = quartiles(kept);
  summary.timing = {q.median, q.p25, q.p75};
  summary.seconds = kept;
  summary.kept = static_cast<int>(kept.size());
  summary.dropped = static_cast<int>(all.size() - kept.size());
  return summary;
}

}  // namespace paceline
