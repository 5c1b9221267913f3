#pragma once

// Runs kernel sources on the CPU for the tests: every CUDA thread is a fiber, warp collectives and
// barriers are rendezvous, blocks of an ordinary launch run one after the other and those of a
// cooperative launch together. Slow and exact; shared memory starts poisoned, so a read before a
// write shows. Test code only.

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#ifdef PACELINE_CUDA_EMULATED
#include <cuda_runtime_api.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define PACELINE_KERNEL inline
#define PACELINE_UNROLL
#define PACELINE_NO_UNROLL

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct uint2 {
  unsigned x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}
using cudaStream_t = struct CUstream_st*;

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace paceline::cuda::emulation {

/// Where a group of fibers waits for one another.
struct Rendezvous {
  unsigned arrived = 0;
  unsigned generation = 0;
  std::array<std::array<std::uint64_t, 32>, 2> values{};
};

struct Block {
  Rendezvous barrier;
  std::vector<Rendezvous> warps;
  std::vector<std::pair<const void*, std::unique_ptr<std::uint64_t[]>>> shared;
};

struct Fiber {
  ucontext_t context{};  ///< its first entry; later ones jump, which costs no system call
  jmp_buf resume{};
  bool started = false;
  std::unique_ptr<char[]> stack;
  dim3 thread, block;
  Block* home = nullptr;
  const unsigned* waits_on = nullptr;
  unsigned waits_until_not = 0;
  bool done = true;
};

struct Machine {
  jmp_buf scheduler{};
  std::vector<std::unique_ptr<Fiber>> fibers;
  Fiber* current = nullptr;
  Rendezvous grid;
  unsigned grid_threads = 0;
  bool cooperative = false;
  const std::function<void()>* body = nullptr;
  std::mt19937 order{seed_of_order()};

  /// $PACELINE_EMULATION_ORDER: threads and blocks run in an order drawn from it, not in theirs.
  static unsigned seed_of_order() {
    const char* seed = std::getenv("PACELINE_EMULATION_ORDER");
    return seed == nullptr ? 0 : static_cast<unsigned>(std::atoi(seed));
  }
  std::vector<unsigned> turns(unsigned count) {
    static const bool drawn = seed_of_order() != 0;
    std::vector<unsigned> result(count);
    std::iota(result.begin(), result.end(), 0u);
    if (drawn) std::shuffle(result.begin(), result.end(), order);
    return result;
  }
};
inline Machine machine;

/// From a fiber to the scheduler, until that resumes it.
inline void yield() {
  if (_setjmp(machine.current->resume) == 0) _longjmp(machine.scheduler, 1);
}

inline void wait_for(Rendezvous& point, unsigned group_size) {
  const unsigned generation = point.generation;
  if (++point.arrived == group_size) {
    point.arrived = 0;
    ++point.generation;
    return;
  }
  Fiber* self = machine.current;
  self->waits_on = &point.generation;
  self->waits_until_not = generation;
  yield();
}

inline unsigned lane() {
  return machine.current->thread.x & 31u;
}

/// Every lane's value, to every lane.
inline const std::array<std::uint64_t, 32>& exchange(std::uint64_t value) {
  Rendezvous& warp = machine.current->home->warps[machine.current->thread.x >> 5];
  auto& buffer = warp.values[warp.generation & 1u];
  buffer[lane()] = value;
  wait_for(warp, 32);
  return buffer;
}

template <class T>
T exchange_from(T value, unsigned source) {
  static_assert(sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const std::uint64_t theirs = exchange(bits)[source & 31u];
  T result;
  std::memcpy(&result, &theirs, sizeof(T));
  return result;
}

template <class T>
T& shared(const void* key) {
  auto& all = machine.current->home->shared;
  for (auto& [name, memory] : all) {
    if (name == key) return *reinterpret_cast<T*>(memory.get());
  }
  const std::size_t words = (sizeof(T) + 7) / 8;
  all.emplace_back(key, std::unique_ptr<std::uint64_t[]>(new std::uint64_t[words]));
  std::memset(all.back().second.get(), 0xCD, words * 8);
  return *reinterpret_cast<T*>(all.back().second.get());
}

inline void fiber_main() {
  for (;;) {
    (*machine.body)();
    machine.current->done = true;
    yield();
  }
}

/// Runs the current fiber until it yields. A function of its own: nothing of its frame is needed
/// afterwards.
[[gnu::noinline]] inline void resume_current() {
  Fiber& self = *machine.current;
  if (_setjmp(machine.scheduler) != 0) return;
  if (self.started) _longjmp(self.resume, 1);
  self.started = true;
  setcontext(&self.context);
}

inline void run_fibers(unsigned count) {
  const std::vector<unsigned> turns = machine.turns(count);
  for (unsigned left = count; left > 0;) {
    bool progressed = false;
    for (const unsigned i : turns) {
      Fiber& fiber = *machine.fibers[i];
      if (fiber.done) continue;
      if (fiber.waits_on != nullptr && *fiber.waits_on == fiber.waits_until_not) continue;
      fiber.waits_on = nullptr;
      machine.current = &fiber;
      threadIdx = fiber.thread;
      blockIdx = fiber.block;
      resume_current();
      progressed = true;
      if (fiber.done) --left;
    }
    if (left > 0 && !progressed) {
      std::fprintf(stderr, "emulation: deadlock, %u threads wait at different places\n", left);
      std::abort();
    }
  }
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // getcontext fills what it is given
inline Fiber& fiber(unsigned index) {
  constexpr std::size_t stack_size = 64 * 1024;
  while (machine.fibers.size() <= index) {
    auto fresh = std::make_unique<Fiber>();
    fresh->stack.reset(new char[stack_size]);
    getcontext(&fresh->context);
    fresh->context.uc_stack.ss_sp = fresh->stack.get();
    fresh->context.uc_stack.ss_size = stack_size;
    makecontext(&fresh->context, fiber_main, 0);
    machine.fibers.push_back(std::move(fresh));
  }
  return *machine.fibers[index];
}
#pragma GCC diagnostic pop

/// Runs `body` as every thread of the grid.
inline void launch(dim3 grid, dim3 block, bool cooperative, const std::function<void()>& body) {
  gridDim = grid;
  blockDim = block;
  const unsigned threads = block.x;
  const unsigned blocks = grid.x * grid.y * grid.z;
  machine.body = &body;
  machine.cooperative = cooperative;
  machine.grid = {};
  machine.grid_threads = threads * blocks;
  std::vector<Block> homes(blocks);
  unsigned prepared = 0;
  for (const unsigned b : machine.turns(blocks)) {
    homes[b].warps.resize((threads + 31) / 32);
    for (unsigned t = 0; t < threads; ++t) {
      Fiber& one = fiber(prepared++);
      one.thread = dim3(t, 0, 0);
      one.block = dim3(b % grid.x, b / grid.x % grid.y, b / (grid.x * grid.y));
      one.home = &homes[b];
      one.done = false;
    }
    if (!cooperative) {
      run_fibers(prepared);
      prepared = 0;
    }
  }
  if (cooperative) run_fibers(prepared);
}

#ifdef PACELINE_CUDA_EMULATED
/// By tests/cuda/emulated: a launch as `launch` runs it, in its turn on the stream.
cudaError_t launch_on(cudaStream_t stream, dim3 grid, unsigned threads, bool cooperative,
                      std::function<void()> thread);
#endif

}  // namespace paceline::cuda::emulation

#define PACELINE_SHARED(Type, name) \
  static const char name##_key = 0; \
  Type& name = ::paceline::cuda::emulation::shared<Type>(&name##_key)

namespace paceline::cuda {
inline void grid_barrier() {
  if (!emulation::machine.cooperative) std::abort();
  emulation::wait_for(emulation::machine.grid, emulation::machine.grid_threads);
}
}  // namespace paceline::cuda

inline void __syncthreads() {
  namespace e = paceline::cuda::emulation;
  e::wait_for(e::machine.current->home->barrier, blockDim.x);
}
inline void __syncwarp(unsigned = 0) {
  paceline::cuda::emulation::exchange(0);
}
inline void __threadfence() {}
inline unsigned __ballot_sync(unsigned, int predicate) {
  const auto& all = paceline::cuda::emulation::exchange(predicate != 0);
  unsigned mask = 0;
  for (unsigned i = 0; i < 32; ++i) mask |= static_cast<unsigned>(all[i]) << i;
  return mask;
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == ~0u;
}
template <class T>
T __shfl_sync(unsigned, T value, int source) {
  return paceline::cuda::emulation::exchange_from(value, static_cast<unsigned>(source));
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned offset) {
  const unsigned lane = paceline::cuda::emulation::lane();
  return paceline::cuda::emulation::exchange_from(value, lane >= offset ? lane - offset : lane);
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned offset) {
  const unsigned lane = paceline::cuda::emulation::lane();
  return paceline::cuda::emulation::exchange_from(value, lane + offset < 32 ? lane + offset : lane);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  const unsigned lane = paceline::cuda::emulation::lane();
  return paceline::cuda::emulation::exchange_from(value, lane ^ static_cast<unsigned>(mask));
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __ffs(unsigned x) {
  return x == 0 ? 0 : std::countr_zero(x) + 1;
}
inline int __clz(unsigned x) {
  return std::countl_zero(x);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
// Separate functions, not inlined, so that no compiler contracts the pair into a fused
// multiply-add.
[[gnu::noinline]] inline float __fmul_rn(float a, float b) {
  return a * b;
}
[[gnu::noinline]] inline float __fadd_rn(float a, float b) {
  return a + b;
}
[[gnu::noinline]] inline float __fsub_rn(float a, float b) {
  return a - b;
}
[[gnu::noinline]] inline float __fdiv_rn(float a, float b) {
  return a / b;
}
[[gnu::noinline]] inline float __fsqrt_rn(float a) {
  return std::sqrt(a);
}
[[gnu::noinline]] inline double __dmul_rn(double a, double b) {
  return a * b;
}
[[gnu::noinline]] inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T value) {
  *p = value;
}
template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return std::exchange(*p, *p + v);
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return std::exchange(*p, std::max(*p, v));
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return std::exchange(*p, std::min(*p, v));
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return std::exchange(*p, *p | v);
}
using std::max;
using std::min;
