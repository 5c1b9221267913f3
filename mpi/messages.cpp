#include "mpi/messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <climits>

#include "base/error.hpp"
#include "base/units.hpp"
#include "mpi/mpi_shim.hpp"

namespace paceline {
namespace {

using SteadyClock = std::chrono::steady_clock;

class Transfer final : public Result<std::int64_t> {
 public:
  void finish(std::int64_t bytes) {
    bytes_ = bytes;
    complete();
  }
  [[nodiscard]] std::int64_t value(TensorDevice*) const override { return bytes_; }
  [[nodiscard]] const char* what() const override { return "message"; }

 private:
  std::int64_t bytes_ = 0;
};
using TransferRef = boost::intrusive_ptr<Transfer>;

}  // namespace

struct Messages::Open {
  enum class Kind : std::uint8_t { send, receive, all_reduce };
  struct Label {
    Kind kind;
    int peer;
    std::size_t bytes;
    SteadyClock::time_point since;
  };
  // One entry each, in the order of the calls.
  std::vector<MPI_Request> requests;
  std::vector<TransferRef> transfers;
  std::vector<Label> labels;
  std::vector<int> done;
  std::vector<MPI_Status> statuses;

  TransferRef add(MPI_Request request, Kind kind, int peer, std::size_t bytes) {
    requests.push_back(request);
    transfers.emplace_back(new Transfer);
    labels.push_back({kind, peer, bytes, SteadyClock::now()});
    return transfers.back();
  }

  int test() {
    done.resize(requests.size());
    statuses.resize(requests.size());
    int count = 0;
    MPI_Testsome(static_cast<int>(requests.size()), requests.data(), &count, done.data(),
                 statuses.data());
    return count;
  }

  // How many are over, as `done` and `statuses` say. Open MPI's test first looks at the requests,
  // and reads the network only if none is over: what it has read then shows in the next test. That
  // one must not read in turn, or nobody would be woken for what it read (World::rest): a request
  // that is over already stops it from doing so.
  int look() {
    if (const int count = test(); count > 0) return count;
    MPI_Grequest_start([](void*, MPI_Status*) { return MPI_SUCCESS; },
                       [](void*) { return MPI_SUCCESS; }, [](void*, int) { return MPI_SUCCESS; },
                       nullptr, &requests.emplace_back());
    MPI_Grequest_complete(requests.back());
    const int own = static_cast<int>(requests.size()) - 1;
    const int count = test();
    requests.pop_back();
    const auto found = std::find(done.begin(), done.begin() + count, own);
    statuses.erase(statuses.begin() + (found - done.begin()));
    done.erase(found);
    return count - 1;
  }
};

namespace {

int count_of(std::size_t bytes) {
  if (bytes > INT_MAX)
    throw InputError(
        fmt::format("a message of {} is more than MPI takes at once (2 GiB): use more ranks, or a "
                    "schedule with buckets",
                    format_bytes(static_cast<double>(bytes))));
  return static_cast<int>(bytes);
}

}  // namespace

Messages::Messages() : open_(std::make_unique<Open>()) {}

Messages::~Messages() {
  for (MPI_Request& request : open_->requests) {
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
}

Pending<> Messages::send(const void* data, std::size_t bytes, int to, int tag) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Isend(data, count_of(bytes), MPI_BYTE, to, tag, MPI_COMM_WORLD, &request);
  sent_.bytes += static_cast<double>(bytes);
  sent_.messages += 1;
  return Pending<>(CompletionRef(open_->add(request, Open::Kind::send, to, bytes)));
}

Pending<std::int64_t> Messages::receive(void* data, std::size_t capacity, int from, int tag) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(data, count_of(capacity), MPI_BYTE, from == kAnyone ? MPI_ANY_SOURCE : from, tag,
            MPI_COMM_WORLD, &request);
  return Pending<std::int64_t>(boost::intrusive_ptr<Result<std::int64_t>>(
      open_->add(request, Open::Kind::receive, from, capacity)));
}

Pending<> Messages::all_reduce_sum(std::span<float> values) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(MPI_IN_PLACE, values.data(), count_of(values.size_bytes()) / 4, MPI_FLOAT, MPI_SUM,
                 MPI_COMM_WORLD, &request);
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  sent_.bytes += 2.0 * (ranks - 1) / ranks * static_cast<double>(values.size_bytes());
  sent_.messages += 2.0 * (ranks - 1);
  return Pending<>(
      CompletionRef(open_->add(request, Open::Kind::all_reduce, -1, values.size_bytes())));
}

bool Messages::progress() {
  Open& open = *open_;
  if (open.requests.empty()) return false;
  const std::size_t asked = open.requests.size();
  const int count = open.look();
  if (count <= 0) return false;
  // What completes may send at once: that goes behind.
  std::vector<std::pair<TransferRef, std::int64_t>> finished;
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(open.done[static_cast<std::size_t>(i)]);
    int bytes = 0;
    if (open.labels[at].kind == Open::Kind::receive)
      MPI_Get_count(&open.statuses[static_cast<std::size_t>(i)], MPI_BYTE, &bytes);
    finished.emplace_back(std::move(open.transfers[at]), bytes);
  }
  std::size_t kept = 0;
  for (std::size_t at = 0; at < asked; ++at) {
    if (open.requests[at] == MPI_REQUEST_NULL) continue;
    open.requests[kept] = open.requests[at];
    open.transfers[kept] = std::move(open.transfers[at]);
    open.labels[kept] = open.labels[at];
    ++kept;
  }
  open.requests.resize(kept);
  open.transfers.resize(kept);
  open.labels.erase(open.labels.begin() + static_cast<std::ptrdiff_t>(kept), open.labels.end());
  for (const auto& [transfer, bytes] : finished) transfer->finish(bytes);
  return true;
}

std::size_t Messages::open() const {
  return open_->requests.size();
}

std::vector<std::string> Messages::describe_open() const {
  std::vector<std::string> lines;
  for (const Open::Label& label : open_->labels) {
    const std::string size = format_bytes(static_cast<double>(label.bytes));
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - label.since).count();
    std::string what;
    switch (label.kind) {
      case Open::Kind::send:
        what = fmt::format("sends {} to rank {}", size, label.peer);
        break;
      case Open::Kind::receive:
        if (label.peer == kAnyone) continue;  // it listens: that is no message under way
        what = fmt::format("waits for up to {} from rank {}", size, label.peer);
        break;
      case Open::Kind::all_reduce:
        what = fmt::format("is in MPI's all-reduce of {}", size);
        break;
    }
    lines.push_back(fmt::format("{}, for {:.1f} s", what, seconds));
  }
  return lines;
}

}  // namespace paceline
