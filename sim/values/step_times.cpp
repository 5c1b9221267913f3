#include "sim/values/step_times.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <ctime>

#include "base/error.hpp"

namespace paceline {

StepTimes::StepTimes(std::size_t rank) {
  const char* file = std::getenv("PACELINE_STEP_TIMES");
  if (file == nullptr || *file == '\0' || rank != 0) return;
  out_.open(file);
  if (!out_) throw InputError(fmt::format("PACELINE_STEP_TIMES: cannot write '{}'", file));
  out_ << "step,seconds,cpu_seconds,disturbed\n";
}

void StepTimes::loading(std::int64_t step) {
  if (!out_.is_open()) return;
  const auto now = std::chrono::steady_clock::now();
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  timespec cpu{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  const double cpu_now = static_cast<double>(cpu.tv_sec) + 1e-9 * static_cast<double>(cpu.tv_nsec);
  if (step > 0)
    out_ << fmt::format("{},{:.9f},{:.9f},{}\n", step - 1,
                        std::chrono::duration<double>(now - last_).count(), cpu_now - cpu_,
                        usage.ru_nivcsw - switches_);
  last_ = now;
  cpu_ = cpu_now;
  switches_ = usage.ru_nivcsw;
}

}  // namespace paceline
