#include "mpi/world.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "mpi/mpi_shim.hpp"

namespace paceline {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Of this process: the epoll descriptors, which poll() shows as readable when one of the sockets
// behind them is.
std::vector<int> event_loops() {
  std::vector<int> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    if (std::filesystem::read_symlink(entry.path(), error) != "anon_inode:[eventpoll]") continue;
    const std::string name = entry.path().filename();
    std::from_chars(name.data(), name.data() + name.size(), found.emplace_back());
  }
  return found;
}

// This thread sends: naps of it are as short as they are asked for, and where it runs before all
// others (real-time, as scripts/testbed starts ranks) the threads that compute values do not.
void be_prompt() {
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // ns
  sched_param priority{};
  const int policy = sched_getscheduler(0);
  if (policy == SCHED_FIFO && sched_getparam(0, &priority) == 0)
    sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &priority);
}

// As MPI_Wait, which would spin.
void finish(const World& world, MPI_Request request) {
  const auto start = SteadyClock::now();
  const auto waited = [start] {
    return std::chrono::duration<double>(SteadyClock::now() - start).count();
  };
  for (int done = 0;;) {
    for (int look = 0; look < 2 && done == 0; ++look)  // what the first has read the second sees
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    world.rest(1e-3, waited());
  }
}

template <class T>
std::vector<std::vector<T>> gathered(const World& world, const std::vector<T>& mine,
                                     MPI_Datatype type) {
  const int count = static_cast<int>(mine.size());
  std::vector<int> counts(static_cast<std::size_t>(world.size())), offsets(counts.size());
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Igather(&count, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, MPI_COMM_WORLD, &request);
  finish(world, request);
  int sum = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    offsets[r] = sum;
    sum += counts[r];
  }
  std::vector<T> all(world.rank() == 0 ? static_cast<std::size_t>(sum) : 0);
  MPI_Igatherv(mine.data(), count, type, all.data(), counts.data(), offsets.data(), type, 0,
               MPI_COMM_WORLD, &request);
  finish(world, request);
  std::vector<std::vector<T>> by_rank;
  if (world.rank() == 0)
    for (std::size_t r = 0; r < counts.size(); ++r)
      by_rank.emplace_back(all.begin() + offsets[r], all.begin() + offsets[r] + counts[r]);
  return by_rank;
}

}  // namespace

World::World(int* argc, char*** argv) {
  int provided = 0;
  // Sockets are waited for by epoll, which rest() can wait for in turn; set otherwise, it naps.
  setenv("OMPI_MCA_opal_event_include", "epoll", 0);
  // Only the thread of the clock sends; the threads that compute values never do.
  MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  MPI_Comm here = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
  int on_host = 1;
  MPI_Comm_size(here, &on_host);
  MPI_Comm_free(&here);
  neighbours_ = on_host > 1;
  events_ = event_loops();
  be_prompt();
}

World::~World() {
  MPI_Finalize();
}

std::string World::library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, static_cast<std::size_t>(length));
  return whole.substr(0, whole.find(','));
}

std::string World::host() {
  char text[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  MPI_Get_processor_name(text, &length);
  return {text, static_cast<std::size_t>(length)};
}

void World::barrier() const {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  finish(*this, request);
}

std::vector<std::vector<double>> World::gather(const std::vector<double>& mine) const {
  return gathered(*this, mine, MPI_DOUBLE);
}

std::vector<std::vector<float>> World::gather(const std::vector<float>& mine) const {
  return gathered(*this, mine, MPI_FLOAT);
}

bool World::equal(const std::string& mine) const {
  const std::uint64_t digest = std::hash<std::string>()(mine);
  std::uint64_t least = 0, most = 0;
  MPI_Allreduce(&digest, &least, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&digest, &most, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
  return least == most;
}

void World::rest(double at_most_s, double waited_s) const {
  // Whatever else there is to see, it is looked at every 10 ms.
  const double nap =
      neighbours_ || events_.empty() ? std::clamp(waited_s / 20, 20e-6, 300e-6) : 10e-3;
  const double seconds = std::min(nap, at_most_s);
  if (seconds <= 0) return;
  std::vector<pollfd> sockets;
  for (const int event : events_) sockets.push_back({event, POLLIN, 0});
  const timespec limit{0, std::lround(std::min(seconds, 0.999) * 1e9)};
  ppoll(sockets.data(), sockets.size(), &limit, nullptr);
}

void World::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();
}

}  // namespace paceline
