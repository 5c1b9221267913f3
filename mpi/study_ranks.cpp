#include "mpi/study_ranks.hpp"

#include <chrono>
#include <limits>
#include <thread>

#include "base/error.hpp"
#include "mpi/mpi_shim.hpp"

namespace paceline {
namespace {

constexpr int kTaskTag = 11, kAnswerTag = 12;
// Who waits in MPI takes a core from the ranks that calculate.
constexpr std::chrono::microseconds kRest{300};

void send(const std::string& text, int to, int tag) {
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw InputError("a message of a study beyond 2 GiB");
  MPI_Send(text.data(), static_cast<int>(text.size()), MPI_BYTE, to, tag, MPI_COMM_WORLD);
}

// Of whoever has sent one of that tag; nothing if nobody has yet.
std::optional<Workers::Answer> received(int from, int tag) {
  int there = 0, bytes = 0;
  MPI_Status status;
  MPI_Iprobe(from, tag, MPI_COMM_WORLD, &there, &status);
  if (there == 0) return {};
  MPI_Get_count(&status, MPI_BYTE, &bytes);
  Workers::Answer answer{static_cast<std::size_t>(status.MPI_SOURCE),
                         std::string(static_cast<std::size_t>(bytes), '\0')};
  MPI_Recv(answer.text.data(), bytes, MPI_BYTE, status.MPI_SOURCE, tag, MPI_COMM_WORLD,
           MPI_STATUS_IGNORE);
  return answer;
}

}  // namespace

void StudyRanks::give(std::size_t worker, const std::string& task) {
  send(task, static_cast<int>(worker) + 1, kTaskTag);
}

std::optional<Workers::Answer> StudyRanks::answer() {
  if (count() == 0) return {};
  std::optional<Answer> answer = received(MPI_ANY_SOURCE, kAnswerTag);
  if (answer) --answer->worker;
  return answer;
}

void StudyRanks::rest() {
  std::this_thread::sleep_for(kRest);
}

void make_points(const World& world, const Study& study) {
  const auto task = [] {
    for (;; std::this_thread::sleep_for(kRest))
      if (std::optional<Workers::Answer> given = received(0, kTaskTag))
        return std::move(given->text);
  };
  make_points_for(study, static_cast<unsigned>(world.size()), task,
                  [](const std::string& answer) { send(answer, 0, kAnswerTag); });
}

}  // namespace paceline
