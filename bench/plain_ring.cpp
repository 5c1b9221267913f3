// What paceline-mpi is measured against: S-SGD without overlap as a plain MPI program. A sleep for the computation, then the messages
// of a ring all-reduce, by MPI_Isend, MPI_Irecv and MPI_Waitall alone.
//   mpirun -n 4 plain-ring BYTES COMPUTE_MS STEPS        mpirun -n 4 plain-ring 1078888 200 9
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;

void ring(const std::vector<char>& out, std::vector<char>& in, int rank, int ranks) {
  const int bytes = static_cast<int>(out.size());
  for (int round = 0; round < 2 * (ranks - 1); ++round) {
    MPI_Request both[2];
    MPI_Irecv(in.data(), bytes, MPI_BYTE, (rank + ranks - 1) % ranks, 0, MPI_COMM_WORLD, &both[0]);
    MPI_Isend(out.data(), bytes, MPI_BYTE, (rank + 1) % ranks, 0, MPI_COMM_WORLD, &both[1]);
    MPI_Waitall(2, both, MPI_STATUSES_IGNORE);
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (argc != 4 || ranks < 2) {
    if (rank == 0) std::fprintf(stderr, "mpirun -n 4 plain-ring BYTES COMPUTE_MS STEPS\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  const auto chunk = static_cast<std::size_t>(std::atol(argv[1]) / ranks);
  const auto compute = std::chrono::duration<double, std::milli>(std::atof(argv[2]));
  const int steps = std::atoi(argv[3]);
  const std::vector<char> out(chunk);
  std::vector<char> in(chunk);
  std::vector<double> times;
  MPI_Barrier(MPI_COMM_WORLD);
  for (int step = 0; step < steps; ++step) {
    const auto start = SteadyClock::now();
    std::this_thread::sleep_for(compute);
    ring(out, in, rank, ranks);
    times.push_back(std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  if (rank == 0)
    std::printf("iteration %.3f ms (median of %d; quartiles %.3f to %.3f)\n",
                times[times.size() / 2], steps, times[times.size() / 4],
                times[times.size() * 3 / 4]);
  MPI_Finalize();
}
