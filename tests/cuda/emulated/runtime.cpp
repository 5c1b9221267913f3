#include "tests/cuda/emulated/runtime.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "host_emulation.hpp"

namespace {

using Work = std::function<void()>;
using Nodes = std::vector<Work>;
using Clock = std::chrono::steady_clock;

std::recursive_mutex one_at_a_time;  // a machine with one GPU: whatever runs, runs alone
using Lock = std::lock_guard<std::recursive_mutex>;

std::set<CUstream_st*> streams;
std::map<const char*, std::size_t> pinned;  // by address: bytes
thread_local CUstream_st* capturing = nullptr;
thread_local cudaError_t last_error = cudaSuccess;

// What went over the bus; at the end of the program into the file that PACELINE_EMULATED_COPIES
// names, one line a direction: copies and bytes.
class CountedCopies {
 public:
  ~CountedCopies() {
    const char* name = std::getenv("PACELINE_EMULATED_COPIES");
    std::FILE* file = name == nullptr ? nullptr : std::fopen(name, "w");
    if (file == nullptr) return;
    std::fprintf(file, "to_device %lld %lld\nto_host %lld %lld\n", to_device_.copies,
                 to_device_.bytes, to_host_.copies, to_host_.bytes);
    std::fclose(file);
  }
  void add(cudaMemcpyKind kind, std::size_t bytes) {
    if (kind == cudaMemcpyDeviceToDevice) return;
    Direction& direction = kind == cudaMemcpyHostToDevice ? to_device_ : to_host_;
    direction.copies += 1;
    direction.bytes += static_cast<long long>(bytes);
  }

