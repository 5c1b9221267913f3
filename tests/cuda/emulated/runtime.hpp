#pragma once

#include <cuda_runtime_api.h>

#include <functional>

namespace paceline::cuda::emulation {

constexpr int multiprocessors = 3;
constexpr unsigned resident_blocks = 2 * multiprocessors;

/// Work of a stream, in its order: kept until something waits for it, or as a node of the graph
/// that is being captured.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

}  // namespace paceline::cuda::emulation
