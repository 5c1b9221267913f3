#include "mpi/world.hpp"

#include <cstdlib>
#include <functional>

#include "mpi/mpi_shim.hpp"

namespace paceline {
namespace {

template <class T>
std::vector<std::vector<T>> gathered(const std::vector<T>& mine, MPI_Datatype type, int rank,
                                     int size) {
  const int count = static_cast<int>(mine.size());
  std::vector<int> counts(static_cast<std::size_t>(size)), offsets(counts.size());
  MPI_Gather(&count, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, MPI_COMM_WORLD);
  int sum = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    offsets[r] = sum;
    sum += counts[r];
  }
  std::vector<T> all(rank == 0 ? static_cast<std::size_t>(sum) : 0);
  MPI_Gatherv(mine.data(), count, type, all.data(), counts.data(), offsets.data(), type, 0,
              MPI_COMM_WORLD);
  std::vector<std::vector<T>> by_rank;
  if (rank == 0)
    for (std::size_t r = 0; r < counts.size(); ++r)
      by_rank.emplace_back(all.begin() + offsets[r], all.begin() + offsets[r] + counts[r]);
  return by_rank;
}

}  // namespace

World::World(int* argc, char*** argv) {
  int provided = 0;
  // Only the thread of the clock sends; the threads that compute values never do.
  MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
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
  MPI_Barrier(MPI_COMM_WORLD);
}

std::vector<std::vector<double>> World::gather(const std::vector<double>& mine) const {
  return gathered(mine, MPI_DOUBLE, rank_, size_);
}

std::vector<std::vector<float>> World::gather(const std::vector<float>& mine) const {
  return gathered(mine, MPI_FLOAT, rank_, size_);
}

bool World::equal(const std::string& mine) const {
  const std::uint64_t digest = std::hash<std::string>()(mine);
  std::uint64_t least = 0, most = 0;
  MPI_Allreduce(&digest, &least, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&digest, &most, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
  return least == most;
}

void World::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();
}

}  // namespace paceline