 private:
  struct Direction {
    long long copies = 0, bytes = 0;
  };
  Direction to_device_, to_host_;
};
CountedCopies copied;

cudaError_t failed(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace

struct CUstream_st {
  std::deque<Work> queue;
  std::shared_ptr<Nodes> capture;
  bool invalidated = false;

  void run() {
    while (!queue.empty()) {
      const Work work = std::move(queue.front());
      queue.pop_front();
      work();
    }
  }
};
struct CUevent_st {
  CUstream_st* stream = nullptr;
  Clock::time_point date;
};
struct CUgraph_st {
  std::shared_ptr<Nodes> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const Nodes> nodes;
};

namespace {

/// For calls that a capture forbids: they spoil it.
cudaError_t forbidden_in_capture() {
  if (capturing == nullptr) return cudaSuccess;
  capturing->invalidated = true;
  return failed(cudaErrorStreamCaptureUnsupported);
}

void run_all() {
  for (CUstream_st* stream : streams) stream->run();
}

bool is_pinned(const void* memory) {
  const auto* at = static_cast<const char*>(memory);
  const auto after = pinned.upper_bound(at);
  if (after == pinned.begin()) return false;
  const auto& [begin, bytes] = *std::prev(after);
  return at < begin + bytes;
}

void* poisoned(std::size_t bytes) {
  void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (memory != nullptr) std::memset(memory, 0xCD, bytes);
  return memory;
}

}  // namespace

namespace paceline::cuda::emulation {

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  const Lock lock(one_at_a_time);
  if (stream->capture) {
    stream->capture->push_back(std::move(work));
  } else {
    stream->queue.push_back(std::move(work));
  }
  return cudaSuccess;
}

// What the launches of kernels/cuda/launch.cuh do here.
cudaError_t launch_on(cudaStream_t stream, dim3 grid, unsigned threads, bool cooperative,
                      std::function<void()> thread) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535 ||
      grid.x > 0x7fffffffU || threads == 0 || threads > 1024)
    return failed(cudaErrorInvalidConfiguration);
  if (cooperative && grid.x * grid.y * grid.z > resident_blocks)
    return failed(cudaErrorCooperativeLaunchTooLarge);
  return enqueue(stream, [=, thread = std::move(thread)] {
    launch(grid, dim3(threads), cooperative, thread);
  });
}

}  // namespace paceline::cuda::emulation

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorCooperativeLaunchTooLarge:
      return "cudaErrorCooperativeLaunchTooLarge";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
  }
  return "cudaErrorUnknown";
}
const char* cudaGetErrorString(cudaError_t) {
  return "as the emulation sees it";
}
cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : failed(cudaErrorInvalidDevice);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = paceline::cuda::emulation::multiprocessors;
      break;
    case cudaDevAttrL2CacheSize:
      *value = 64 << 10;
      break;
    case cudaDevAttrComputeCapabilityMajor:
    case cudaDevAttrCooperativeLaunch:
      *value = 1;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      break;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
      *value = 1'000'000;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = 64;
      break;
  }
  return cudaSetDevice(device);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulation of CUDA for tests");
  properties->totalGlobalMem = std::size_t{256} << 20;
  return cudaSetDevice(device);
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int device) {
  std::snprintf(text, static_cast<std::size_t>(size), "none");
  return cudaSetDevice(device);
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  return cudaRuntimeGetVersion(version);
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = *total = std::size_t{256} << 20;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const Lock lock(one_at_a_time);
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  if (bytes > std::size_t{256} << 20) return failed(cudaErrorMemoryAllocation);
  *memory = poisoned(bytes);
  return *memory == nullptr ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  const Lock lock(one_at_a_time);
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  run_all();  // waits for the device
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  const cudaError_t error = cudaMalloc(memory, bytes);
  const Lock lock(one_at_a_time);
  if (error == cudaSuccess) pinned[static_cast<const char*>(*memory)] = bytes;
  return error;
}
cudaError_t cudaFreeHost(void* memory) {
  const Lock lock(one_at_a_time);
  pinned.erase(static_cast<const char*>(memory));
  return cudaFree(memory);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  const Lock lock(one_at_a_time);
  copied.add(kind, width * height);
  const auto copy = [=](const void* source) {
    for (std::size_t row = 0; row < height; ++row)
      std::memcpy(static_cast<char*>(to) + row * to_pitch,
                  static_cast<const char*>(source) + row * from_pitch, width);
  };
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from) && stream->capture == nullptr) {
    // Pageable memory is staged before the call returns.
    const auto* begin = static_cast<const char*>(from);
    const std::vector<char> staged(begin, begin + (height - 1) * from_pitch + width);
    return paceline::cuda::emulation::enqueue(stream, [=] { copy(staged.data()); });
  }
  paceline::cuda::emulation::enqueue(stream, [=] { copy(from); });
  if (kind == cudaMemcpyDeviceToHost && !is_pinned(to) && stream->capture == nullptr) stream->run();
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  return paceline::cuda::emulation::enqueue(stream, [=] { std::memset(memory, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Lock lock(one_at_a_time);
  *stream = new CUstream_st;
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(one_at_a_time);
  if (stream == nullptr) return failed(cudaErrorInvalidValue);
  stream->run();
  streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(one_at_a_time);
  if (stream->capture) stream->invalidated = true;
  if (stream->capture || capturing == stream) return failed(cudaErrorStreamCaptureUnsupported);
  stream->run();
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Lock lock(one_at_a_time);
  stream->capture = std::make_shared<Nodes>();
  stream->invalidated = false;
  capturing = stream;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(one_at_a_time);
  const std::shared_ptr<Nodes> nodes = std::move(stream->capture);
  stream->capture = nullptr;
  capturing = nullptr;
  *graph = nullptr;
  if (std::exchange(stream->invalidated, false)) return failed(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{nodes};
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = stream->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph,
                                          unsigned long long) {
  *executable = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return paceline::cuda::emulation::enqueue(stream, [nodes = executable->nodes] {
    for (const Work& node : *nodes) node();
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock lock(one_at_a_time);
  if (event->stream != nullptr && streams.contains(event->stream)) event->stream->run();
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  if (stream->capture && flags != cudaEventRecordExternal)
    return cudaSuccess;  // orders the graph's branches, of which there is one
  event->stream = stream;
  return paceline::cuda::emulation::enqueue(stream, [event] { event->date = Clock::now(); });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return event->stream == nullptr ? cudaSuccess : cudaStreamSynchronize(event->stream);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (start->date == Clock::time_point() || end->date == Clock::time_point())
    return failed(cudaErrorInvalidValue);
  *milliseconds = std::chrono::duration<float, std::milli>(end->date - start->date).count();
  return cudaSuccess;
}
