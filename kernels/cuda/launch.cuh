#pragma once

// One way to start a kernel for both worlds of device.cuh.

#include <type_traits>

#include "kernels/cuda/device.cuh"

#if defined(__CUDACC__) || defined(PACELINE_CUDA_EMULATED)
#include "kernels/cuda/check.hpp"
#endif

namespace paceline::cuda {

#ifdef __CUDACC__
/// `where` names the kernel, file and line for the error.
template <class... Parameters>
void launch(const char* where, bool cooperative, cudaStream_t stream, dim3 grid, unsigned threads,
            void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  // One entry more than needed: a kernel may have no parameters.
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))..., nullptr};
  const auto* function = reinterpret_cast<const void*>(kernel);
  check(cooperative
            ? cudaLaunchCooperativeKernel(function, grid, dim3(threads), pointers, 0, stream)
            : cudaLaunchKernel(function, grid, dim3(threads), pointers, 0, stream),
        where);
}
#else
/// At once; tests/cuda/emulated keeps launches back in streams and captures them.
template <class... Parameters>
void launch(const char* where, bool cooperative, cudaStream_t stream, dim3 grid, unsigned threads,
            void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
#ifdef PACELINE_CUDA_EMULATED
  check(emulation::launch_on(stream, grid, threads, cooperative, [=] { kernel(arguments...); }),
        where);
#else
  static_cast<void>(where), static_cast<void>(stream);
  emulation::launch(grid, dim3(threads), cooperative, [&] { kernel(arguments...); });
#endif
}
#endif

}  // namespace paceline::cuda

#define PACELINE_TEXT_(x) #x
#define PACELINE_TEXT(x) PACELINE_TEXT_(x)
/// PACELINE_LAUNCH(stream, grid, threads, (kernel<A, B>), arguments...)
#define PACELINE_LAUNCH(stream, grid, threads, kernel, ...)                                    \
  ::paceline::cuda::launch(#kernel " at " __FILE__ ":" PACELINE_TEXT(__LINE__), false, stream, \
                           grid, threads, &PACELINE_UNWRAP kernel, __VA_ARGS__)
#define PACELINE_LAUNCH_TOGETHER(stream, grid, threads, kernel, ...)                          \
  ::paceline::cuda::launch(#kernel " at " __FILE__ ":" PACELINE_TEXT(__LINE__), true, stream, \
                           grid, threads, &PACELINE_UNWRAP kernel, __VA_ARGS__)
#define PACELINE_UNWRAP(...) __VA_ARGS__
