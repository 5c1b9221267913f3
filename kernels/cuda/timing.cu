// How long things take on this GPU: graph replays over rotating buffers, and copies.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/nvml.hpp"

namespace paceline::cuda {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class Event {
 public:
  Event() { PACELINE_CHECK(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { PACELINE_CHECK(cudaEventRecord(event_, stream)); }
  /// During a capture: every replay of the graph records it.
  void record_in_graph(cudaStream_t stream) {
    PACELINE_CHECK(cudaEventRecordWithFlags(event_, stream, cudaEventRecordExternal));
  }
  /// Seconds from `start` to this one; waits for it.
  double since(const Event& start) {
    PACELINE_CHECK(cudaEventSynchronize(event_));
    float milliseconds = 0;
    PACELINE_CHECK(cudaEventElapsedTime(&milliseconds, start.event_, event_));
    return milliseconds * 1e-3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// `repeats` pieces of work as one graph.
class Graph {
 public:
  Graph(cudaStream_t stream, int repeats, int buffers, const std::function<void(int)>& work) {
    PACELINE_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      for (int i = 0; i < repeats; ++i) work(i % buffers);
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    PACELINE_CHECK(cudaStreamEndCapture(stream, &graph));
    const cudaError_t status = cudaGraphInstantiateWithFlags(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "cudaGraphInstantiate");
  }
  ~Graph() { cudaGraphExecDestroy(graph_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  /// Seconds of one replay.
  double replay(cudaStream_t stream) {
    start_.record(stream);
    PACELINE_CHECK(cudaGraphLaunch(graph_, stream));
    end_.record(stream);
    return end_.since(start_);
  }

 private:
  cudaGraphExec_t graph_ = nullptr;
  Event start_, end_;
};

/// Replays until ten medians of five in a row lie within 1 % of each other, or the time is over.
bool warm_up(const std::function<double()>& replay, double limit) {
  const auto start = Clock::now();
  std::vector<double> medians;
  while (seconds_since(start) < limit) {
    std::vector<double> five;
    for (int i = 0; i < 5; ++i) five.push_back(replay());
    medians.push_back(median(five));
    if (medians.size() < 10) continue;
    const auto [least, most] = std::minmax_element(medians.end() - 10, medians.end());
    if (*most <= 1.01 * *least) return true;
  }
  return false;
}

/// The SM clock beside each sample, and which samples it speaks against.
class ClockWatch {
 public:
  explicit ClockWatch(const std::string& pci_bus_id) : nvml_(pci_bus_id) {}
  void look() { mhz_.push_back(nvml_.clocks().sm_mhz); }
  /// Without NVML nothing is known of the clock, and all are kept.
  [[nodiscard]] std::vector<bool> kept(double floor) const {
    const double usual = median({mhz_.begin(), mhz_.end()});
    std::vector<bool> result;
    for (const int mhz : mhz_) result.push_back(usual <= 0 || mhz >= floor * usual);
    return result;
  }
  [[nodiscard]] int mhz(std::size_t sample) const { return mhz_[sample]; }

 private:
  Nvml nvml_;
  std::vector<int> mhz_;
};

}  // namespace

double Cuda::measure(const std::function<void()>& work) {
  Event start;
  Event end;
  start.record(context_.stream());
  work();
  end.record(context_.stream());
  const double seconds = end.since(start);
  context_.synchronize();
  return seconds;
}

kernels::CudaClocks Cuda::clocks() const {
  return Nvml(info_.pci_bus_id).clocks();
}

kernels::ReplaySamples Cuda::time_replays(const kernels::ReplayOptions& options,
                                          const std::function<void(int)>& work) {
  const cudaStream_t stream = context_.stream();
  const int buffers = std::max(1, options.buffers);
  for (int b = 0; b < buffers; ++b) work(b);  // loads modules, builds plans, grows scratch memory
  context_.synchronize();
  const double once = measure([&] {
    for (int b = 0; b < buffers; ++b) work(b);
  });
  kernels::ReplaySamples result;
  // Whole turns over the buffers; an eager turn costs launches too, so a replay lasts somewhat
  // less.
  const double turns = std::ceil(1.2 * options.sample_seconds / std::max(once, 1e-7));
  result.per_replay =
      buffers * static_cast<int>(std::clamp(turns, 1.0, std::max(1.0, 4096.0 / buffers)));
  Graph graph(stream, result.per_replay, buffers, work);
  result.warm = warm_up([&] { return graph.replay(stream); }, options.warm_up_seconds);

  ClockWatch clocks(info_.pci_bus_id);
  std::vector<double> seconds;
  const auto start = Clock::now();
  for (int i = 0; i < options.samples && (i == 0 || seconds_since(start) < options.limit_seconds);
       ++i) {
    seconds.push_back(graph.replay(stream) / result.per_replay);
    clocks.look();
  }
  const std::vector<bool> kept = clocks.kept(options.clock_floor);
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    if (!kept[i]) {
      ++result.dropped;
      continue;
    }
    result.seconds.push_back(seconds[i]);
    if (clocks.mhz(i) > 0) result.sm_mhz.push_back(clocks.mhz(i));
  }
  context_.synchronize();
  return result;
}

kernels::PieceSamples Cuda::time_pieces(const kernels::ReplayOptions& options, std::size_t pieces,
                                        const std::function<void(std::size_t)>& work) {
  const cudaStream_t stream = context_.stream();
  for (std::size_t p = 0; p < pieces; ++p) work(p);
  context_.synchronize();
  // Piece p lies between marks p and p + 1, and nothing between the last two.
  std::vector<Event> marks(pieces + 2);
  const auto run = [&](void (Event::*record)(cudaStream_t)) {
    for (std::size_t p = 0; p < pieces; ++p) {
      (marks[p].*record)(stream);
      work(p);
    }
    (marks[pieces].*record)(stream);
    (marks[pieces + 1].*record)(stream);
  };
  kernels::PieceSamples result;
  std::unique_ptr<Graph> graph;
  try {
    graph = std::make_unique<Graph>(stream, 1, 1, [&](int) { run(&Event::record_in_graph); });
    graph->replay(stream);
    marks[pieces + 1].since(marks[0]);
    result.in_graph = true;
  } catch (const std::runtime_error&) {
    graph.reset();
  }
  const auto replay = [&] {
    if (graph) return graph->replay(stream);
    run(&Event::record);
    return marks[pieces + 1].since(marks[0]);
  };
  result.warm = warm_up(replay, options.warm_up_seconds);

  ClockWatch clocks(info_.pci_bus_id);
  std::vector<std::vector<double>> samples;
  const auto start = Clock::now();
  for (int i = 0; i < options.samples && (i == 0 || seconds_since(start) < options.limit_seconds);
       ++i) {
    replay();
    clocks.look();
    std::vector<double>& sample = samples.emplace_back();
    for (std::size_t p = 0; p <= pieces; ++p) sample.push_back(marks[p + 1].since(marks[p]));
  }
  std::vector<double> empty;
  for (const std::vector<double>& sample : samples) empty.push_back(sample.back());
  result.event_seconds = median(empty);
  result.seconds.resize(pieces);
  const std::vector<bool> kept = clocks.kept(options.clock_floor);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (!kept[i]) {
      ++result.dropped;
      continue;
    }
    for (std::size_t p = 0; p < pieces; ++p)
      result.seconds[p].push_back(std::max(0.0, samples[i][p] - result.event_seconds));
    if (clocks.mhz(i) > 0) result.sm_mhz.push_back(clocks.mhz(i));
  }
  context_.synchronize();
  return result;
}

std::vector<double> Cuda::time_copies(kernels::CopyDirection direction, bool pinned,
                                      std::size_t bytes, int repetitions) {
  const cudaStream_t stream = context_.stream();
  const DeviceMemory device(2 * bytes);
  struct Host {
    void* memory = nullptr;
    bool pinned = false;
    ~Host() {
      if (pinned) {
        cudaFreeHost(memory);
      } else {
        std::free(memory);
      }
    }
  } host;
  host.pinned = pinned;
  if (pinned) {
    PACELINE_CHECK(cudaHostAlloc(&host.memory, 2 * bytes, cudaHostAllocDefault));
  } else {
    host.memory = std::malloc(2 * bytes);
    if (host.memory == nullptr) throw std::bad_alloc();
  }
  std::memset(host.memory, 0x3f, 2 * bytes);
  struct Second {
    cudaStream_t stream = nullptr;
    ~Second() { cudaStreamDestroy(stream); }
  } second;
  PACELINE_CHECK(cudaStreamCreateWithFlags(&second.stream, cudaStreamNonBlocking));
  auto* host_bytes = static_cast<char*>(host.memory);
  auto* device_bytes = static_cast<char*>(device.get());
  std::vector<double> seconds;
  for (int i = -2; i < repetitions; ++i) {
    context_.synchronize();
    const auto start = Clock::now();
    if (direction != kernels::CopyDirection::to_host) {
      PACELINE_CHECK(
          cudaMemcpyAsync(device_bytes, host_bytes, bytes, cudaMemcpyHostToDevice, stream));
    }
    if (direction != kernels::CopyDirection::to_device) {
      PACELINE_CHECK(
          cudaMemcpyAsync(host_bytes + bytes, device_bytes + bytes, bytes, cudaMemcpyDeviceToHost,
                          direction == kernels::CopyDirection::both ? second.stream : stream));
    }
    PACELINE_CHECK(cudaStreamSynchronize(stream));
    PACELINE_CHECK(cudaStreamSynchronize(second.stream));
    if (i >= 0) seconds.push_back(seconds_since(start));  // the first two warm up
  }
  return seconds;
}

double Cuda::typical_seconds(const std::function<void()>& work) {
  kernels::ReplayOptions options;
  options.samples = 20;
  return median(time_replays(options, [&](int) { work(); }).seconds);
}

}  // namespace paceline::cuda
